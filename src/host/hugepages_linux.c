/* hugepages_linux.c - ggml allocates its buffers by posix_memalign(); defined in the executable, that name is found
 * before libc's, as the names in mapping.c are. Where it is not (a sanitizer has its own), nothing is lost but speed.
 */
#include "host/hugepages.h"

#include "base/mem.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

static atomic_bool enabled;

void hyp_hugepages_enable(bool enable) {
    atomic_store(&enabled, enable);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

enum { HUGE_PAGE = 2 << 20 };

int posix_memalign(void **ret, size_t alignment, size_t size) {
    if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0) return EINVAL;
    bool large = size >= 2 * (size_t)HUGE_PAGE && atomic_load_explicit(&enabled, memory_order_relaxed);
    void *p = aligned_alloc(large ? HYP_MAX(alignment, (size_t)HUGE_PAGE) : alignment, size);
    if (p == NULL) return ENOMEM;
    if (large) (void)madvise(p, size / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE); /* advice: no harm when refused */
    *ret = p;
    return 0;
}

#endif

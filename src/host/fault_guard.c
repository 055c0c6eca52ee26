/* fault_guard.c - a page of a model that cannot be read ends the answer, not the process. Declared in mapping.h. */
#include "host/mapping.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

static struct guard {
    _Atomic(char *) base; /* NULL: free. Written last when a guard is set, first when it is lifted */
    uint64_t bytes;
    atomic_bool faulted, rescued, whole;
    int copies[HYP_MAPPING_MAX_COPIES];
    atomic_uint n_copies; /* written after `copies` and `copies_offset` */
    uint64_t copies_offset;
    _Atomic uint64_t offset;
} guards[HYP_MAPPING_MAX_GUARDS];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction previous; /* guarded by `lock`; read by the handler after it was installed */
static bool installed;
static long page_bytes;

static struct guard *guard_of(const char *addr) {
    for (int i = 0; i < HYP_MAPPING_MAX_GUARDS; i++) {
        const char *base = atomic_load(&guards[i].base);
        if (base != NULL && addr >= base && addr < base + guards[i].bytes) return &guards[i];
    }
    return NULL;
}

/* Map the page, or the whole range, of a copy that has it. Each copy is tried by a read first: a page that it does not
 * have either would fault again, for ever. */
static bool rescue(struct guard *g, char *base, char *page) {
    char byte;
    bool whole = atomic_load(&g->whole);
    char *from = whole ? base : page;
    size_t bytes = whole ? (size_t)g->bytes : (size_t)page_bytes;
    for (unsigned i = 0; i < atomic_load(&g->n_copies); i++) {
        if (pread(g->copies[i], &byte, 1, (off_t)(g->copies_offset + (uint64_t)(page - base))) != 1) continue;
        off_t offset = (off_t)(g->copies_offset + (uint64_t)(from - base));
        if (mmap(from, bytes, PROT_READ, MAP_SHARED | MAP_FIXED, g->copies[i], offset) == MAP_FAILED) continue;
        atomic_store(&g->rescued, true);
        return true;
    }
    return false;
}

/* Only async-signal-safe things happen here: atomics, pread(2), mmap(2), sigaction(2). */
static void on_bus_error(int signal, siginfo_t *info, void *context) {
    (void)context;
    char *addr = info->si_addr;
    struct guard *g = guard_of(addr);
    if (g != NULL) {
        char *page = (char *)((uintptr_t)addr & ~(uintptr_t)(page_bytes - 1));
        int sys = errno; /* of whatever was interrupted */
        bool rescued = rescue(g, atomic_load(&g->base), page);
        errno = sys;
        if (rescued) return; /* the instruction is repeated and finds the page */
        /* Zeros, so that the thread goes on to where it can be stopped: a compute thread of ggml cannot be unwound. */
        if (mmap(page, (size_t)page_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED) {
            if (!atomic_exchange(&g->faulted, true)) atomic_store(&g->offset, (uint64_t)(page - atomic_load(&g->base)));
            return;
        }
    }
    sigaction(signal, &previous,
              NULL); /* not ours: the instruction repeats, and the handler before ours gets the fault */
}

int hyp_mapping_guard(void *base, uint64_t bytes) {
    int handle = -1;
    pthread_mutex_lock(&lock);
    if (!installed) {
        page_bytes = sysconf(_SC_PAGESIZE);
        struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO | SA_RESTART};
        installed = sigaction(SIGBUS, &action, &previous) == 0;
    }
    for (int i = 0; i < HYP_MAPPING_MAX_GUARDS && handle < 0 && installed; i++) {
        if (atomic_load(&guards[i].base) != NULL) continue;
        /* The handler may run at any moment in any thread and takes no lock: `base` makes the entry visible, so it is
         * written when all the rest is in place. */
        guards[i].bytes = bytes;
        atomic_store(&guards[i].faulted, false);
        atomic_store(&guards[i].rescued, false);
        atomic_store(&guards[i].whole, false);
        atomic_store(&guards[i].n_copies, 0);
        atomic_store(&guards[i].base, base);
        handle = i;
    }
    pthread_mutex_unlock(&lock);
    return handle;
}

void hyp_mapping_guard_copies(int handle, const int *fds, size_t n, uint64_t offset) {
    if (handle < 0) return;
    struct guard *g = &guards[handle];
    for (size_t i = 0; i < n && i < HYP_MAPPING_MAX_COPIES; i++)
        g->copies[i] = fds[i];
    g->copies_offset = offset;
    atomic_store(&g->n_copies, (unsigned)(n < HYP_MAPPING_MAX_COPIES ? n : HYP_MAPPING_MAX_COPIES));
}

bool hyp_mapping_rescued(int handle) {
    return handle >= 0 && atomic_load(&guards[handle].rescued);
}

void hyp_mapping_rescue_whole(int handle) {
    if (handle >= 0) atomic_store(&guards[handle].whole, true);
}

void hyp_mapping_unguard(int handle) {
    if (handle >= 0) atomic_store(&guards[handle].base, NULL);
}

bool hyp_mapping_faulted(int handle, uint64_t *ret_offset) {
    if (handle < 0 || !atomic_load(&guards[handle].faulted)) return false;
    if (ret_offset != NULL) *ret_offset = atomic_load(&guards[handle].offset);
    return true;
}

/* guard.c - a page of a model that cannot be read ends the answer, not the process. Declared in mapping.h. */
#include "engine/mapping.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

static struct guard {
    _Atomic(char *) base; /* NULL: free. Written last when a guard is set, first when it is lifted */
    uint64_t bytes;
    atomic_bool faulted;
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

/* Only async-signal-safe things happen here: atomics, mmap(2), sigaction(2). */
static void on_bus_error(int signal, siginfo_t *info, void *context) {
    (void)context;
    char *addr = info->si_addr;
    struct guard *g = guard_of(addr);
    if (g != NULL) {
        char *page = (char *)((uintptr_t)addr & ~(uintptr_t)(page_bytes - 1));
        if (mmap(page, (size_t)page_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED) {
            if (!atomic_exchange(&g->faulted, true)) atomic_store(&g->offset, (uint64_t)(page - atomic_load(&g->base)));
            return;
        }
    }
    sigaction(signal, &previous, NULL); /* not ours: the fault repeats under whoever was there before */
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
        guards[i].bytes = bytes;
        atomic_store(&guards[i].faulted, false);
        atomic_store(&guards[i].base, base);
        handle = i;
    }
    pthread_mutex_unlock(&lock);
    return handle;
}

void hyp_mapping_unguard(int handle) {
    if (handle >= 0) atomic_store(&guards[handle].base, NULL);
}

bool hyp_mapping_faulted(int handle, uint64_t *ret_offset) {
    if (handle < 0 || !atomic_load(&guards[handle].faulted)) return false;
    if (ret_offset != NULL) *ret_offset = atomic_load(&guards[handle].offset);
    return true;
}

#include "host/process.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

/* Is `cpu` the first of its core's hyper-threads? True where the system does not report it. */
static int leads_its_core(int cpu) {
    char path[96];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    FILE *f = fopen(path, "re");
    if (f == NULL) return 1;
    int first = cpu;
    int n = fscanf(f, "%d", &first);
    fclose(f);
    return n != 1 || first == cpu;
}

int hyp_process_default_threads(void) {
    int n = 0;
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        int allowed = CPU_COUNT(&set);
        for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
            n += CPU_ISSET(cpu, &set) && leads_its_core(cpu);
        /* Pinned to siblings alone: every allowed one counts. */
        if (n == 0) n = allowed;
    }
    if (n == 0) n = (int)sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? n : 1;
}

uint64_t hyp_process_read_bytes(void) {
    unsigned long long bytes = 0;
    char line[128];
    FILE *f = fopen("/proc/self/io", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (sscanf(line, "read_bytes: %llu", &bytes) == 1) break;
    if (f != NULL) fclose(f);
    return bytes;
}

uint64_t hyp_process_major_faults(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_majflt : 0;
}

uint64_t hyp_process_peak_rss(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss * 1024 : 0;
}

uint64_t hyp_process_anonymous_bytes(void) {
    unsigned long long kib = 0;
    char line[128];
    FILE *f = fopen("/proc/self/status", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (sscanf(line, "RssAnon: %llu", &kib) == 1) break;
    if (f != NULL) fclose(f);
    return kib * 1024;
}

void hyp_process_trim_heap(void) {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

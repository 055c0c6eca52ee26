#include "host/process.h"

#include "hw/cpu.h"

#include <libproc.h>
#include <mach/mach.h>
#include <malloc/malloc.h>
#include <sys/resource.h>
#include <unistd.h>

int hyp_process_default_threads(void) {
    hyp_cpu cpu;
    hyp_cpu_probe(&cpu);
    return (int)cpu.cores;
}

uint64_t hyp_process_read_bytes(void) {
    struct rusage_info_v2 usage;
    return proc_pid_rusage(getpid(), RUSAGE_INFO_V2, (rusage_info_t *)&usage) == 0 ? usage.ri_diskio_bytesread : 0;
}

uint64_t hyp_process_major_faults(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_majflt : 0;
}

uint64_t hyp_process_peak_rss(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss : 0; /* bytes here */
}

uint64_t hyp_process_anonymous_bytes(void) {
    task_vm_info_data_t info = {0};
    mach_msg_type_number_t count = TASK_VM_INFO_COUNT;
    return task_info(mach_task_self(), TASK_VM_INFO, (task_info_t)&info, &count) == KERN_SUCCESS ? info.internal : 0;
}

void hyp_process_trim_heap(void) {
    malloc_zone_pressure_relief(NULL, 0);
}

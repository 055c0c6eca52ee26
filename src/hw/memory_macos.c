/* memory_macos.c - the kernel's own counts of pages. There are no control groups: what is free or can be freed at once
 * is available to the first process that asks. */
#include "hw/memory.h"

#include <errno.h>
#include <mach/mach.h>
#include <sys/sysctl.h>

int hyp_memory_probe(hyp_memory *ret, hyp_err *err) {
    hyp_memory memory = {.limited_by = HYP_MEMORY_NO_GROUP};
    size_t size = sizeof memory.total_bytes;
    if (sysctlbyname("hw.memsize", &memory.total_bytes, &size, NULL, 0) != 0)
        return hyp_err_set_sys(err, HYP_EIO, errno, "the system does not tell its memory");
    /* A send right for each call: the same port every time, whose count of users is given back below. */
    mach_port_t host = mach_host_self();
    vm_statistics64_data_t pages = {0};
    mach_msg_type_number_t count = HOST_VM_INFO64_COUNT;
    kern_return_t r = host_statistics64(host, HOST_VM_INFO64, (host_info64_t)&pages, &count);
    mach_port_deallocate(mach_task_self(), host);
    if (r != KERN_SUCCESS)
        return hyp_err_set(err, HYP_EIO, "the system does not tell its free memory: %s", mach_error_string(r));
    /* Speculative pages are counted as free. Inactive ones are clean file pages, or go to the compressor. */
    uint64_t reclaimable = (uint64_t)pages.free_count + pages.inactive_count + pages.purgeable_count;
    memory.system_available_bytes = reclaimable * vm_kernel_page_size;
    if (memory.system_available_bytes > memory.total_bytes) memory.system_available_bytes = memory.total_bytes;
    memory.available_bytes = memory.system_available_bytes;
    struct xsw_usage swap = {0};
    size = sizeof swap;
    if (sysctlbyname("vm.swapusage", &swap, &size, NULL, 0) == 0) {
        memory.swap_total_bytes = swap.xsu_total;
        memory.swap_free_bytes = swap.xsu_avail;
    }
    *ret = memory;
    return HYP_OK;
}

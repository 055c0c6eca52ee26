/* mapping_macos.c - finds the model's files among the mappings of this process, which the kernel lists with their
 * files.
 *
 * Nothing is interposed. A library's calls go to the library that they were linked with (two-level namespaces),
 * whatever the executable defines; dyld takes interposing tuples (__DATA,__interpose) from libraries alone, never from
 * the executable. And nothing need be: libllama knows MAP_POPULATE only on Linux, and of a WILLNEED the kernel reads
 * one transfer's worth at most (vm_map_willneed in xnu: MAX_UPL_TRANSFER_BYTES), not the file. */
#include "host/mapping_priv.h"

#include <libproc.h>
#include <sys/proc_info.h>
#include <unistd.h>

void hyp_mapping_search(void) {
    struct proc_regionwithpathinfo region;
    const pid_t self = getpid();
    /* The region at `at` or the first behind it, as long as there is one; several parts of one file may be mapped. */
    for (uint64_t at = 0;
         proc_pidinfo(self, PROC_PIDREGIONPATHINFO, at, &region, sizeof region) == (int)sizeof region;) {
        const struct proc_regioninfo *r = &region.prp_prinfo;
        const struct vinfo_stat *file = &region.prp_vip.vip_vi.vi_stat;
        int index = hyp_mapping_watched((dev_t)file->vst_dev, (ino_t)file->vst_ino);
        /* Any part will do: libllama unmaps the first pages, where no weights are. */
        if (index >= 0) hyp_mapping_found(index, (void *)(uintptr_t)(r->pri_address - r->pri_offset));
        if (r->pri_address + r->pri_size <= at) return;
        at = r->pri_address + r->pri_size;
    }
}

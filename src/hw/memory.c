/* memory.c - what of the memory is ours; what there is: memory_linux.c, memory_macos.c. */
#include "hw/memory.h"

#include "base/mem.h"

uint64_t hyp_memory_headroom(uint64_t available_bytes) {
    const uint64_t mib = (uint64_t)1 << 20;
    uint64_t headroom = HYP_MIN(HYP_MAX(available_bytes / 20, 512 * mib), 4096 * mib);
    return HYP_MIN(headroom, available_bytes / 4);
}

uint64_t hyp_memory_budget(const hyp_memory *memory) {
    return memory->available_bytes - hyp_memory_headroom(memory->available_bytes);
}

#include "hw/cpu.h"

#include "base/mem.h"

#include <stdint.h>
#include <string.h>
#include <sys/sysctl.h>

/* What sysctl calls the instruction sets that cpu_linux.c knows. */
static const struct {
    const char *key, *name;
} known[] = {
    {"hw.optional.sse4_2", "sse4_2"},      {"hw.optional.avx1_0", "avx"},
    {"hw.optional.avx2_0", "avx2"},        {"hw.optional.fma", "fma"},
    {"hw.optional.f16c", "f16c"},          {"hw.optional.avx512f", "avx512f"},
    {"hw.optional.AdvSIMD", "asimd"},      {"hw.optional.arm.FEAT_DotProd", "asimddp"},
    {"hw.optional.arm.FEAT_I8MM", "i8mm"}, {"hw.optional.arm.FEAT_BF16", "bf16"},
    {"hw.optional.arm.FEAT_SME", "sme"},
};

/* 0 where the system does not know `key`. */
static uint32_t number(const char *key) {
    int32_t value = 0;
    size_t size = sizeof value;
    return sysctlbyname(key, &value, &size, NULL, 0) == 0 && size == sizeof value && value > 0 ? (uint32_t)value : 0;
}

void hyp_cpu_probe(hyp_cpu *ret) {
    hyp_cpu cpu = {0};
    size_t size = sizeof cpu.name, n = 0;
    if (sysctlbyname("machdep.cpu.brand_string", cpu.name, &size, NULL, 0) != 0 || cpu.name[0] == '\0')
        snprintf(cpu.name, sizeof cpu.name, "unknown");
    cpu.name[sizeof cpu.name - 1] = '\0';
    cpu.logical = HYP_MAX(number("hw.logicalcpu"), 1u);
    /* All threads of a matrix product wait for the slowest: efficiency cores (level 1) would only hold the others up.
     */
    cpu.cores = number("hw.perflevel0.physicalcpu");
    if (cpu.cores == 0) cpu.cores = number("hw.physicalcpu");
    cpu.cores = HYP_MAX(HYP_MIN(cpu.cores, cpu.logical), 1u);
    for (size_t i = 0; i < HYP_ARRAY_LEN(known) && n < sizeof cpu.isa; i++)
        if (number(known[i].key) > 0)
            n += (size_t)snprintf(cpu.isa + n, sizeof cpu.isa - n, "%s%s", n > 0 ? " " : "", known[i].name);
    *ret = cpu;
}

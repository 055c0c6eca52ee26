#include "hw/cpu.h"

#include "base/mem.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* Names as /proc/cpuinfo spells them, on x86 ("flags") and on arm64 ("Features"). */
static const char *const known[] = {"sse4_2",   "avx",      "avx2",        "fma",         "f16c",
                                    "avx_vnni", "avx512f",  "avx512_vnni", "avx512_bf16", "avx512_fp16",
                                    "amx_int8", "amx_bf16", "asimd",       "asimddp",     "i8mm",
                                    "bf16",     "sve",      "sve2",        "sme"};

static FILE *open_at(const char *root, const char *path) {
    char full[512];
    int n = snprintf(full, sizeof full, "%s%s", root, path);
    return n > 0 && (size_t)n < sizeof full ? fopen(full, "re") : NULL;
}

static bool has_word(const char *text, const char *word) {
    size_t n = strlen(word);
    for (const char *at = text; (at = strstr(at, word)) != NULL; at += n)
        if ((at == text || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0' || at[n] == '\n')) return true;
    return false;
}

static void take_flags(const char *text, hyp_cpu *cpu) {
    size_t n = 0;
    for (size_t i = 0; i < HYP_ARRAY_LEN(known) && n < sizeof cpu->isa; i++)
        if (has_word(text, known[i]))
            n += (size_t)snprintf(cpu->isa + n, sizeof cpu->isa - n, "%s%s", n > 0 ? " " : "", known[i]);
}

static void read_cpuinfo(const char *root, hyp_cpu *cpu) {
    FILE *f = open_at(root, "/proc/cpuinfo");
    char *line = NULL;
    size_t size = 0;
    while (f != NULL && getline(&line, &size, f) > 0) {
        char *colon = strchr(line, ':');
        if (colon == NULL) continue;
        const char *value = colon + 1 + strspn(colon + 1, " \t");
        if (strncmp(line, "model name", 10) == 0 && cpu->name[0] == '\0')
            snprintf(cpu->name, sizeof cpu->name, "%.*s", (int)strcspn(value, "\n"), value);
        bool flags = strncmp(line, "flags", 5) == 0 || strncmp(line, "Features", 8) == 0;
        if (flags && cpu->isa[0] == '\0') take_flags(value, cpu);
        if (cpu->name[0] != '\0' && cpu->isa[0] != '\0') break; /* the first processor stands for all */
    }
    free(line);
    if (f != NULL) fclose(f);
}

/* The first processor of the core that `processor` belongs to: equal for the threads of one core. */
static long core_of(const char *root, int processor) {
    char path[96];
    long core = processor;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", processor);
    FILE *f = open_at(root, path);
    if (f == NULL) return core;
    if (fscanf(f, "%ld", &core) != 1) core = processor;
    fclose(f);
    return core;
}

/* Whole processors that a version-2 quota leaves ("max 100000", "150000 100000"), or 0 for no limit. Rounded up: with a
 * processor and a half two threads are faster than one, though both are throttled. */
static uint32_t quota(const char *root) {
    FILE *f = open_at(root, "/sys/fs/cgroup/cpu.max");
    double share = 0, period = 0;
    if (f == NULL) return 0;
    if (fscanf(f, "%lf %lf", &share, &period) != 2) share = 0;
    fclose(f);
    return share > 0 && period > 0 ? (uint32_t)((share + period - 1) / period) : 0;
}

static void count_cores(const char *root, hyp_cpu *cpu) {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    /* What this process may use, not what the machine has: taskset, containers and batch systems narrow it. */
    bool known_set = sched_getaffinity(0, sizeof allowed, &allowed) == 0;
    bool seen[CPU_SETSIZE] = {false};
    for (int i = 0; known_set && i < CPU_SETSIZE; i++) {
        if (!CPU_ISSET(i, &allowed)) continue;
        long core = core_of(root, i);
        cpu->logical++;
        if (core >= 0 && core < CPU_SETSIZE && seen[core]) continue;
        if (core >= 0 && core < CPU_SETSIZE) seen[core] = true;
        cpu->cores++;
    }
    uint32_t most = quota(root);
    if (most > 0) cpu->logical = HYP_MIN(cpu->logical, most);
    cpu->logical = HYP_MAX(cpu->logical, 1u);
    cpu->cores = HYP_MAX(HYP_MIN(cpu->cores, cpu->logical), 1u);
}

/* The largest of the first processor's caches: "32768K", "260M". */
static uint64_t last_cache(const char *root) {
    enum { MAX_INDEX = 8 };
    uint64_t largest = 0;
    for (int i = 0; i < MAX_INDEX; i++) {
        char path[96], unit = 0;
        unsigned long long n = 0;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
        FILE *f = open_at(root, path);
        if (f == NULL) break;
        int fields = fscanf(f, "%llu%c", &n, &unit);
        fclose(f);
        if (fields < 1 || n > 1u << 30) continue;
        uint64_t bytes = unit == 'K' ? n << 10 : unit == 'M' ? n << 20 : n;
        largest = HYP_MAX(largest, bytes);
    }
    return largest;
}

void hyp_cpu_probe_at(const char *root, hyp_cpu *ret) {
    *ret = (hyp_cpu){0};
    read_cpuinfo(root, ret);
    count_cores(root, ret);
    ret->cache_bytes = last_cache(root);
    if (ret->name[0] == '\0') snprintf(ret->name, sizeof ret->name, "unknown");
}

void hyp_cpu_probe(hyp_cpu *ret) {
    hyp_cpu_probe_at("", ret);
}

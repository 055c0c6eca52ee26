#include "engine/context_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ggml's names of memory that is the machine's own: "CPU", "CPU_REPACK", "Vulkan_Host". */
static bool is_host(const char *name, size_t n) {
    static const char pinned[] = "_Host";
    const size_t n_pinned = sizeof pinned - 1;
    return (n >= 3 && memcmp(name, "CPU", 3) == 0) ||
           (n > n_pinned && memcmp(name + n - n_pinned, pinned, n_pinned) == 0);
}

/* "8.00 MiB" in bytes. */
static bool read_size(const char *text, uint64_t *ret) {
    char *end;
    const double mib = strtod(text, &end);
    if (end == text || strncmp(end, " MiB", 4) != 0 || !(mib >= 0 && mib < 1e9)) return false;
    *ret = (uint64_t)(mib * 1048576);
    return true;
}

/* Is `kind` the last word of [name_end, at)? */
static bool is_kind(const char *name_end, const char *at, const char *kind) {
    const size_t n = strlen(kind);
    return (size_t)(at - name_end) > n && memcmp(at - n, kind, n) == 0;
}

/* Lines look like "llama_kv_cache:        CPU KV buffer size =     8.00 MiB": who, where, what, and how much. */
void hyp_context_memory_add(hyp_context_memory *memory, const char *line) {
    static const char lead[] = " buffer size = ";
    const char *at = strstr(line, " buffer size"), *name = strstr(line, ": ");
    if (at == NULL) return;
    uint64_t bytes = 0;
    if (name != NULL) name += 2 + strspn(name + 2, " ");
    if (name == NULL || name >= at || strncmp(at, lead, sizeof lead - 1) != 0 ||
        !read_size(at + sizeof lead - 1, &bytes)) {
        if (memory->not_understood[0] == '\0')
            snprintf(memory->not_understood, sizeof memory->not_understood, "%.*s", (int)strcspn(line, "\n"), line);
        return;
    }
    const char *name_end = name + strcspn(name, " ");
    if (is_kind(name_end, at, "model")) return; /* weights, of another load that goes on meanwhile */
    if (is_kind(name_end, at, "output")) memory->has_output = true;
    if (is_kind(name_end, at, "compute")) memory->has_compute = true;
    if (is_host(name, (size_t)(name_end - name))) memory->host_bytes += bytes;
}

const char *hyp_context_memory_flaw(const hyp_context_memory *memory) {
    if (memory->not_understood[0] != '\0') return "it has a line that is not understood: ";
    if (!memory->has_compute) return "it has no line about a compute buffer";
    if (!memory->has_output) return "it has no line about an output buffer";
    return NULL;
}

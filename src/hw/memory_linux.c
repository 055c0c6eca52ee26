#include "hw/memory.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 1 << 20, FIELDS_MAX = 32 };

/* A file of /proc or /sys does not report its size beforehand: read until it ends. NULL when it cannot be read. */
static char *read_text(const char *root, const char *path) {
    char full[PATH_MAX];
    if (snprintf(full, sizeof full, "%s%s", root, path) >= (int)sizeof full) return NULL;
    HYP_AUTOCLOSE int fd = open(full, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return NULL;
    size_t n = 0, capacity = 4096;
    HYP_AUTOFREE char *text = malloc(capacity);
    while (text != NULL) {
        ssize_t r = read(fd, text + n, capacity - n - 1);
        if (r < 0 && errno == EINTR) continue;
        if (r < 0) return NULL;
        if (r == 0) break;
        n += (size_t)r;
        if (n + 1 < capacity) continue;
        if (capacity >= TEXT_MAX) return NULL;
        char *larger = realloc(text, capacity * 2);
        if (larger == NULL) return NULL;
        text = larger;
        capacity *= 2;
    }
    if (text != NULL) text[n] = '\0';
    return HYP_TAKE(text);
}

/* The number after `key` at the start of a line of `text` ("MemTotal:  12 kB", "inactive_file 12"). */
static bool find_number(const char *text, const char *key, uint64_t *ret) {
    size_t n = strlen(key);
    for (const char *line = text; line != NULL && *line != '\0';) {
        /* Followed by a separator: "inactive" must not match "inactive_file". */
        if (strncmp(line, key, n) == 0 && (line[n] == ' ' || line[n] == ':' || line[n] == '\t')) {
            char *end;
            const char *start = line + n + (line[n] == ':');
            uint64_t value = strtoull(start, &end, 10);
            if (end == start) return false;
            *ret = value;
            return true;
        }
        line = strchr(line, '\n');
        if (line != NULL) line++;
    }
    return false;
}

/* The number in `folder`/`file`; "max" and what is as good as unlimited become UINT64_MAX. */
static bool read_number(const char *root, const char *folder, const char *file, uint64_t *ret) {
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", folder, file) >= (int)sizeof path) return false;
    HYP_AUTOFREE char *text = read_text(root, path);
    if (text == NULL) return false;
    if (strncmp(text, "max", 3) == 0) {
        *ret = UINT64_MAX;
        return true;
    }
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    if (end == text) return false;
    /* Version 1 writes "no limit" as the largest page-aligned long. */
    *ret = value >= (uint64_t)1 << 62 ? UINT64_MAX : value;
    return true;
}

static uint64_t read_reclaimable(const char *root, const char *folder, int version) {
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/memory.stat", folder) >= (int)sizeof path) return 0;
    HYP_AUTOFREE char *text = read_text(root, path);
    uint64_t active = 0, inactive = 0;
    if (text == NULL) return 0;
    /* Version 1 counts children only under the "total_" names; version 2 always counts them. */
    bool found =
        version == 1
            ? find_number(text, "total_active_file", &active) && find_number(text, "total_inactive_file", &inactive)
            : find_number(text, "active_file", &active) && find_number(text, "inactive_file", &inactive);
    return found ? active + inactive : 0;
}

/* Add the group at `folder` if it has a limit. */
static void add_group(const char *root, const char *folder, int version, hyp_memory *memory) {
    hyp_memory_group group = {.version = version, .limit_bytes = UINT64_MAX};
    uint64_t high = UINT64_MAX;
    bool known = version == 1 ? read_number(root, folder, "memory.limit_in_bytes", &group.limit_bytes) &&
                                    read_number(root, folder, "memory.usage_in_bytes", &group.usage_bytes)
                              : read_number(root, folder, "memory.max", &group.limit_bytes) &&
                                    read_number(root, folder, "memory.current", &group.usage_bytes);
    /* Above memory.high the kernel does not kill but stalls the process, which is no better for us. */
    if (known && version == 2 && read_number(root, folder, "memory.high", &high))
        group.limit_bytes = HYP_MIN(group.limit_bytes, high);
    if (!known || group.limit_bytes == UINT64_MAX || memory->n_groups == HYP_MEMORY_MAX_GROUPS) return;
    group.reclaimable_bytes = HYP_MIN(read_reclaimable(root, folder, version), group.usage_bytes);
    /* The page cache of the group counts as used, but the kernel drops it before it enforces the limit. */
    uint64_t held = group.usage_bytes - group.reclaimable_bytes;
    group.available_bytes = group.limit_bytes > held ? group.limit_bytes - held : 0;
    size_t n = strlen(folder);
    /* Of a path that is too long the end is kept: it names the group. */
    memcpy(group.path, n < sizeof group.path ? folder : folder + n - (sizeof group.path - 1),
           HYP_MIN(n, sizeof group.path - 1));
    memory->groups[memory->n_groups++] = group;
}

/* Walk from the process's group up to the mount point. `group` is the path of /proc/self/cgroup, `mounted` the part of
 * the hierarchy that the mount shows: a container often sees only its own subtree, or a path outside it ("/../..": then
 * the mount point itself is the nearest group that can be read). */
static void walk_groups(const char *root, const char *mount_point, const char *mounted, const char *group, int version,
                        hyp_memory *memory) {
    size_t prefix = strcmp(mounted, "/") == 0 ? 0 : strlen(mounted);
    const char *below = "";
    if (strncmp(group, mounted, prefix) == 0 && (group[prefix] == '/' || group[prefix] == '\0') &&
        strstr(group, "/..") == NULL)
        below = group + prefix;
    char folder[PATH_MAX];
    size_t base = strlen(mount_point);
    int n = snprintf(folder, sizeof folder, "%s%s", mount_point, below);
    if (n < 0 || (size_t)n >= sizeof folder) return;
    while (n > 0 && folder[n - 1] == '/')
        folder[--n] = '\0';
    for (;;) { /* every group above has a limit of its own, and the tightest one counts */
        add_group(root, folder, version, memory);
        char *slash = strrchr(folder, '/');
        if (slash == NULL || strlen(folder) <= base) break;
        *slash = '\0';
    }
}

/* Split `line` at blanks in place. mountinfo writes a blank inside a path as "\040", which unescape() decodes. */
static size_t split(char *line, char **ret_fields, size_t max) {
    size_t n = 0;
    char *rest = NULL;
    for (char *field = strtok_r(line, " ", &rest); field != NULL && n < max; field = strtok_r(NULL, " ", &rest))
        ret_fields[n++] = field;
    return n;
}

/* Turn the "\ooo" of mountinfo into the bytes they stand for, in place. */
static void unescape(char *text) {
    char *out = text;
    for (const char *in = text; *in != '\0'; out++) {
        bool octal = in[0] == '\\' && in[1] >= '0' && in[1] <= '3' && in[2] >= '0' && in[2] <= '7' && in[3] >= '0' &&
                     in[3] <= '7';
        *out = octal ? (char)((in[1] - '0') * 64 + (in[2] - '0') * 8 + (in[3] - '0')) : *in;
        in += octal ? 4 : 1;
    }
    *out = '\0';
}

static bool has_word(const char *list, const char *word) {
    size_t n = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += n)
        if ((at == list || at[-1] == ',') && (at[n] == ',' || at[n] == '\0')) return true;
    return false;
}

/* The process's group in the hierarchy of `version`: lines "ID:CONTROLLERS:PATH", version 2 with ID 0 and none named.
 */
static bool own_group(const char *cgroup, int version, char *ret_path, size_t size) {
    for (const char *line = cgroup; line != NULL && *line != '\0';) {
        const char *end = strchrnul(line, '\n'), *first = memchr(line, ':', (size_t)(end - line));
        const char *second = first != NULL ? memchr(first + 1, ':', (size_t)(end - first - 1)) : NULL;
        if (second != NULL) {
            char names[256];
            snprintf(names, sizeof names, "%.*s", (int)(second - first - 1), first + 1);
            size_t n = (size_t)(end - second - 1);
            if ((version == 2 ? names[0] == '\0' : has_word(names, "memory")) && n < size) {
                memcpy(ret_path, second + 1, n);
                ret_path[n] = '\0';
                return true;
            }
        }
        line = *end != '\0' ? end + 1 : NULL;
    }
    return false;
}

static void probe_groups(const char *root, hyp_memory *memory) {
    HYP_AUTOFREE char *cgroup = read_text(root, "/proc/self/cgroup");
    HYP_AUTOFREE char *mounts = read_text(root, "/proc/self/mountinfo");
    if (cgroup == NULL || mounts == NULL) return;
    char *rest = NULL;
    for (char *line = strtok_r(mounts, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        char *fields[FIELDS_MAX], group[PATH_MAX];
        size_t n = split(line, fields, FIELDS_MAX), dash = 6;
        while (dash < n && strcmp(fields[dash], "-") != 0)
            dash++;
        if (dash + 3 >= n) continue;
        int version = strcmp(fields[dash + 1], "cgroup2") == 0 ? 2 : strcmp(fields[dash + 1], "cgroup") == 0 ? 1 : 0;
        if (version == 0 || (version == 1 && !has_word(fields[dash + 3], "memory"))) continue;
        if (!own_group(cgroup, version, group, sizeof group)) continue;
        unescape(fields[3]);
        unescape(fields[4]);
        walk_groups(root, fields[4], fields[3], group, version, memory);
    }
}

int hyp_memory_probe_at(const char *root, hyp_memory *ret, hyp_err *err) {
    HYP_AUTOFREE char *text = read_text(root, "/proc/meminfo");
    hyp_memory memory = {.limited_by = HYP_MEMORY_NO_GROUP};
    uint64_t total, available, swap_total = 0, swap_free = 0;
    if (text == NULL) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot read %s/proc/meminfo", root);
    if (!find_number(text, "MemTotal", &total) || !find_number(text, "MemAvailable", &available))
        return hyp_err_set(err, HYP_EIO, "%s/proc/meminfo does not tell MemTotal and MemAvailable", root);
    if (!find_number(text, "SwapTotal", &swap_total) || !find_number(text, "SwapFree", &swap_free))
        swap_total = swap_free = 0;
    memory.total_bytes = total * 1024;
    memory.system_available_bytes = memory.available_bytes = available * 1024;
    memory.swap_total_bytes = swap_total * 1024;
    memory.swap_free_bytes = swap_free * 1024;
    probe_groups(root, &memory);
    for (size_t i = 0; i < memory.n_groups; i++)
        if (memory.groups[i].available_bytes < memory.available_bytes) {
            memory.available_bytes = memory.groups[i].available_bytes;
            memory.limited_by = (int)i;
        }
    *ret = memory;
    return HYP_OK;
}

int hyp_memory_probe(hyp_memory *ret, hyp_err *err) {
    return hyp_memory_probe_at("", ret, err);
}

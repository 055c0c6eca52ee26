#include "bench/bench_group_priv.h"

#include "base/mem.h"
#include "bench/bench_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* "memory" as one of the names between two colons, which commas separate. */
static bool names_memory(const char *names, size_t n) {
    for (const char *at = names; at < names + n;) {
        size_t left = (size_t)(names + n - at);
        const char *comma = memchr(at, ',', left);
        size_t length = comma != NULL ? (size_t)(comma - at) : left;
        if (length == 6 && memcmp(at, "memory", 6) == 0) return true;
        at += length + 1;
    }
    return false;
}

bool hyp_bench_group_own(const char *cgroup, int version, char *ret_path, size_t size) {
    for (const char *line = cgroup; line != NULL && *line != '\0';) {
        size_t length = strcspn(line, "\n");
        const char *first = memchr(line, ':', length);
        const char *second = first != NULL ? memchr(first + 1, ':', length - (size_t)(first + 1 - line)) : NULL;
        if (second != NULL) {
            size_t n_names = (size_t)(second - first - 1), n = length - (size_t)(second + 1 - line);
            bool ours = version == 2 ? n_names == 0 : names_memory(first + 1, n_names);
            if (ours && n > 0 && n < size && second[1] == '/') {
                memcpy(ret_path, second + 1, n);
                ret_path[n] = '\0';
                return strstr(ret_path, "/..") == NULL;
            }
        }
        line += length + (line[length] == '\n');
    }
    return false;
}

static bool write_file(const char *folder, const char *file, const char *text) {
    char path[600];
    if (snprintf(path, sizeof path, "%s/%s", folder, file) >= (int)sizeof path) return false;
    HYP_AUTOCLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* A group in `folder`, if the system lets us limit its memory. */
static bool make_in(const char *folder, int version, uint64_t limit_bytes, hyp_bench_group *ret) {
    hyp_bench_group group = {.limit_bytes = limit_bytes, .version = version, .procs_fd = -1};
    char number[32], procs[600];
    if (snprintf(group.path, sizeof group.path, "%s/hypura-bench-%d", folder, (int)getpid()) >= (int)sizeof group.path)
        return false;
    if (mkdir(group.path, 0755) != 0) return false;
    snprintf(number, sizeof number, "%llu", (unsigned long long)limit_bytes);
    snprintf(procs, sizeof procs, "%s/cgroup.procs", group.path);
    if (write_file(group.path, version == 1 ? "memory.limit_in_bytes" : "memory.max", number))
        group.procs_fd = open(procs, O_WRONLY | O_CLOEXEC);
    if (group.procs_fd < 0) {
        rmdir(group.path);
        return false;
    }
    *ret = group;
    return true;
}

/* In the process's own group, else in one that encloses it: version 2 lets no group have both processes and limited
 * children, and users may write only below what was delegated to them. */
static bool make_below(const char *mount_point, const char *own, int version, uint64_t limit, hyp_bench_group *ret) {
    char folder[512];
    int n = snprintf(folder, sizeof folder, "%s%s", mount_point, strcmp(own, "/") == 0 ? "" : own);
    if (n < 0 || (size_t)n >= sizeof folder) return false;
    for (;;) {
        if (make_in(folder, version, limit, ret)) return true;
        char *slash = strrchr(folder, '/');
        if (slash == NULL || strlen(folder) <= strlen(mount_point)) return false;
        *slash = '\0';
    }
}

int hyp_bench_group_make(uint64_t limit_bytes, hyp_bench_group *ret, hyp_err *err) {
    static const struct {
        const char *mount_point;
        int version;
    } places[] = {{"/sys/fs/cgroup/memory", 1}, {"/sys/fs/cgroup", 2}};
    char cgroup[8192];
    hyp_bench_read_text("", "/proc/self/cgroup", cgroup, sizeof cgroup);
    for (size_t i = 0; i < HYP_ARRAY_LEN(places); i++) {
        char own[400] = "/";
        /* A container may be given a path outside what it sees: then the mount point is the nearest group. */
        if (!hyp_bench_group_own(cgroup, places[i].version, own, sizeof own)) snprintf(own, sizeof own, "/");
        if (make_below(places[i].mount_point, own, places[i].version, limit_bytes, ret)) return HYP_OK;
    }
    return hyp_err_set(err, HYP_EUNSUPPORTED, "no memory control group can be made here");
}

void hyp_bench_group_remove(hyp_bench_group *group) {
    if (group->path[0] == '\0') return;
    if (group->procs_fd >= 0) close(group->procs_fd);
    group->procs_fd = -1;
    /* Version 1 keeps what page cache was charged to the group: let it go with it. The last process leaves a little
     * after it was waited for. */
    if (group->version == 1) write_file(group->path, "memory.force_empty", "0");
    for (int i = 0; i < 20 && rmdir(group->path) != 0 && errno == EBUSY; i++)
        nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
    group->path[0] = '\0';
}

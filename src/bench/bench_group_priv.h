/* bench_group_priv.h - a memory control group for the children of a measurement: a small machine inside this one. */
#pragma once
#include "base/err.h"

typedef struct hyp_bench_group {
    char path[512];
    uint64_t limit_bytes;
    int version;  /* 1 or 2 */
    int procs_fd; /* of its cgroup.procs; what writes "0" there joins */
} hyp_bench_group;

/* Make a group of `limit_bytes`, page cache included, as deep below this process's own group as the system allows.
 * Usually needs root. End it with hyp_bench_group_remove() when its last process is gone. Errors: HYP_EUNSUPPORTED (no
 * control groups of memory here, or no right to make one). */
HYP_NODISCARD int hyp_bench_group_make(uint64_t limit_bytes, hyp_bench_group *ret, hyp_err *err);
void hyp_bench_group_remove(hyp_bench_group *group);

/* The process's own group in the hierarchy of `version`, from the text of /proc/self/cgroup: "/a/b", "/" for the root.
 * False when it has none, or one outside of what is mounted ("/../x"). Pure. */
bool hyp_bench_group_own(const char *cgroup, int version, char *ret_path, size_t size);

/* The memory probe over copies of /proc and /sys: one folder a test. */
#include "../test.h"
#include "hw/memory.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MIB = 1 << 20 };
static char root[64];

static void put(const char *path, const char *text) {
    char full[PATH_MAX];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *slash = strchr(full + strlen(root) + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(full, 0700);
        *slash = '/';
    }
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int set_up(void **state) {
    (void)state;
    strcpy(root, "/tmp/hypura-memory-XXXXXX");
    if (mkdtemp(root) == NULL) return -1;
    put("/proc/meminfo", "MemTotal:       16777216 kB\nMemFree: 1 kB\nMemAvailable:    8388608 kB\n"
                         "SwapTotal:       2048 kB\nSwapFree:        1024 kB\n");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

static hyp_memory probe(void) {
    hyp_memory m;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_memory_probe_at(root, &m, &err), HYP_OK);
    return m;
}

static void without_groups_it_is_the_machine(void **state) {
    (void)state;
    hyp_memory m = probe();
    assert_int_equal(m.total_bytes, 16384ull * MIB);
    assert_int_equal(m.available_bytes, 8192ull * MIB);
    assert_int_equal(m.swap_total_bytes, 2 * MIB);
    assert_int_equal(m.swap_free_bytes, MIB);
    assert_int_equal(m.limited_by, HYP_MEMORY_NO_GROUP);
    assert_int_equal(m.n_groups, 0);
}

static void version_2_counts_parents_and_page_cache(void **state) {
    (void)state;
    put("/proc/self/cgroup", "0::/user.slice/run.scope\n");
    put("/proc/self/mountinfo", "24 1 0:22 / /proc rw - proc proc rw\n"
                                "31 24 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
    put("/sys/fs/cgroup/user.slice/run.scope/memory.max", "max\n");
    put("/sys/fs/cgroup/user.slice/run.scope/memory.current", "104857600\n");
    put("/sys/fs/cgroup/user.slice/memory.max", "4294967296\n");
    put("/sys/fs/cgroup/user.slice/memory.high", "max\n");
    put("/sys/fs/cgroup/user.slice/memory.current", "1073741824\n");
    put("/sys/fs/cgroup/user.slice/memory.stat",
        "anon 1\nfile 2\ninactive_anon 9\nactive_file 104857600\ninactive_file 419430400\n");
    hyp_memory m = probe();
    assert_int_equal(m.n_groups, 1);
    assert_int_equal(m.groups[0].version, 2);
    assert_int_equal(m.groups[0].reclaimable_bytes, 500 * MIB);
    assert_int_equal(m.available_bytes, (4096ull - 1024 + 500) * MIB);
    assert_int_equal(m.limited_by, 0);
    /* A soft limit stalls the process: it counts as the limit. */
    put("/sys/fs/cgroup/user.slice/memory.high", "2147483648\n");
    assert_int_equal(probe().available_bytes, (2048ull - 1024 + 500) * MIB);
    /* What is used beyond a limit leaves nothing, and does not wrap. */
    put("/sys/fs/cgroup/user.slice/memory.high", "1048576\n");
    assert_int_equal(probe().available_bytes, 0);
    assert_int_equal(hyp_memory_budget(&(hyp_memory){0}), 0);
}

static void version_1_knows_no_limit_and_containers(void **state) {
    (void)state;
    put("/proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/docker/ab/inner\n1:cpu:/\n0::/\n");
    put("/proc/self/mountinfo",
        "35 31 0:32 /docker/ab /sys/fs/cgroup/me\\040m rw master:3 - cgroup cgroup rw,cpu,memory\n"
        "36 31 0:33 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices\n");
    put("/sys/fs/cgroup/me m/memory.limit_in_bytes", "2147483648\n");
    put("/sys/fs/cgroup/me m/memory.usage_in_bytes", "1610612736\n");
    put("/sys/fs/cgroup/me m/memory.stat",
        "active_file 1\ninactive_file 1\ntotal_active_file 536870912\ntotal_inactive_file 1048576\n");
    put("/sys/fs/cgroup/me m/inner/memory.limit_in_bytes", "9223372036854771712\n");
    put("/sys/fs/cgroup/me m/inner/memory.usage_in_bytes", "1024\n");
    hyp_memory m = probe();
    assert_int_equal(m.n_groups, 1);
    assert_int_equal(m.groups[0].version, 1);
    assert_int_equal(m.available_bytes, (2048ull - 1536 + 513) * MIB);
    /* A path outside what the mount shows: the mount point is the nearest that can be read. */
    put("/proc/self/cgroup", "4:memory:/elsewhere\n");
    assert_int_equal(probe().n_groups, 1);
    put("/proc/self/cgroup", "4:memory:/docker/ab/../..\n");
    assert_int_equal(probe().n_groups, 1);
}

static void nonsense_is_left_out(void **state) {
    (void)state;
    put("/proc/self/cgroup", "garbage\n::\n0::\n4:memory\n");
    put("/proc/self/mountinfo", "\n1 2 3\n1 2 0:1 / /x rw - cgroup2\n1 2 0:1 / /x rw - cgroup2 cgroup2 rw\n");
    put("/x/memory.max", "none\n");
    put("/x/memory.current", "");
    assert_int_equal(probe().available_bytes, 8192ull * MIB);
    put("/proc/meminfo", "MemTotal: x\n");
    hyp_memory m = {.total_bytes = 7};
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_memory_probe_at(root, &m, &err), HYP_EIO);
    assert_int_equal(m.total_bytes, 7);
    assert_true(err.message[0] != '\0');
}

static void headroom_follows_its_rule(void **state) {
    (void)state;
    assert_int_equal(hyp_memory_headroom(0), 0);
    assert_int_equal(hyp_memory_headroom(1024ull * MIB), 256ull * MIB);
    assert_int_equal(hyp_memory_headroom(8192ull * MIB), 512ull * MIB);
    assert_int_equal(hyp_memory_headroom(20480ull * MIB), 1024ull * MIB);
    assert_int_equal(hyp_memory_headroom(1024ull * 1024 * MIB), 4096ull * MIB);
}

static void this_machine_answers(void **state) {
    (void)state;
    hyp_memory m;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_memory_probe(&m, &err), HYP_OK);
    assert_true(m.total_bytes > 0 && m.available_bytes <= m.total_bytes);
    assert_true(hyp_memory_budget(&m) <= m.available_bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_groups_it_is_the_machine, set_up, tear_down),
        cmocka_unit_test_setup_teardown(version_2_counts_parents_and_page_cache, set_up, tear_down),
        cmocka_unit_test_setup_teardown(version_1_knows_no_limit_and_containers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nonsense_is_left_out, set_up, tear_down),
        cmocka_unit_test(headroom_follows_its_rule),
        cmocka_unit_test(this_machine_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The processor as a copy of /proc and /sys describes it; affinity is this machine's own. */
#include "../test.h"
#include "hw/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];

static void put(const char *path, const char *text) {
    char full[256];
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
    strcpy(root, "/tmp/hypura-cpu-XXXXXX");
    return mkdtemp(root) != NULL ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

static void name_and_instruction_sets(void **state) {
    (void)state;
    hyp_cpu cpu;
    put("/proc/cpuinfo",
        "processor\t: 0\nmodel name\t: Test CPU 9000\nflags\t\t: fpu avx2 avx512f avx512_vnni avx512_vnni_not\n");
    hyp_cpu_probe_at(root, &cpu);
    assert_string_equal(cpu.name, "Test CPU 9000");
    assert_string_equal(cpu.isa, "avx2 avx512f avx512_vnni");
    assert_true(cpu.cores >= 1 && cpu.cores <= cpu.logical);
}

static void arm_names_its_features_otherwise(void **state) {
    (void)state;
    hyp_cpu cpu;
    put("/proc/cpuinfo", "processor\t: 0\nFeatures\t: fp asimd asimddp i8mm\n");
    hyp_cpu_probe_at(root, &cpu);
    assert_string_equal(cpu.name, "unknown");
    assert_string_equal(cpu.isa, "asimd asimddp i8mm");
}

static void threads_of_one_core_and_quotas_count_once(void **state) {
    (void)state;
    hyp_cpu cpu;
    /* Every processor a thread of core 0. */
    for (int i = 0; i < 64; i++) {
        char path[96];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", i);
        put(path, "0-63\n");
    }
    hyp_cpu_probe_at(root, &cpu);
    if (sysconf(_SC_NPROCESSORS_CONF) <= 64) assert_int_equal(cpu.cores, 1);
    put("/sys/fs/cgroup/cpu.max", "50000 100000\n");
    hyp_cpu_probe_at(root, &cpu);
    assert_int_equal(cpu.logical, 1);
    put("/sys/fs/cgroup/cpu.max", "max 100000\n");
    hyp_cpu_probe_at(root, &cpu);
    assert_true(cpu.logical >= 1);
}

static void nothing_known_is_one_core(void **state) {
    (void)state;
    hyp_cpu cpu;
    hyp_cpu_probe_at(root, &cpu);
    assert_string_equal(cpu.name, "unknown");
    assert_true(cpu.cores >= 1 && cpu.isa[0] == '\0');
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(name_and_instruction_sets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(arm_names_its_features_otherwise, set_up, tear_down),
        cmocka_unit_test_setup_teardown(threads_of_one_core_and_quotas_count_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_known_is_one_core, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

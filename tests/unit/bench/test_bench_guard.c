/* test_bench_guard.c - warnings from machines that were made up, and the paths of control groups. */
#include "../test.h"
#include "base/mem.h"
#include "bench/bench_group_priv.h"
#include "bench/bench_guard.h"
#include "bench/bench_prompt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#if __has_include(<sys/sysmacros.h>)
#include <sys/sysmacros.h> /* glibc; elsewhere sys/types.h has major() and minor() */
#endif

static char root[] = "/tmp/hypura-guard-XXXXXX";

/* Write `text` to root/path, making the folders on the way. */
static void put(const char *path, const char *text) {
    char full[512];
    assert_true(snprintf(full, sizeof full, "%s%s", root, path) < (int)sizeof full);
    for (char *slash = strchr(full + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
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
    return mkdtemp(root) != NULL ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

static bool warned_of(const hyp_bench_warnings *w, const char *part) {
    for (size_t i = 0; i < w->n; i++)
        if (strstr(w->items[i], part) != NULL) return true;
    return false;
}

static void a_quiet_machine_is_not_warned_of(void **state) {
    (void)state;
    hyp_bench_warnings w = {0};
    hyp_bench_guard_check("/nowhere", 4, &w);
    assert_int_equal(w.n, 0);
    put("/proc/loadavg", "1.90 7.00 7.00 1/100 4242\n");
    put("/sys/class/power_supply/AC/type", "Mains\n");
    put("/sys/class/power_supply/BAT0/type", "Battery\n");
    put("/sys/class/power_supply/BAT0/status", "Charging\n");
    put("/sys/class/power_supply/mouse/type", "Battery\n");
    put("/sys/class/power_supply/mouse/scope", "Device\n");
    put("/sys/class/power_supply/mouse/status", "Discharging\n");
    put("/sys/class/thermal/cooling_device0/type", "Processor\n");
    put("/sys/class/thermal/cooling_device0/cur_state", "0\n");
    put("/sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq", "4000000\n");
    put("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "4000000\n");
    hyp_bench_guard_check(root, 4, &w);
    assert_int_equal(w.n, 0);
}

static void a_troubled_machine_is_warned_of(void **state) {
    (void)state;
    put("/proc/loadavg", "2.10 0.00 0.00 1/100 4242\n");
    put("/sys/class/power_supply/BAT0/status", "Discharging\n");
    put("/sys/class/thermal/cooling_device0/cur_state", "3\n");
    put("/sys/devices/system/cpu/cpu1/cpufreq/scaling_max_freq", "1200000\n");
    put("/sys/devices/system/cpu/cpu1/cpufreq/cpuinfo_max_freq", "4000000\n");
    put("/sys/devices/system/cpu/cpu1/thermal_throttle/package_throttle_count", "17\n");
    hyp_bench_warnings w = {0};
    hyp_bench_guard_check(root, 4, &w);
    assert_int_equal(w.n, 4);
    assert_true(warned_of(&w, "battery"));
    assert_true(warned_of(&w, "throttled for its temperature"));
    assert_true(warned_of(&w, "limited to 1200 of 4000 MHz"));
    assert_true(warned_of(&w, "the load average is 2.1 on 4 cores"));
    assert_int_equal(hyp_bench_guard_throttled(root), 17);
    assert_int_equal(hyp_bench_guard_throttled("/nowhere"), 0);
}

static void warnings_have_a_limit(void **state) {
    (void)state;
    hyp_bench_warnings w = {0};
    for (int i = 0; i < HYP_BENCH_MAX_WARNINGS + 3; i++)
        hyp_bench_warn(&w, "%d", i);
    assert_int_equal(w.n, HYP_BENCH_MAX_WARNINGS);
    assert_string_equal(w.items[HYP_BENCH_MAX_WARNINGS - 1], "7");
}

static const char diskstats[] = "   7       0 loop0 1 0 8 3 0 0 0 0 0 99999 3 0 0 0 0 0 0\n"
                                " 259       0 nvme0n1 10 2 80 5 3 1 64 7 0 1234 12 0 0 0 0 0 0\n"
                                " 259       1 nvme0n1p1 10 2 80 5 3 1 64 7 0 1200 12\n"
                                " 253       0 zram0 10 2 80 5 3 1 64 7 0 88888 12\n"
                                "broken line\n";

static void a_drive_is_found_in_diskstats(void **state) {
    (void)state;
    uint64_t ms = 42;
    assert_true(hyp_bench_guard_disk_of(diskstats, 259, 1, &ms));
    assert_int_equal(ms, 1200);
    assert_true(hyp_bench_guard_disk_of(diskstats, 0, 0, &ms)); /* the busiest that is not memory */
    assert_int_equal(ms, 1234);
    assert_false(hyp_bench_guard_disk_of(diskstats, 8, 0, &ms));
    assert_false(hyp_bench_guard_disk_of("", 0, 0, &ms));
    assert_int_equal(ms, 1234);
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_bench_guard_disk_busy_ms("/nowhere", "/", &ms, &err), HYP_EUNSUPPORTED);
    put("/proc/diskstats", diskstats);
    err = HYP_ERR_NONE;
    assert_int_equal(hyp_bench_guard_disk_busy_ms(root, "/nowhere", &ms, &err), HYP_OK);
    assert_int_equal(ms, 1234);
}

static void a_drive_that_reads_far_ahead_is_warned_of(void **state) {
    (void)state;
    hyp_bench_warnings w = {0};
    struct stat st;
    char path[64];
    assert_int_equal(stat(root, &st), 0);
    snprintf(path, sizeof path, "/sys/class/bdi/%u:%u/read_ahead_kb", (unsigned)major(st.st_dev),
             (unsigned)minor(st.st_dev));
    hyp_bench_guard_read_ahead(root, root, &w); /* the system does not report it */
    put(path, "128\n");
    hyp_bench_guard_read_ahead(root, root, &w);
    hyp_bench_guard_read_ahead(root, "/nowhere", &w);
    assert_int_equal(w.n, 0);
    put(path, "8192\n");
    hyp_bench_guard_read_ahead(root, root, &w);
    assert_true(w.n == 1 && warned_of(&w, "reads 8192 KB ahead"));
}

static void the_own_group_is_found(void **state) {
    (void)state;
    static const char text[] = "12:cpu,cpuacct:/other\n5:hugetlb,memory:/user.slice/a:b\n0::/init.scope\n";
    char path[64] = "untouched";
    assert_true(hyp_bench_group_own(text, 1, path, sizeof path));
    assert_string_equal(path, "/user.slice/a:b");
    assert_true(hyp_bench_group_own(text, 2, path, sizeof path));
    assert_string_equal(path, "/init.scope");
    assert_false(hyp_bench_group_own("0::/../outside\n", 2, path, sizeof path));
    assert_false(hyp_bench_group_own("3:memoryx:/a\n", 1, path, sizeof path));
    assert_false(hyp_bench_group_own("no colons\n:\n", 1, path, sizeof path));
    assert_false(hyp_bench_group_own("", 2, path, sizeof path));
    assert_false(hyp_bench_group_own(text, 1, path, 5)); /* does not fit */
}

static void a_prompt_has_its_words(void **state) {
    (void)state;
    hyp_str text = {0};
    hyp_bench_prompt_append(300, &text);
    size_t blanks = 0;
    for (size_t i = 0; i < text.length; i++)
        blanks += text.data[i] == ' ';
    assert_int_equal(blanks, 299);
    /* The second round of 19 words starts with another word than the first. */
    const char *second = text.data;
    for (int i = 0; i < 19; i++)
        second = strchr(second, ' ') + 1;
    assert_int_not_equal(strncmp(second, text.data, strcspn(text.data, " ") + 1), 0);
    hyp_str_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_quiet_machine_is_not_warned_of),
                                       cmocka_unit_test(a_troubled_machine_is_warned_of),
                                       cmocka_unit_test(warnings_have_a_limit),
                                       cmocka_unit_test(a_drive_is_found_in_diskstats),
                                       cmocka_unit_test(a_drive_that_reads_far_ahead_is_warned_of),
                                       cmocka_unit_test(the_own_group_is_found),
                                       cmocka_unit_test(a_prompt_has_its_words)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

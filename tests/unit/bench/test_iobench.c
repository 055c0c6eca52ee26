/* test_iobench.c - the report and the chart of measurements that were made up. */
#include "../test.h"
#include "base/mem.h"
#include "bench/iobench.h"

#include <stdlib.h>
#include <string.h>

/* Scattered direct reads of three sizes at two depths, the way of reading last: cached and expert-sized ones too. */
static hyp_probe_point points[] = {
    {HYP_IO_URING, HYP_PROBE_DIRECT, 1 << 20, 1 << 20, 16, true, false, 1500e6, 0.05},
    {HYP_IO_URING, HYP_PROBE_DIRECT, 1 << 20, 1 << 20, 4, true, false, 1450e6, 0.05},
    {HYP_IO_URING, HYP_PROBE_DIRECT, 64 << 10, 64 << 10, 4, true, false, 321e6, 0.3},
    {HYP_IO_URING, HYP_PROBE_DIRECT, 64 << 10, 64 << 10, 16, true, false, 654e6, 0.2},
    {HYP_IO_URING, HYP_PROBE_DIRECT, 4 << 20, 4 << 20, 16, true, false, 1490e6, 0.03},
    {HYP_IO_URING, HYP_PROBE_DIRECT, 1 << 20, 1 << 20, 4, false, false, 1554e6, 0.05},
    {HYP_IO_PLAIN, HYP_PROBE_DIRECT, 1 << 20, 1 << 20, 1, true, false, 987e6, 0.05},
    {HYP_IO_URING, HYP_PROBE_COLD, 1 << 20, 1 << 20, 16, true, false, 876e6, 0.3},
    {HYP_IO_URING, HYP_PROBE_WARM, 1 << 20, 1 << 20, 16, true, false, 9876e6, 0.1},
    {HYP_IO_URING, HYP_PROBE_DIRECT, 600 << 10, 1 << 20, 4, true, true, 1234e6, 0.1},
};

static hyp_iobench made_up(void) {
    hyp_iobench bench = {
        .path = "a<b>&c.gguf",
        .probe = {.points = points, .n_points = HYP_ARRAY_LEN(points), .direct = true, .file_bytes = 26400000000},
        .expert_part_bytes = 600000,
        .token_experts_bytes = 2900000000};
    hyp_probe_recommend(&bench.probe);
    return bench;
}

static const char first_table[] =
    "io_uring, direct, scattered: MB/s by size and reads in flight\n                   4      16\n"
    "      64 KiB     321     654\n       1 MiB    1450    1500\n       4 MiB            1490\n";

static void the_report_holds_every_number(void **state) {
    (void)state;
    hyp_iobench bench = made_up();
    hyp_str text = {0};
    hyp_iobench_write_text(&bench, &text);
    assert_false(text.failed);
    static const char *const parts[] = {
        "a<b>&c.gguf (26.4 GB), direct reads\n",
        first_table,
        "io_uring, direct, one after the other",
        "    1554\n",
        "plain, direct, scattered",
        "     987\n",
        "io_uring, page cache, cold, scattered",
        "     876\n",
        "io_uring, page cache, warm, scattered",
        "    9876\n",
        "io_uring, direct, expert-sized",
        "     600 KiB    1234\n",
        "recommended: io_uring, reads of 1 MiB, 8 in flight, of which prefetches at most 4\n",
        "1.45 GB/s",
        "1.55 GB/s",
        "a token uses 2.90 GB of this model's experts: 2 s",
    };
    for (size_t i = 0; i < HYP_ARRAY_LEN(parts); i++)
        if (strstr(text.data, parts[i]) == NULL) fail_msg("missing: %s\nin:\n%s", parts[i], text.data);
    assert_null(strstr(text.data, "warning"));
    hyp_str_free(&text);
}

static void doubts_are_told(void **state) {
    (void)state;
    hyp_iobench bench = made_up();
    bench.probe.hole_bytes = bench.probe.file_bytes / 2;
    bench.probe.direct = false;
    bench.token_experts_bytes = 0;
    hyp_str text = {0};
    hyp_iobench_write_text(&bench, &text);
    assert_non_null(strstr(text.data, "warning: 13.2 GB of it are holes"));
    assert_non_null(strstr(text.data, "refuses direct reads"));
    assert_null(strstr(text.data, "a token"));
    hyp_str_free(&text);
}

static size_t occurrences(const char *text, const char *part) {
    size_t n = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part))
        n++;
    return n;
}

static void the_chart_has_a_line_for_each_depth_and_way(void **state) {
    (void)state;
    hyp_iobench bench = made_up();
    hyp_str svg = {0};
    hyp_iobench_write_svg(&bench, &svg);
    assert_false(svg.failed);
    assert_int_equal(strncmp(svg.data, "<svg xmlns=", 11), 0);
    assert_string_equal(svg.data + svg.length - 7, "</svg>\n");
    assert_int_equal(occurrences(svg.data, "<polyline"), 2 + 3); /* depths 4 and 16; io_uring, plain, cold */
    static const char *const names[] = {">4 in flight<",
                                        ">16 in flight<",
                                        ">plain, direct, scattered<",
                                        ">recommended<",
                                        ">io_uring, page cache, cold, scattered<",
                                        ">64 KiB<",
                                        ">4 MiB<",
                                        ">1000<"};
    for (size_t i = 0; i < HYP_ARRAY_LEN(names); i++)
        if (strstr(svg.data, names[i]) == NULL) fail_msg("missing: %s", names[i]);
    assert_int_equal(occurrences(svg.data, "<text"), occurrences(svg.data, "</text>"));
    assert_null(strstr(svg.data, "nan"));
    assert_null(strstr(svg.data, "inf"));
    hyp_str_free(&svg);
}

/* One size, one depth: no span to divide by. */
static void a_single_point_is_drawn(void **state) {
    (void)state;
    hyp_iobench bench = made_up();
    bench.probe.n_points = 1;
    hyp_probe_recommend(&bench.probe);
    hyp_str svg = {0};
    hyp_iobench_write_svg(&bench, &svg);
    assert_int_equal(occurrences(svg.data, "<polyline"), 2);
    assert_null(strstr(svg.data, "nan"));
    hyp_str_free(&svg);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_report_holds_every_number), cmocka_unit_test(doubts_are_told),
        cmocka_unit_test(the_chart_has_a_line_for_each_depth_and_way), cmocka_unit_test(a_single_point_is_drawn)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

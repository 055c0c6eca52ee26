/* test_balance.c - which source is chosen, over simulated disks and a simulated clock. */
#include "../test.h"
#include "io/balance_priv.h"

#include <string.h>

enum { MIB = 1 << 20, MAX_READS = 64 };

/* A disk serves one read after the other; what is in flight at it, in the order of completion. */
typedef struct disk {
    double bytes_per_s, free_at_s;
    double ends_s[MAX_READS];
    uint32_t first, n;
    uint64_t bytes;
} disk;

typedef struct simulation {
    hyp_balance balance;
    disk disks[HYP_IO_MAX_SOURCES];
    uint32_t n_disks, depth, in_flight;
    double now_s;
} simulation;

static uint32_t start(simulation *s, uint64_t bytes) {
    uint32_t i = hyp_balance_choose(&s->balance, (1u << s->n_disks) - 1, bytes, s->now_s);
    assert_true(i < s->n_disks);
    disk *d = &s->disks[i];
    hyp_balance_start(&s->balance, i, bytes, s->now_s);
    d->free_at_s = (d->free_at_s > s->now_s ? d->free_at_s : s->now_s) + (double)bytes / d->bytes_per_s;
    d->ends_s[(d->first + d->n++) % MAX_READS] = d->free_at_s;
    assert_true(d->n <= MAX_READS);
    s->in_flight++;
    return i;
}

/* Let the next read end, wherever it is. */
static void end_one(simulation *s, uint64_t bytes) {
    disk *next = NULL;
    for (uint32_t i = 0; i < s->n_disks; i++) {
        disk *d = &s->disks[i];
        if (d->n > 0 && (next == NULL || d->ends_s[d->first] < next->ends_s[next->first])) next = d;
    }
    assert_non_null(next);
    s->now_s = next->ends_s[next->first];
    next->first = (next->first + 1) % MAX_READS;
    next->n--;
    next->bytes += bytes;
    s->in_flight--;
    hyp_balance_end(&s->balance, (uint32_t)(next - s->disks), bytes, bytes, s->now_s);
}

/* Read `n` times `bytes` with `depth` in flight. Returns the bytes a second of all disks together. */
static double transfer(simulation *s, uint64_t bytes, int n) {
    double from_s = s->now_s;
    for (uint32_t i = 0; i < s->n_disks; i++)
        s->disks[i].bytes = 0;
    for (int started = 0, ended = 0; ended < n;) {
        while (started < n && s->in_flight < s->depth)
            start(s, bytes), started++;
        end_one(s, bytes);
        ended++;
    }
    return (double)n * (double)bytes / (s->now_s - from_s);
}

static simulation disks(double a, double b, uint32_t depth) {
    return (simulation){.disks = {{.bytes_per_s = a}, {.bytes_per_s = b}}, .n_disks = 2, .depth = depth, .now_s = 1000};
}

static double share(const simulation *s, uint32_t i) {
    uint64_t all = 0;
    for (uint32_t d = 0; d < s->n_disks; d++)
        all += s->disks[d].bytes;
    return (double)s->disks[i].bytes / (double)all;
}

static void equal_disks_share_equally(void **state) {
    (void)state;
    simulation s = disks(1e9, 1e9, 8);
    double rate = transfer(&s, MIB, 400);
    assert_true(share(&s, 1) > 0.48 && share(&s, 1) < 0.52);
    assert_true(rate > 1.95e9);
}

static void a_slow_disk_gets_its_proportion(void **state) {
    (void)state;
    static const double ratios[] = {2, 5, 10, 50};
    for (size_t i = 0; i < sizeof ratios / sizeof *ratios; i++)
        for (uint32_t depth = 4; depth <= 16; depth *= 2) {
            simulation s = disks(1e9, 1e9 / ratios[i], depth);
            transfer(&s, MIB, 100);
            double rate = transfer(&s, MIB, 2000), right = 1 / (ratios[i] + 1);
            /* With few reads in flight a very slow disk is rarely the one that would be done first. */
            assert_true(share(&s, 1) < 1.15 * right);
            assert_true(depth < ratios[i] || share(&s, 1) > 0.85 * right);
            assert_true(rate > 0.97e9);
            assert_true(depth < ratios[i] || rate > 0.95 * (1e9 + 1e9 / ratios[i]));
        }
}

static void rates_are_followed(void **state) {
    (void)state;
    simulation s = disks(1e9, 1e9, 8);
    transfer(&s, MIB, 200);
    s.disks[1].bytes_per_s = 2e7;
    transfer(&s, MIB, 100);
    transfer(&s, MIB, 1000);
    assert_true(share(&s, 1) < 0.03);
    s.disks[1].bytes_per_s = 1e9; /* it was only busy with something else */
    transfer(&s, MIB, 30000);
    transfer(&s, MIB, 500);
    assert_true(share(&s, 1) > 0.45);
}

static void an_unknown_source_is_tried_with_care(void **state) {
    (void)state;
    simulation s = disks(1e9, 1e6, 16);
    for (int i = 0; i < 4; i++)
        start(&s, MIB);
    assert_int_equal(s.balance.sources[0].n_outstanding, 2);
    assert_int_equal(s.balance.sources[1].n_outstanding, 2);
    while (s.disks[0].n > 0)
        end_one(&s, MIB);
    assert_true(hyp_balance_rate(&s.balance, 0) > 0.99e9 && hyp_balance_rate(&s.balance, 0) < 1.01e9);
    assert_true(hyp_balance_rate(&s.balance, 1) == 0);
    for (int i = 0; i < 14; i++)
        assert_int_equal(start(&s, MIB), 0); /* the unknown one has not answered yet */
    /* One at a time: nobody would ever take the second disk for want of room at the first. */
    s = disks(1e9, 1e9, 1);
    transfer(&s, MIB, 20);
    assert_true(hyp_balance_rate(&s.balance, 1) > 0);
}

static void an_idle_one_is_probed_rarely(void **state) {
    (void)state;
    simulation s = disks(1e9, 1e7, 1);
    transfer(&s, MIB, 10);
    double alone = transfer(&s, MIB, 5000);
    /* A read takes the slow disk a hundred times as long: once in some 6400 reads it is asked. */
    assert_true(s.disks[1].bytes <= 2 * MIB);
    assert_true(alone > 0.95e9);
    s.now_s += 60;
    assert_int_equal(start(&s, MIB), 1);
}

static void the_dropped_are_passed_over(void **state) {
    (void)state;
    hyp_balance b = {0};
    b.sources[0].dropped = true;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(hyp_balance_choose(&b, 7, MIB, i), i % 2 == 0 ? 1 : 2);
        hyp_balance_start(&b, i % 2 == 0 ? 1 : 2, MIB, i);
    }
    assert_int_equal(hyp_balance_choose(&b, 1, MIB, 20), 0); /* nobody else has the file */
    b.sources[1].dropped = b.sources[2].dropped = true;
    assert_true(hyp_balance_choose(&b, 6, MIB, 20) > 0);
}

static void rates_count_busy_time_alone(void **state) {
    (void)state;
    hyp_balance b = {0};
    assert_true(hyp_balance_rate(&b, 0) == 0);
    for (int i = 0; i < 50; i++) { /* pairs that end together, 20 ms of work every second */
        hyp_balance_start(&b, 0, 10 * MIB, i);
        hyp_balance_start(&b, 0, 10 * MIB, i);
        hyp_balance_end(&b, 0, 10 * MIB, 10 * MIB, i + 0.02);
        hyp_balance_end(&b, 0, 10 * MIB, 10 * MIB, i + 0.02);
    }
    assert_true(hyp_balance_rate(&b, 0) > 0.999 * 1000.0 * MIB && hyp_balance_rate(&b, 0) < 1.001 * 1000.0 * MIB);
    double before = hyp_balance_rate(&b, 0);
    hyp_balance_start(&b, 0, MIB, 100);
    hyp_balance_end(&b, 0, MIB, 0, 130); /* a failure says nothing of the rate */
    assert_true(hyp_balance_rate(&b, 0) == before);
    assert_true(b.sources[0].outstanding_bytes == 0 && b.sources[0].total_bytes == 1000ull * MIB);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_disks_share_equally),    cmocka_unit_test(a_slow_disk_gets_its_proportion),
        cmocka_unit_test(rates_are_followed),           cmocka_unit_test(an_unknown_source_is_tried_with_care),
        cmocka_unit_test(an_idle_one_is_probed_rarely), cmocka_unit_test(the_dropped_are_passed_over),
        cmocka_unit_test(rates_count_busy_time_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

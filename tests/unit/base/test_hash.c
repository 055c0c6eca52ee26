#include "../test.h"

#include "base/hash.h"

#include <string.h>

static void hex_of(const char *bytes, size_t n, size_t step, char ret[HYP_HASH_HEX_SIZE]) {
    hyp_hash h;
    hyp_hash_init(&h);
    for (size_t at = 0; at < n; at += step)
        hyp_hash_update(&h, bytes + at, at + step <= n ? step : n - at);
    hyp_hash_hex(&h, ret);
}

static void cutting_does_not_matter(void **state) {
    (void)state;
    char data[1000], whole[HYP_HASH_HEX_SIZE], cut[HYP_HASH_HEX_SIZE];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 31);
    for (size_t n = 0; n < sizeof data; n += 37) {
        hex_of(data, n, sizeof data, whole);
        assert_int_equal(strlen(whole), 64);
        static const size_t steps[] = {1, 7, 31, 32, 33, 64, 100};
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
            hex_of(data, n, steps[i], cut);
            assert_string_equal(cut, whole);
        }
    }
}

static int popcount_of_difference(const char *a, const char *b) {
    int bits = 0;
    for (int i = 0; i < 64; i++) {
        int x = a[i] <= '9' ? a[i] - '0' : a[i] - 'a' + 10, y = b[i] <= '9' ? b[i] - '0' : b[i] - 'a' + 10;
        bits += __builtin_popcount((unsigned)(x ^ y));
    }
    return bits;
}

/* Every single bit changes about half of the digits' bits, and lengths tell zeros apart. */
static void every_bit_counts(void **state) {
    (void)state;
    char data[80] = {0}, plain[HYP_HASH_HEX_SIZE], changed[HYP_HASH_HEX_SIZE];
    hex_of(data, sizeof data, sizeof data, plain);
    for (size_t bit = 0; bit < sizeof data * 8; bit++) {
        data[bit / 8] ^= (char)(1 << bit % 8);
        hex_of(data, sizeof data, sizeof data, changed);
        data[bit / 8] ^= (char)(1 << bit % 8);
        int bits = popcount_of_difference(plain, changed);
        assert_true(bits >= 80 && bits <= 176);
    }
    for (size_t n = 0; n < sizeof data; n++) {
        hex_of(data, n, sizeof data, changed);
        assert_string_not_equal(plain, changed);
    }
}

/* Digests are kept in users' caches: the function must not change. */
static void the_function_is_fixed(void **state) {
    (void)state;
    char hex[HYP_HASH_HEX_SIZE];
    hex_of("hypura", 6, 6, hex);
    assert_string_equal(hex, "da5ba325b76b849567b0682649d0aa702a34ed7dae3e4403592fa80931ee64b6");
}

/* The checksum of pages: fixed too, since it stands in files; every bit counts, and so does the order of words. */
static void pages_have_a_checksum(void **state) {
    (void)state;
    unsigned char page[4096];
    for (size_t i = 0; i < sizeof page; i++)
        page[i] = (unsigned char)(i * 7 + i / 256);
    const uint64_t sum = hyp_hash_pages(page, sizeof page);
    assert_int_equal(sum, 0x29461e1c60fa9c48u);
    assert_int_not_equal(hyp_hash_pages(page, 2048), sum);
    for (size_t bit = 0; bit < sizeof page * 8; bit += 5) {
        page[bit / 8] ^= (unsigned char)(1 << bit % 8);
        assert_int_not_equal(hyp_hash_pages(page, sizeof page), sum);
        page[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    unsigned char swapped[sizeof page];
    memcpy(swapped, page, sizeof page);
    memcpy(swapped, page + 64, 64);
    memcpy(swapped + 64, page, 64);
    assert_int_not_equal(hyp_hash_pages(swapped, sizeof swapped), sum);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(cutting_does_not_matter), cmocka_unit_test(every_bit_counts),
                                       cmocka_unit_test(the_function_is_fixed),
                                       cmocka_unit_test(pages_have_a_checksum)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

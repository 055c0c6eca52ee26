#include "bench/bench_prompt.h"

#include "base/mem.h"

void hyp_bench_prompt_append(size_t n_words, hyp_str *out) {
    static const char *const words[] = {"the",   "quick", "brown", "fox",      "jumps",  "over",  "a",
                                        "lazy",  "dog",   "while", "seven",    "bright", "stars", "slowly",
                                        "climb", "above", "cold",  "northern", "hills"};
    const size_t n = HYP_ARRAY_LEN(words);
    for (size_t i = 0; i < n_words; i++) {
        /* 7 and 19 have no common divisor: each round runs through all words, and starts one further. */
        hyp_str_puts(out, words[(i * 7 + i / n) % n]);
        hyp_str_puts(out, i + 1 < n_words ? " " : "");
    }
}

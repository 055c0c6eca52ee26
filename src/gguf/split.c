/* split.c - the names of the parts of a split model, as llama.cpp's gguf-split writes them. */
#include "gguf/model_priv.h"

#include <ctype.h>
#include <string.h>

/* Five digits, a number above zero. */
static bool five_digits(const char *text, uint32_t *ret) {
    uint32_t value = 0;
    for (int i = 0; i < 5; i++) {
        if (!isdigit((unsigned char)text[i])) return false;
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    *ret = value;
    return value > 0;
}

bool hyp_gguf_split_parse(const char *path, hyp_gguf_split *ret) {
    static const char pattern[] = "-00000-of-00000.gguf";
    size_t n = strlen(path), k = sizeof pattern - 1;
    if (n <= k) return false;
    const char *tail = path + n - k;
    hyp_gguf_split split = {.stem_length = n - k};
    if (tail[0] != '-' || memcmp(tail + 6, "-of-", 4) != 0 || strcmp(tail + 15, ".gguf") != 0) return false;
    if (!five_digits(tail + 1, &split.number) || !five_digits(tail + 10, &split.count)) return false;
    *ret = split;
    return true;
}

char *hyp_gguf_split_path(const char *path, const hyp_gguf_split *split, uint32_t number) {
    char *out;
    int n = asprintf(&out, "%.*s-%05u-of-%05u.gguf", (int)split->stem_length, path, number, split->count);
    return n < 0 ? NULL : out;
}

/* corpus.h - reading the files of tests/chat, for the chat tests. */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yyjson.h>

/* tests/chat/generate.py shows templates the same moment: 2024-07-26 14:05:09 UTC. */
enum { CORPUS_NOW = 1722002709 };

/* The bytes of a file, terminated; `path` is relative to tests/chat. The caller frees. NULL if it cannot be read. */
static inline char *corpus_read(const char *path, size_t *ret_n) {
    char full[1024];
    const char *root = getenv("HYPURA_ROOT");
    snprintf(full, sizeof full, "%s/tests/chat/%s", root != NULL ? root : ".", path);
    FILE *f = fopen(full, "rb");
    if (f == NULL) return NULL;
    char *data = NULL;
    size_t n = 0, cap = 0, got = 1;
    while (got > 0) {
        if (cap - n < 65536) {
            cap = cap * 2 + 65537;
            data = realloc(data, cap + 1);
        }
        got = fread(data + n, 1, cap - n, f);
        n += got;
    }
    fclose(f);
    data[n] = '\0';
    if (ret_n != NULL) *ret_n = n;
    return data;
}

static inline yyjson_doc *corpus_json(const char *path) {
    size_t n;
    char *text = corpus_read(path, &n);
    yyjson_doc *doc = text != NULL ? yyjson_read(text, n, YYJSON_READ_ALLOW_INF_AND_NAN) : NULL;
    free(text);
    return doc;
}

/* fuzz_sidecar.c - any bytes as the head of a packed copy: parsing must return, and what it accepts must hold together.
 * The first byte says whether the checksum of the tables is put right first, or no mutation would ever get past it. */
#include "base/hash.h"
#include "sidecar/sidecar.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const hyp_sidecar *s, uint64_t file_bytes) {
    uint64_t at = s->data_offset, page = s->page_bytes;
    if (s->n_done > s->n_runs || s->n_units > s->n_runs || strlen(s->digest) != 64) abort();
    if (s->complete && s->bytes != file_bytes) abort();
    for (uint32_t i = 0; i < s->n_runs; i++) {
        const hyp_extent *e = &s->runs[i].extent;
        if (e->file >= s->n_files || e->bytes == 0 || e->offset + e->bytes > s->files[e->file].bytes) abort();
        if (s->runs[i].at != at || at % page != 0 || s->unit_of[i] >= s->n_units) abort();
        at += ((e->offset + e->bytes + page - 1) / page - e->offset / page) * page;
    }
    if (at != s->bytes) abort();
    hyp_packed_run *sorted = hyp_sidecar_sorted_runs(s);
    for (uint32_t i = 1; sorted != NULL && i < s->n_runs; i++)
        if (sorted[i - 1].extent.file == sorted[i].extent.file &&
            sorted[i - 1].extent.offset + sorted[i - 1].extent.bytes > sorted[i].extent.offset)
            abort();
    free(sorted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    enum { AT_SIZE = 16, AT_CHECKSUM = 56 };
    if (size < 1) return 0;
    size_t n = size - 1;
    uint8_t *head = calloc(1, n + 1);
    memcpy(head, data + 1, n);
    uint64_t file_bytes = n;
    if (n >= HYP_SIDECAR_HEAD_BYTES && (data[0] & 1) != 0) {
        memset(head + AT_CHECKSUM, 0, 8);
        uint64_t sum = hyp_hash_pages(head, n / 64 * 64);
        for (int i = 0; i < 8; i++)
            head[AT_CHECKSUM + i] = (uint8_t)(sum >> (8 * i));
    }
    if (n >= HYP_SIDECAR_HEAD_BYTES && (data[0] & 2) != 0) { /* a file as long as the head says */
        file_bytes = 0;
        for (int i = 7; i >= 0; i--)
            file_bytes = file_bytes << 8 | head[AT_SIZE + i];
    }
    hyp_sidecar *s = NULL;
    hyp_err err = HYP_ERR_NONE;
    int r = hyp_sidecar_parse(head, n, file_bytes, &s, &err);
    if ((r == HYP_OK) != (s != NULL) || r != err.code || (r != HYP_OK && err.message[0] == '\0')) abort();
    if (r == HYP_OK) {
        check(s, file_bytes);
        uint8_t *again = NULL;
        if (hyp_sidecar_encode(s, &again, NULL) != HYP_OK) abort();
        free(again);
    }
    hyp_sidecar_free(s);
    free(head);
    return 0;
}

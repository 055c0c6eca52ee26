/* coact_file.c - the statistics' file: the shape it belongs to, the tables, a checksum. */
#include "predict/coact_priv.h"

#include "base/mem.h"
#include "base/paths.h"
#include "predict/wire_priv.h"

#include <string.h>
#include <unistd.h>

enum {
    HEAD_BYTES = 8 + 4 + 64 + 4,
    LAYER_BYTES = 4 + 4 + 2,
    UNIT_BYTES = 2 + 2 + 3 * COACT_N_SLOTS,
    HASH_BYTES = 8,
};

static size_t file_bytes(const hyp_coact *c) {
    return HEAD_BYTES + (size_t)c->n_layers * LAYER_BYTES + (size_t)c->n_units * UNIT_BYTES + HASH_BYTES;
}

/* Shares of 1 in 16 bits; what is above 0 stays above 0. */
static uint16_t packed(float share) {
    if (!(share > 0)) return 0;
    return share >= 1 ? UINT16_MAX : (uint16_t)(share * (UINT16_MAX - 1) + 1);
}
static float unpacked(uint64_t bits) {
    return (float)bits / UINT16_MAX;
}

int hyp_coact_path(const char *digest, char *ret_path, size_t size, hyp_err *err) {
    char folder[4096];
    int r = hyp_paths_cache_dir(folder, sizeof folder, err);
    if (r != HYP_OK) return r;
    if (digest[0] == '\0' || strspn(digest, "0123456789abcdef") != strlen(digest))
        return hyp_err_set(err, HYP_EINVAL, "a model's digest is not hexadecimal");
    if ((size_t)snprintf(ret_path, size, "%s/routing-%.16s", folder, digest) >= size)
        return hyp_err_set(err, HYP_ELIMIT, "the cache folder's path is too long");
    return HYP_OK;
}

int hyp_coact_save(const hyp_coact *c, const char *path, hyp_err *err) {
    HYP_CLEANUP(hyp_str_free) hyp_str s = {0};
    hyp_str_append(&s, COACT_MAGIC, 8);
    hyp_wire_put(&s, COACT_VERSION, 4);
    hyp_str_append(&s, c->digest, 64);
    hyp_wire_put(&s, c->n_layers, 4);
    for (uint32_t l = 0; l < c->n_layers; l++) {
        hyp_wire_put(&s, c->first[l + 1] - c->first[l], 4);
        hyp_wire_put(&s, (uint32_t)c->tokens[l], 4);
        hyp_wire_put(&s, packed(c->again[l]), 2);
    }
    for (uint32_t u = 0; u < c->n_units; u++) {
        const coact_row *row = &c->rows[u];
        hyp_wire_put(&s, packed(c->frequency[u]), 2);
        hyp_wire_put(&s, row->n_uses, 2);
        for (int i = 0; i < COACT_N_SLOTS; i++) {
            hyp_wire_put(&s, row->who[i], 2);
            hyp_wire_put(&s, row->count[i], 1);
        }
    }
    hyp_wire_put(&s, hyp_wire_hash(WIRE_HASH, s.data, s.length), 8);
    if (s.failed) return hyp_err_set(err, HYP_ENOMEM, "out of memory saving routing statistics");
    return hyp_paths_write_atomic(path, s.data, s.length, err);
}

static bool read_row(wire_reader *in, coact_row *row, uint32_t n_here, uint32_t n_next) {
    row->n_uses = (uint16_t)wire_get(in, 2);
    for (int i = 0; i < COACT_N_SLOTS; i++) {
        row->who[i] = (uint16_t)wire_get(in, 2);
        row->count[i] = (uint8_t)wire_get(in, 1);
        uint32_t n = i < COACT_N_PARTNERS ? n_here : n_next;
        /* Used as an index later on: a partner must be of this layer, a follower of the next. */
        if (row->count[i] > 0 ? row->who[i] >= n : row->who[i] != COACT_NOBODY) return false;
    }
    return row->n_uses <= UINT8_MAX;
}

/* Fill `c`, which is empty and of the right shape. Returns why not, or NULL. */
static const char *read_all(hyp_coact *c, wire_reader in, const uint8_t *start) {
    char magic[8], digest[65] = "";
    if ((size_t)(in.end - in.at) < HEAD_BYTES) return "it is too short";
    hyp_wire_get_bytes(&in, magic, sizeof magic);
    if (memcmp(magic, COACT_MAGIC, sizeof magic) != 0) return "it is something else";
    if (wire_get(&in, 4) != COACT_VERSION) return "it is of another version";
    hyp_wire_get_bytes(&in, digest, 64);
    if (strcmp(digest, c->digest) != 0) return "it belongs to another model";
    if (wire_get(&in, 4) != c->n_layers || (size_t)(in.end - start) != file_bytes(c)) return "its size is not right";
    /* The size is right, so that the checksum lies where it must; before it holds, nothing further is believed. */
    wire_reader hash = {.at = in.end - HASH_BYTES, .end = in.end};
    if (wire_get(&hash, 8) != hyp_wire_hash(WIRE_HASH, start, file_bytes(c) - HASH_BYTES))
        return "its checksum is wrong";
    for (uint32_t l = 0; l < c->n_layers; l++) {
        if (wire_get(&in, 4) != c->first[l + 1] - c->first[l]) return "its layers are not the model's";
        c->tokens[l] = (float)wire_get(&in, 4);
        c->again[l] = unpacked(wire_get(&in, 2));
    }
    for (uint32_t l = 0; l < c->n_layers; l++) {
        uint32_t n_next = l + 1 < c->n_layers ? c->first[l + 2] - c->first[l + 1] : 0;
        for (uint32_t u = c->first[l]; u < c->first[l + 1]; u++) {
            c->frequency[u] = unpacked(wire_get(&in, 2));
            if (!read_row(&in, &c->rows[u], c->first[l + 1] - c->first[l], n_next)) return "a counter is out of range";
        }
    }
    return NULL;
}

int hyp_coact_load(const char *path, const hyp_coact_shape *shape, hyp_coact **ret, hyp_err *note, hyp_err *err) {
    hyp_coact *c;
    int r = hyp_coact_new(shape, &c, err);
    if (r != HYP_OK) return r;
    HYP_AUTOFREE char *data = NULL;
    size_t n;
    const char *why = NULL;
    if (access(path, F_OK) == 0) {
        if (hyp_paths_read(path, file_bytes(c), &data, &n, NULL) == HYP_OK) {
            const uint8_t *bytes = (const uint8_t *)data;
            why = read_all(c, (wire_reader){.at = bytes, .end = bytes + n}, bytes);
        } else {
            why = "it cannot be read, or is too long";
        }
    }
    if (why != NULL) {
        hyp_err_set(note, HYP_EFORMAT, "the routing statistics %s are ignored: %s", path, why);
        hyp_err_hint(note, "nothing need be done: they are learned and written anew");
        hyp_coact_free(c); /* it may have been filled half-way */
        if ((r = hyp_coact_new(shape, &c, err)) != HYP_OK) return r;
    }
    *ret = c;
    return HYP_OK;
}

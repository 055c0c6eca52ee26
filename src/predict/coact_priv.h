/* coact_priv.h - private to coact*.c: the tables, and the file's constants. */
#pragma once
#include "predict/coact.h"

#define COACT_MAGIC "HYPCOACT"
enum {
    COACT_VERSION = 1,
    COACT_N_PARTNERS = 4,
    COACT_N_FOLLOWERS = 8,
    COACT_N_SLOTS = COACT_N_PARTNERS + COACT_N_FOLLOWERS,
    COACT_MAX_LAYERS = 4096,
    COACT_MAX_EXPERTS = 65534,
    COACT_MAX_UNITS = 1 << 20,
    COACT_NOBODY = 65535,
};

/* What follows an expert's use: counters that hold for `n_uses` uses. Partners stand first, then followers. */
typedef struct coact_row {
    uint16_t n_uses;
    uint16_t who[COACT_N_SLOTS]; /* expert, or COACT_NOBODY with a count of 0 */
    uint8_t count[COACT_N_SLOTS];
} coact_row;

struct hyp_coact {
    char digest[65];
    uint32_t n_layers, n_units;
    uint32_t *first;  /* [n_layers + 1] first unit of each layer */
    float *frequency; /* [unit] */
    coact_row *rows;  /* [unit] */
    float *tokens;    /* [layer] seen, decayed */
    float *again;     /* [layer] chance that an expert is used by the next token too */

    /* Not saved: the token under way, and room. */
    uint32_t last_layer; /* UINT32_MAX: none, or a batch */
    uint32_t n_last;
    uint32_t *last;       /* experts of last_layer */
    uint8_t *used_before; /* [unit] by the last token */
    float *scores;        /* [most experts of a layer] */
};

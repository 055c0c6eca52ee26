/* engine_priv.h - what the files of this folder share. */
#pragma once
#include "engine/engine.h"
#include "engine/fallback.h"
#include "engine/offload.h"
#include "engine/stream.h"

#include <llama.h>
#include <stdatomic.h>

/* A file's guarded range: what of its mapping stays. */
typedef struct engine_guard {
    int handle;      /* of mapping.h, or -1 */
    uint64_t offset; /* of the range in the file */
} engine_guard;

struct hyp_engine {
    const hyp_model *model;
    hyp_hardware hardware;
    hyp_plan *plan;
    hyp_offload offload;
    struct llama_model *llama;
    struct llama_context *ctx;
    const struct llama_vocab *vocab;
    struct llama_batch batch; /* reused by every decode */
    hyp_engine_info info;
    hyp_stream *stream; /* NULL unless weights are streamed */
    hyp_fallback fallback;
    bool may_fall_back;   /* mode auto, and the disk was measured */
    engine_guard *guards; /* one a file: pages that cannot be read */
    atomic_bool interrupted;
    uint64_t read_bytes_at_open, major_faults_at_open;
};

/* Fill `err` with `code`, the formatted message, and libllama's own words if it said any. Returns `code`. */
int hyp_engine_err(hyp_err *err, int code, const char *message);

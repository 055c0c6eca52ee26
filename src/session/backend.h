/* backend.h - what the scheduler needs from an engine: the narrow waist between serving and computing.
 *
 * backend_engine.c fills it with the real engine; the wire tests fill it with a scripted one, so that every route,
 * error and race of the server can be tried without a model. Types are the engine's own.
 *
 * Threads: everything is called from the compute thread alone, but for `interrupt`, `get_stats`, and what deals with
 * text: `tokenize`, `piece`, `is_end`, `builtin_template`, which any thread may call. */
#pragma once
#include "chat/template.h"
#include "engine/engine.h"
#include "engine/sampling.h"

typedef struct hyp_backend_open {
    const char *path;        /* a GGUF file, or the first of a split one */
    bool embeddings;         /* pooled embeddings instead of text */
    uint32_t context_tokens; /* per sequence */
    uint32_t n_parallel;
    hyp_engine_progress progress; /* false cancels */
    void *progress_user;
} hyp_backend_open;

typedef struct hyp_backend_info {
    uint32_t context_tokens, n_parallel; /* as granted */
    uint32_t max_batch;                  /* inputs of one decode */
    int32_t n_vocab, n_embd;
    bool needs_checkpoints; /* a sequence's end cannot simply be cut off */
    bool recurrent;         /* has recurrent state: a batch may hold one sequence only */
    hyp_special_tokens special;
    const char *chat_template; /* the model's own, or NULL; valid until close */
    const char *tool_template; /* the model's own for conversations with tools, or NULL: the same; valid until close */
    hyp_mode mode;
    uint64_t size_bytes, vram_bytes; /* weights, and what of them lies on devices */
} hyp_backend_info;

/* Bytes of the model by where they are: what /ui draws. */
typedef struct hyp_backend_placement {
    uint64_t gpu_bytes, remote_bytes, pinned_bytes, cached_bytes, disk_bytes;
} hyp_backend_placement;

typedef struct hyp_backend_ops {
    /* `self` is the backend, `model` what open() gave. Errors as hyp_engine_open(). */
    int (*open)(void *self, const hyp_backend_open *request, void **ret_model, hyp_backend_info *ret_info,
                hyp_err *err);
    void (*close)(void *model);

    int (*tokenize)(void *model, const char *text, size_t n, bool add_special, bool parse_special, hyp_token **ret,
                    size_t *ret_n, hyp_err *err);
    int (*piece)(void *model, hyp_token token, bool special, char *buf, size_t size);
    bool (*is_end)(void *model, hyp_token token);
    hyp_builtin_template_fn builtin_template; /* its argument is the model; NULL: there are none */

    int (*decode)(void *model, const hyp_input *inputs, size_t n, hyp_err *err);
    /* Evaluate a media item at position `pos` of sequence `seq`, of which it takes `n`; without logits. NULL: this
     * model takes none. Errors as decode(). */
    int (*decode_media)(void *model, int32_t seq, int32_t pos, const void *item, size_t n, hyp_err *err);
    const float *(*logits)(void *model, int32_t index);
    const float *(*embedding)(void *model, int32_t seq);
    void (*interrupt)(void *model, bool on); /* any thread: stop a running decode, or let them run again */

    bool (*truncate)(void *model, int32_t seq, int32_t from);
    bool (*shift)(void *model, int32_t seq, int32_t from, int32_t to);
    void (*copy)(void *model, int32_t from_seq, int32_t to_seq, int32_t n);
    int (*save)(void *model, int32_t seq, void **ret, size_t *ret_bytes, hyp_err *err);
    int (*restore)(void *model, int32_t seq, const void *data, size_t bytes, hyp_err *err);

    int (*sampler_new)(void *model, const hyp_sampling *sampling, void **ret, hyp_err *err);
    void (*sampler_free)(void *sampler);
    hyp_token (*sample)(void *model, void *sampler, int32_t index);
    void (*accept_prompt)(void *sampler, hyp_token token);

    void (*get_stats)(void *model, hyp_engine_stats *ret, hyp_backend_placement *ret_placement); /* any thread */
} hyp_backend_ops;

typedef struct hyp_backend {
    const hyp_backend_ops *ops;
    void *self;
} hyp_backend;

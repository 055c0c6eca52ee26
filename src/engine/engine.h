/* engine.h - a loaded model and its context: the only door to libllama.
 *
 * An engine owns one model, one context with `n_parallel` sequences, and, when the model is larger than memory, the
 * pager that streams it. What it computes is what llama.cpp computes; the mode only decides where the weights are.
 *
 * Threads: one thread, the compute thread, owns an engine and calls every function except those marked otherwise. */
#pragma once
#include "base/err.h"
#include "io/types.h"
#include "pager/policy_kind.h"
#include "plan/mode.h"

typedef struct hyp_engine hyp_engine;
typedef struct hyp_model hyp_model;           /* gguf/model.h */
typedef struct hyp_plan hyp_plan;             /* plan/plan.h */
typedef struct hyp_prediction hyp_prediction; /* plan/plan.h */
typedef struct hyp_setup hyp_setup;           /* engine/setup.h */

/* Called while the weights are read. Return false to cancel the load. `rate` is bytes per second so far. */
typedef bool (*hyp_engine_progress)(uint64_t done_bytes, uint64_t total_bytes, void *user);

typedef struct hyp_engine_config {
    const hyp_model *model; /* opened by the caller, who keeps it alive as long as the engine */
    const hyp_setup *setup; /* machine and finished plan, which is obeyed: mode, placement, context, sequences, widest
                               batch. The caller's, who keeps it alive as long as the engine */
    int threads;            /* 0 = one a core */
    bool embeddings;        /* pooled embeddings instead of logits */
    hyp_policy_kind policy; /* of eviction, when experts are streamed */
    bool no_prefetch;
    bool no_memory;         /* neither read nor write the routing statistics of earlier runs */
    const char *trace_path; /* record the routing there, or NULL */
    hyp_io_config io;       /* how streamed weights are read; its mirrors are set by the engine */
    /* Copies of the model on other disks, as hyp_mirrors_open() takes them: streamed weights are read from all of them.
     * With `mirrors_may_lack` a folder that does not hold this model is passed over with a warning. */
    const char *const *mirrors;
    size_t n_mirrors;
    bool mirrors_may_lack;
    const char *sidecar_path; /* the packed copy; NULL: where it usually is */
    bool no_sidecar;          /* read the model's own files, whatever lies beside them */
    hyp_engine_progress progress;
    void *progress_user;
    /* Called with one line, without a full stop, for each warning: something is wrong but the result is not affected.
     * On the compute thread, inside open and decode. May be NULL. */
    void (*warn)(const char *line, void *user);
    void *warn_user;
} hyp_engine_config;

/* Does an engine keep the whole context for sliding-window layers, too? For plans of what an engine would do. Pure. */
bool hyp_engine_keeps_whole_windows(void);

/* Load. `*ret` is freed with hyp_engine_close().
 * Errors: HYP_EENGINE (libllama refused the file: its own words follow), HYP_EFORMAT (a tokenizer that cannot work),
 * HYP_ENOMEM (the budget is too small: the hint names the least), HYP_EUNSUPPORTED (also a `trace_path` in another mode
 * than experts), HYP_EIO, HYP_ENOTFOUND (no file at `sidecar_path`), HYP_ECANCELED (by `progress`), and those of
 * hyp_mirrors_open(). */
HYP_NODISCARD int hyp_engine_open(const hyp_engine_config *config, hyp_engine **ret, hyp_err *err);
void hyp_engine_close(hyp_engine *engine);

/* Complete the file at `trace_path`; what is computed from now on is not recorded. Nothing to do without one. Closing
 * does the same, and cannot tell. Errors: HYP_EIO and HYP_ENOMEM, when something of it is missing. */
HYP_NODISCARD int hyp_engine_end_trace(hyp_engine *engine, hyp_err *err);

/* --- what was loaded --- */
typedef struct hyp_engine_info {
    hyp_mode mode;
    char reason[200];        /* one line: why this mode */
    uint32_t context_tokens; /* per sequence, as libllama rounded it */
    uint32_t n_parallel, batch_tokens;
    int32_t n_vocab, n_embd;
    int threads;
    uint64_t budget_bytes;
    double load_s;
    double disk_bytes_per_s; /* as measured on this machine; 0: not measured */
    bool rates_measured;     /* the plan's rates are this machine's, not assumed */
} hyp_engine_info;
const hyp_engine_info *hyp_engine_get_info(const hyp_engine *engine);

/* The packed copy of the streamed weights. `*ret_path` (may be NULL) is its file when it is in use, else NULL;
 * `*ret_why` (may be NULL) why one that is there is not in use, or no longer, else NULL. */
bool hyp_engine_uses_sidecar(const hyp_engine *engine, const char **ret_path, const hyp_err **ret_why);
const hyp_model *hyp_engine_model(const hyp_engine *engine);

/* Where it placed the weights; never changes. Any thread. It is the plan that the engine was given, which
 * hyp_engine_first_plan() returns, or the one that took its place when the context took more than that one expected. */
const hyp_plan *hyp_engine_plan(const hyp_engine *engine);
const hyp_plan *hyp_engine_first_plan(const hyp_engine *engine);

/* What the cost model says of a prompt of `prompt_tokens` and an answer of `output_tokens`, with the engine as it was
 * opened: its plan, its batch width, its frames. Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_engine_predict(const hyp_engine *engine, uint32_t prompt_tokens, uint32_t output_tokens,
                                     hyp_prediction *ret, hyp_err *err);

/* --- tokens and text --- */
typedef int32_t hyp_token;

/* Tokenise `n` bytes of text. `add_special`: the model's own beginning (and end) tokens; `parse_special`: control
 * tokens written in the text are recognised. The caller frees `*ret`. Any thread. Errors: HYP_ENOMEM, HYP_EENGINE. */
HYP_NODISCARD int hyp_engine_tokenize(const hyp_engine *engine, const char *text, size_t n, bool add_special,
                                      bool parse_special, hyp_token **ret, size_t *ret_n, hyp_err *err);

/* The bytes of one token, not terminated, possibly a part of a character. Returns their number, or the negative of what
 * is needed when `size` is too small. `special`: render control tokens too. Any thread. */
int hyp_engine_piece(const hyp_engine *engine, hyp_token token, bool special, char *buf, size_t size);

/* Does the token end a generation? Any thread. */
bool hyp_engine_is_eog(const hyp_engine *engine, hyp_token token);

/* Special tokens by use; -1 where the vocabulary has none. Any thread. */
typedef struct hyp_special_tokens {
    hyp_token bos, eos, eot, fim_pre, fim_suf, fim_mid;
    bool add_bos, add_eos;
} hyp_special_tokens;
void hyp_engine_get_special(const hyp_engine *engine, hyp_special_tokens *ret);

/* The model's own chat template, or NULL. Any thread. */
const char *hyp_engine_chat_template(const hyp_engine *engine);

typedef struct hyp_chat_turn {
    const char *role, *content;
} hyp_chat_turn;

/* Render `turns` with libllama's built-in form of the template `text` (NULL: the model's; ChatML when it has none or an
 * unknown one: `*ret_fallback` tells), ready for the assistant to speak. The caller frees `*ret`. Any thread. */
HYP_NODISCARD int hyp_engine_apply_builtin_template(const hyp_engine *engine, const char *text,
                                                    const hyp_chat_turn *turns, size_t n, char **ret,
                                                    bool *ret_fallback, hyp_err *err);

/* --- computing --- */
typedef struct hyp_input {
    hyp_token token;
    int32_t pos; /* position in its sequence */
    int32_t seq; /* 0 .. n_parallel - 1 */
    bool output; /* logits wanted */
} hyp_input;

/* Evaluate `n` inputs in one call, at most the context's batch; sequences may be mixed. Logits are then read by the
 * index of their input. Errors: HYP_ENOMEM (the KV cache is full: nothing changed), HYP_EIO (a weight could not be
 * read: the sequences' memory past the last good position must be removed), HYP_ECANCELED (hyp_engine_interrupt),
 * HYP_EENGINE. */
HYP_NODISCARD int hyp_engine_decode(hyp_engine *engine, const hyp_input *inputs, size_t n, hyp_err *err);

/* The n_vocab logits of input `index` of the last decode; valid until the next. NULL if it had no output. */
const float *hyp_engine_logits(hyp_engine *engine, int32_t index);

/* The pooled embedding of sequence `seq` (n_embd floats) of an engine opened with `embeddings`; NULL if none. */
const float *hyp_engine_embedding(hyp_engine *engine, int32_t seq);

/* The most inputs that one hyp_engine_decode() takes. */
size_t hyp_engine_max_batch(const hyp_engine *engine);

/* Stop a running decode as soon as possible; it returns HYP_ECANCELED. Any thread, async-signal-safe. Holds until
 * hyp_engine_clear_interrupt(). */
void hyp_engine_interrupt(hyp_engine *engine);
void hyp_engine_clear_interrupt(hyp_engine *engine);

/* --- a sequence's memory --- */

/* Forget positions >= `from` of `seq`. Returns false when the model cannot cut there (recurrent state, a sliding window
 * that has moved on): then restore a checkpoint or clear with from = 0, which always works. */
bool hyp_engine_seq_truncate(hyp_engine *engine, int32_t seq, int32_t from);

/* Copy positions [0, n) of one sequence to another, empty one. */
void hyp_engine_seq_copy(hyp_engine *engine, int32_t from_seq, int32_t to_seq, int32_t n);

/* One past the last position held, 0 when empty. */
int32_t hyp_engine_seq_length(const hyp_engine *engine, int32_t seq);

/* Forget positions [from, to) and move what follows down to `from`, with keys turned to their new positions: what
 * llama.cpp calls a context shift. What is held then was computed in the sight of what is gone, so it is not what a
 * fresh evaluation would give. Returns false, with nothing changed, where a model cannot do that (recurrent state, a
 * window kept alone). */
bool hyp_engine_seq_shift(hyp_engine *engine, int32_t seq, int32_t from, int32_t to);

/* Checkpoints: the state that hyp_engine_seq_truncate() cannot rewind (recurrent state, sliding window) when `partial`,
 * else all of it. save: the caller frees `*ret`. Errors: HYP_ENOMEM, HYP_EENGINE. */
HYP_NODISCARD int hyp_engine_seq_save(hyp_engine *engine, int32_t seq, bool partial, void **ret, size_t *ret_bytes,
                                      hyp_err *err);
HYP_NODISCARD int hyp_engine_seq_restore(hyp_engine *engine, int32_t seq, bool partial, const void *data, size_t bytes,
                                         hyp_err *err);

/* Do sequences need checkpoints (true for recurrent, hybrid and sliding-window models)? */
bool hyp_engine_needs_checkpoints(const hyp_engine *engine);

/* Where streamed weights are read from: the model's path for 0, then the mirrors' as they were given; NULL beyond. */
const char *hyp_engine_source_path(const hyp_engine *engine, uint32_t source);

/* --- measured since the engine was opened; any thread may read a snapshot --- */
typedef struct hyp_engine_stats {
    uint64_t bytes_read, demand_bytes, prefetch_bytes; /* from the device by this process, and by the pager */
    uint64_t major_faults;
    double stall_s;       /* the compute thread waited for reads */
    uint64_t frame_bytes; /* memory in frames now; the process sees it twice, so its resident size counts it twice */
    uint64_t cache_capacity_bytes, pinned_bytes, hit_bytes, miss_bytes, evicted_bytes;
    uint64_t prefetch_issued_bytes, prefetch_used_bytes, prefetch_wasted_bytes;
    double prefetch_recall, prefetch_precision; /* of predicted experts; 0 when nothing was predicted */
    bool prefetch_on;
    double disk_bytes_per_s; /* while reading */
    hyp_io_source_stats sources[HYP_IO_MAX_SOURCES];
    uint32_t n_sources;     /* 0 unless weights are streamed */
    uint64_t n_reads;       /* by the pager */
    uint64_t sidecar_bytes; /* frame bytes that came from the sidecar */
    bool whole_experts;     /* its experts come with one read each, because that measured faster */
} hyp_engine_stats;
void hyp_engine_get_stats(hyp_engine *engine, hyp_engine_stats *ret);

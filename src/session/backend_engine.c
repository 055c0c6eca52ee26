#include "session/backend_engine.h"

#include "base/mem.h"
#include "engine/sampler.h"
#include "plan/plan.h"
#include "registry/registry.h"

#include <stdlib.h>

/* A text is pooled whole, so an embedding model's batch holds a whole context; beyond this one its buffers grow large.
 */
enum { MAX_EMBED_BATCH = 8192 };

typedef struct loaded {
    hyp_model *model; /* NULL, as is `setup`, of an engine that is somebody else's */
    hyp_setup setup;
    hyp_engine *engine;
    bool borrowed;
} loaded;

static void close_loaded(void *model) {
    loaded *l = model;
    if (l == NULL) return;
    if (!l->borrowed) hyp_engine_close(l->engine);
    hyp_setup_clear(&l->setup);
    hyp_model_free(l->model);
    free(l);
}

static bool is_recurrent(const hyp_model *model) {
    for (size_t i = 0; i < model->n_tensors; i++)
        if (model->tensors[i].role == HYP_ROLE_RECURRENT) return true;
    return false;
}

static void fill_info(const loaded *l, hyp_backend_info *ret) {
    const hyp_plan *plan = hyp_engine_plan(l->engine);
    const hyp_engine_info *info = hyp_engine_get_info(l->engine);
    const hyp_model *model = hyp_engine_model(l->engine);
    *ret = (hyp_backend_info){.context_tokens = info->context_tokens,
                              .n_parallel = info->n_parallel,
                              .max_batch = (uint32_t)hyp_engine_max_batch(l->engine),
                              .n_vocab = info->n_vocab,
                              .n_embd = info->n_embd,
                              .needs_checkpoints = hyp_engine_needs_checkpoints(l->engine),
                              .recurrent = is_recurrent(model),
                              .chat_template = hyp_engine_chat_template(l->engine),
                              .tool_template = hyp_model_meta_str(model, HYP_TOOL_TEMPLATE_KEY, NULL),
                              .mode = info->mode,
                              .size_bytes = model->tensor_bytes,
                              .vram_bytes = hyp_plan_device_weights(plan, false) + hyp_plan_device_weights(plan, true)};
    hyp_engine_get_special(l->engine, &ret->special);
}

static int open_engine(void *self, const hyp_backend_open *request, void **ret_model, hyp_backend_info *ret_info,
                       hyp_err *err) {
    const hyp_backend_base *base = self;
    hyp_setup_options options = base->setup;
    hyp_engine_config config = base->engine;
    loaded *l = calloc(1, sizeof *l);
    if (l == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    int r = hyp_model_open(request->path, &l->model, err);
    if (r == HYP_OK) {
        config.model = l->model;
        config.embeddings = request->embeddings;
        options.wishes.context_tokens =
            request->embeddings ? HYP_MIN(request->context_tokens, (uint32_t)MAX_EMBED_BATCH) : request->context_tokens;
        options.wishes.n_parallel = request->n_parallel;
        options.wishes.shared_context = request->embeddings;
        if (request->embeddings) options.wishes.batch_tokens = options.wishes.context_tokens;
        config.progress = request->progress;
        config.progress_user = request->progress_user;
        config.setup = &l->setup;
        r = hyp_setup_make(&options, l->model, &l->setup, err);
        if (r == HYP_OK) r = hyp_engine_open(&config, &l->engine, err);
    }
    if (r != HYP_OK) {
        close_loaded(l);
        return r;
    }
    fill_info(l, ret_info);
    if (request->embeddings) {
        /* libllama rounds a context up, but position embeddings have no more rows than the model was trained with; and
         * what is pooled must be computed in one piece, or an encoder ends the process. */
        ret_info->context_tokens = HYP_MIN(ret_info->context_tokens, options.wishes.context_tokens);
        ret_info->max_batch = hyp_engine_get_info(l->engine)->batch_tokens;
    }
    *ret_model = l;
    return HYP_OK;
}

int hyp_backend_engine_borrow(hyp_engine *engine, void **ret_model, hyp_backend_info *ret_info, hyp_err *err) {
    loaded *l = calloc(1, sizeof *l);
    if (l == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    *l = (loaded){.engine = engine, .borrowed = true};
    fill_info(l, ret_info);
    *ret_model = l;
    return HYP_OK;
}

static int tokenize(void *model, const char *text, size_t n, bool add_special, bool parse_special, hyp_token **ret,
                    size_t *ret_n, hyp_err *err) {
    return hyp_engine_tokenize(((loaded *)model)->engine, text, n, add_special, parse_special, ret, ret_n, err);
}

static int piece(void *model, hyp_token token, bool special, char *buf, size_t size) {
    return hyp_engine_piece(((loaded *)model)->engine, token, special, buf, size);
}

static bool is_end(void *model, hyp_token token) {
    return hyp_engine_is_eog(((loaded *)model)->engine, token);
}

/* libllama's own form of a template that src/chat does not understand. It always opens the assistant's turn. */
static int builtin_template(void *model, const char *text, const char *const *roles, const char *const *contents,
                            size_t n, bool add_generation_prompt, hyp_str *out) {
    (void)add_generation_prompt;
    HYP_AUTOFREE hyp_chat_turn *turns = calloc(n + 1, sizeof *turns);
    HYP_AUTOFREE char *rendered = NULL;
    bool fallback = false;
    hyp_err ignored = HYP_ERR_NONE;
    for (size_t i = 0; turns != NULL && i < n; i++)
        turns[i] = (hyp_chat_turn){roles[i], contents[i]};
    const hyp_engine *engine = ((loaded *)model)->engine;
    if (turns == NULL ||
        hyp_engine_apply_builtin_template(engine, text, turns, n, &rendered, &fallback, &ignored) != HYP_OK)
        return -1;
    if (fallback) return -1;
    hyp_str_puts(out, rendered);
    return out->failed ? -1 : 0;
}

static int decode(void *model, const hyp_input *inputs, size_t n, hyp_err *err) {
    return hyp_engine_decode(((loaded *)model)->engine, inputs, n, err);
}

static const float *logits(void *model, int32_t index) {
    return hyp_engine_logits(((loaded *)model)->engine, index);
}

static const float *embedding(void *model, int32_t seq) {
    return hyp_engine_embedding(((loaded *)model)->engine, seq);
}

static void interrupt(void *model, bool on) {
    if (on)
        hyp_engine_interrupt(((loaded *)model)->engine);
    else
        hyp_engine_clear_interrupt(((loaded *)model)->engine);
}

static bool truncate_seq(void *model, int32_t seq, int32_t from) {
    return hyp_engine_seq_truncate(((loaded *)model)->engine, seq, from);
}

static bool shift_seq(void *model, int32_t seq, int32_t from, int32_t to) {
    return hyp_engine_seq_shift(((loaded *)model)->engine, seq, from, to);
}

static void copy_seq(void *model, int32_t from_seq, int32_t to_seq, int32_t n) {
    hyp_engine_seq_copy(((loaded *)model)->engine, from_seq, to_seq, n);
}

static int save_seq(void *model, int32_t seq, void **ret, size_t *ret_bytes, hyp_err *err) {
    return hyp_engine_seq_save(((loaded *)model)->engine, seq, true, ret, ret_bytes, err);
}

static int restore_seq(void *model, int32_t seq, const void *data, size_t bytes, hyp_err *err) {
    return hyp_engine_seq_restore(((loaded *)model)->engine, seq, true, data, bytes, err);
}

static int sampler_new(void *model, const hyp_sampling *sampling, void **ret, hyp_err *err) {
    hyp_sampler *sampler = NULL;
    int r = hyp_sampler_new(((loaded *)model)->engine, sampling, &sampler, err);
    if (r == HYP_OK) *ret = sampler;
    return r;
}

static void sampler_free(void *sampler) {
    hyp_sampler_free(sampler);
}

static hyp_token sample(void *model, void *sampler, int32_t index) {
    return hyp_sampler_sample(sampler, ((loaded *)model)->engine, index);
}

static void accept_prompt(void *sampler, hyp_token token) {
    hyp_sampler_accept_prompt(sampler, token);
}

static void get_stats(void *model, hyp_engine_stats *ret, hyp_backend_placement *ret_placement) {
    loaded *l = model;
    const hyp_plan *plan = hyp_engine_plan(l->engine);
    hyp_backend_placement p = {.gpu_bytes = hyp_plan_device_weights(plan, false),
                               .remote_bytes = hyp_plan_device_weights(plan, true)};
    uint64_t host = hyp_engine_model(l->engine)->tensor_bytes - p.gpu_bytes - p.remote_bytes;
    hyp_engine_get_stats(l->engine, ret);
    hyp_mode mode = hyp_engine_get_info(l->engine)->mode;
    if (!hyp_mode_streams(mode))
        *(hyp_mode_is_mapped(mode) ? &p.disk_bytes : &p.pinned_bytes) = host;
    else {
        p.pinned_bytes = HYP_MIN(ret->pinned_bytes, host);
        p.cached_bytes = HYP_MIN(ret->cache_capacity_bytes, host - p.pinned_bytes);
        p.disk_bytes = host - p.pinned_bytes - p.cached_bytes;
    }
    *ret_placement = p;
}

const hyp_backend_ops hyp_backend_engine_ops = {.open = open_engine,
                                                .close = close_loaded,
                                                .tokenize = tokenize,
                                                .piece = piece,
                                                .is_end = is_end,
                                                .builtin_template = builtin_template,
                                                .decode = decode,
                                                .logits = logits,
                                                .embedding = embedding,
                                                .interrupt = interrupt,
                                                .truncate = truncate_seq,
                                                .shift = shift_seq,
                                                .copy = copy_seq,
                                                .save = save_seq,
                                                .restore = restore_seq,
                                                .sampler_new = sampler_new,
                                                .sampler_free = sampler_free,
                                                .sample = sample,
                                                .accept_prompt = accept_prompt,
                                                .get_stats = get_stats};

#include "engine/generate.h"

#include "base/mem.h"
#include "base/text.h"
#include "engine/stops.h"

#include <string.h>

static const uint64_t fnv_offset = 1469598103934665603u, fnv_prime = 1099511628211u;

/* 64-bit FNV-1a over the bytes of `n` floats, least significant byte first. */
static uint64_t digest_logits(uint64_t hash, const float *logits, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &logits[i], sizeof bits);
        for (int shift = 0; shift < 32; shift += 8)
            hash = (hash ^ (bits >> shift & 0xff)) * fnv_prime;
    }
    return hash;
}

/* Evaluate the prompt in batches; only its last token's logits are wanted. `*ret_last` is their index. */
static int prefill(hyp_engine *e, const hyp_generate_request *q, int32_t *ret_last, hyp_err *err) {
    size_t widest = hyp_engine_max_batch(e);
    HYP_AUTOFREE hyp_input *inputs = malloc(sizeof *inputs * HYP_MIN(widest, q->n_prompt));
    if (inputs == NULL) return hyp_err_set(err, HYP_ENOMEM, "no memory for a batch");
    int32_t pos = hyp_engine_seq_length(e, q->seq);
    for (size_t done = 0; done < q->n_prompt;) {
        size_t n = HYP_MIN(widest, q->n_prompt - done);
        for (size_t i = 0; i < n; i++)
            inputs[i] = (hyp_input){q->prompt[done + i], pos++, q->seq, done + i + 1 == q->n_prompt};
        int r = hyp_engine_decode(e, inputs, n, err);
        if (r != HYP_OK) return r;
        done += n;
        *ret_last = (int32_t)n - 1;
    }
    return HYP_OK;
}

typedef struct answer {
    hyp_engine *engine;
    const hyp_generate_request *request;
    hyp_generate_result *result;
    hyp_stops stops;
    size_t tokens_room;
    bool refused; /* the sink wants no more */
} answer;

static void give(answer *a, const char *text, size_t n) {
    if (n > 0 && a->request->sink != NULL && !a->request->sink(text, n, a->request->sink_user)) a->refused = true;
}

/* Record and print a token. Returns 1 when it completed a stop string, 0, or an error. */
static int take_token(answer *a, hyp_token token, hyp_err *err) {
    hyp_generate_result *res = a->result;
    if (res->n_output == a->tokens_room) {
        size_t room = a->tokens_room == 0 ? 256 : a->tokens_room * 2;
        hyp_token *more = realloc(res->tokens, sizeof *more * room);
        if (more == NULL) return hyp_err_set(err, HYP_ENOMEM, "no memory for the answer");
        res->tokens = more;
        a->tokens_room = room;
    }
    res->tokens[res->n_output++] = token;
    char stack[256], *piece = stack;
    int n = hyp_engine_piece(a->engine, token, a->request->special, stack, sizeof stack);
    HYP_AUTOFREE char *heap = n < 0 ? malloc((size_t)-n) : NULL;
    if (n < 0 && heap == NULL) return hyp_err_set(err, HYP_ENOMEM, "no memory for the answer");
    if (n < 0) piece = heap, n = hyp_engine_piece(a->engine, token, a->request->special, heap, (size_t)-n);
    const char *text;
    size_t text_n;
    bool stopped = hyp_stops_push(&a->stops, piece, n > 0 ? (size_t)n : 0, &text, &text_n);
    give(a, text, text_n);
    return stopped;
}

static int decode_loop(answer *a, hyp_sampler *sampler, int32_t index, double start_s, hyp_err *err) {
    const hyp_generate_request *q = a->request;
    hyp_generate_result *res = a->result;
    int32_t pos = hyp_engine_seq_length(a->engine, q->seq);
    int32_t context = (int32_t)hyp_engine_get_info(a->engine)->context_tokens;
    for (;;) {
        if (q->max_tokens >= 0 && res->n_output >= (size_t)q->max_tokens) return HYP_OK; /* HYP_STOP_LENGTH */
        hyp_token token = hyp_sampler_sample(sampler, a->engine, index);
        if (token < 0) return hyp_err_set(err, token, "there are no logits to sample from");
        if (res->n_output == 0) res->ttft_s = hyp_text_now_s() - start_s;
        if (!q->ignore_eog && hyp_engine_is_eog(a->engine, token)) {
            res->stop = HYP_STOP_EOG;
            return HYP_OK;
        }
        if (q->digest)
            res->logits_digest = digest_logits(res->logits_digest, hyp_engine_logits(a->engine, index),
                                               hyp_engine_get_info(a->engine)->n_vocab);
        int r = take_token(a, token, err);
        if (r < 0) return r;
        if (r > 0) res->stop = HYP_STOP_EOG;
        if (a->refused) res->stop = HYP_STOP_INTERRUPTED;
        if (r > 0 || a->refused || pos >= context) return HYP_OK;
        if (q->max_tokens >= 0 && res->n_output >= (size_t)q->max_tokens) return HYP_OK;
        hyp_input input = {token, pos++, q->seq, true};
        r = hyp_engine_decode(a->engine, &input, 1, err);
        if (r != HYP_OK) return r;
        res->n_decoded++;
        index = 0;
    }
}

static int check(hyp_engine *e, const hyp_generate_request *q, hyp_err *err) {
    uint32_t context = hyp_engine_get_info(e)->context_tokens;
    if (q->n_prompt == 0) {
        hyp_err_set(err, HYP_EINVAL, "the prompt is empty");
        hyp_err_hint(err, "give some text with --prompt");
        return HYP_EINVAL;
    }
    if (q->n_prompt + (size_t)hyp_engine_seq_length(e, q->seq) <= context) return HYP_OK;
    hyp_err_set(err, HYP_EINVAL, "the prompt has %zu tokens, more than the context of %u", q->n_prompt, context);
    hyp_err_hint(err, "try --context %zu", (q->n_prompt + 1023) / 512 * 512);
    return HYP_EINVAL;
}

int hyp_generate(hyp_engine *e, const hyp_generate_request *q, hyp_generate_result *ret, hyp_err *err) {
    *ret = (hyp_generate_result){.stop = HYP_STOP_LENGTH, .logits_digest = fnv_offset};
    int r = check(e, q, err);
    if (r != HYP_OK) return r;
    hyp_sampler *sampler = NULL;
    r = hyp_sampler_new(e, &q->sampling, &sampler, err);
    if (r != HYP_OK) return r;
    for (size_t i = 0; i < q->n_prompt; i++)
        hyp_sampler_accept_prompt(sampler, q->prompt[i]);
    answer a = {.engine = e, .request = q, .result = ret, .stops = {.strings = q->stops, .n = q->n_stops}};
    double start_s = hyp_text_now_s(), prefilled_s = start_s;
    int32_t last = 0;
    hyp_err failure = HYP_ERR_NONE;
    r = prefill(e, q, &last, &failure);
    prefilled_s = hyp_text_now_s();
    ret->prefill_s = prefilled_s - start_s;
    hyp_engine_get_stats(e, &ret->before_decode);
    if (r == HYP_OK) r = decode_loop(&a, sampler, last, start_s, &failure);
    ret->decode_s = hyp_text_now_s() - prefilled_s;
    hyp_engine_get_stats(e, &ret->after_decode);
    const char *text;
    size_t n;
    hyp_stops_flush(&a.stops, &text, &n); /* nothing is left when a stop string ended it */
    give(&a, text, n);
    hyp_stops_free(&a.stops);
    hyp_sampler_free(sampler);
    if (r == HYP_ECANCELED) {
        ret->stop = HYP_STOP_INTERRUPTED;
        return HYP_OK;
    }
    if (r != HYP_OK) hyp_err_pass(err, &failure);
    return r;
}

hyp_bound hyp_generate_bound(const hyp_generate_result *res, double disk_bytes_per_s) {
    const hyp_engine_stats *a = &res->before_decode, *b = &res->after_decode;
    if (res->n_decoded == 0 || res->decode_s <= 0) return (hyp_bound){0};
    double tokens = (double)res->n_decoded;
    double compute_s = HYP_MAX(res->decode_s - (b->stall_s - a->stall_s), 1e-9) / tokens;
    double bytes = (double)(b->demand_bytes + b->prefetch_bytes - a->demand_bytes - a->prefetch_bytes) / tokens;
    double rate = disk_bytes_per_s > 0 ? disk_bytes_per_s : b->disk_bytes_per_s;
    if (b->n_sources > 1) { /* several disks: what they have shown together */
        rate = 0;
        for (uint32_t i = 0; i < b->n_sources; i++)
            if (b->sources[i].dropped_errno == 0) rate += b->sources[i].bytes_per_s;
    }
    double read_s = rate > 0 ? bytes / rate : 0;
    return (hyp_bound){1 / HYP_MAX(compute_s, read_s), read_s > compute_s};
}

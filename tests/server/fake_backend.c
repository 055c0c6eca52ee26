#include "fake_backend.h"

#include "base/mem.h"
#include "gguf/model.h"
#include "registry/registry.h"

#include <ctype.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum { BOS = 256, EOG, START, FIM_PRE, FIM_SUF, FIM_MID, N_VOCAB, N_EMBD = 8, MAX_SEQS = 64, SCRIPT = 1 << 16 };

static const char *const special_texts[] = {"<s>", "<|im_end|>", "<|im_start|>", "<fim_pre>", "<fim_suf>", "<fim_mid>"};

static atomic_uint_fast64_t n_tokens_decoded, n_decodes;

typedef struct sequence {
    hyp_token *tokens;
    size_t n, capacity;
    size_t restored; /* where truncating is allowed although the model needs checkpoints */
} sequence;

typedef struct fake {
    const fake_options *options;
    hyp_model *model;
    sequence seqs[MAX_SEQS];
    bool embeddings;
    float logits[N_VOCAB];
    float vectors[MAX_SEQS][N_EMBD];
    hyp_token next[8192]; /* of each input of the last decode */
    size_t n_next;
    char spelled[SCRIPT * 16], script[SCRIPT]; /* scratch of make_plan() */
    atomic_bool interrupted;
    uint32_t n_parallel, context;
} fake;

void fake_counters(uint64_t *ret_tokens, uint64_t *ret_calls) {
    *ret_tokens = atomic_load(&n_tokens_decoded);
    *ret_calls = atomic_load(&n_decodes);
}

static void sleep_us(unsigned us) {
    struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = (long)(us % 1000000) * 1000};
    if (us > 0) nanosleep(&t, NULL);
}

static void fill_info(const fake *f, hyp_backend_info *info) {
    *info = (hyp_backend_info){
        .context_tokens = f->context,
        .n_parallel = f->n_parallel,
        .max_batch = f->options->max_batch > 0 ? f->options->max_batch : 512,
        .n_vocab = N_VOCAB,
        .n_embd = N_EMBD,
        .needs_checkpoints = f->options->needs_checkpoints,
        .recurrent = f->options->needs_checkpoints,
        .special = {.bos = BOS, .eos = EOG, .eot = EOG, .fim_pre = FIM_PRE, .fim_suf = FIM_SUF, .fim_mid = FIM_MID},
        .mode = HYP_MODE_RESIDENT};
}

void fake_new(const fake_options *options, uint32_t context_tokens, void **ret_model, hyp_backend_info *ret_info) {
    fake *f = calloc(1, sizeof *f);
    if (f == NULL) abort();
    f->options = options;
    f->n_parallel = 1;
    f->context = context_tokens;
    fill_info(f, ret_info);
    *ret_model = f;
}

static int fake_open(void *self, const hyp_backend_open *request, void **ret_model, hyp_backend_info *info,
                     hyp_err *err) {
    fake *f = calloc(1, sizeof *f);
    if (f == NULL) return HYP_ENOMEM;
    f->options = self;
    f->embeddings = request->embeddings;
    f->n_parallel = request->n_parallel;
    f->context = request->context_tokens;
    int r = hyp_model_open(request->path, &f->model, err);
    for (unsigned ms = 0; r == HYP_OK && ms < f->options->load_ms; ms += 5) {
        if (!request->progress(ms, f->options->load_ms, request->progress_user))
            r = hyp_err_set(err, HYP_ECANCELED, "loading was cancelled");
        sleep_us(5000);
    }
    if (r == HYP_OK && hyp_model_meta_u64(f->model, "fake.broken", 0) != 0) {
        hyp_err_set(err, HYP_EENGINE, "this model is broken");
        hyp_err_hint(err, "take another");
        r = HYP_EENGINE;
    }
    if (r != HYP_OK) {
        hyp_model_free(f->model);
        free(f);
        return r;
    }
    fill_info(f, info);
    info->chat_template = hyp_model_meta_str(f->model, "tokenizer.chat_template", NULL);
    info->tool_template = hyp_model_meta_str(f->model, HYP_TOOL_TEMPLATE_KEY, NULL);
    info->size_bytes = f->model->bytes;
    info->vram_bytes = f->model->bytes / 4 + f->model->bytes / 8;
    *ret_model = f;
    return HYP_OK;
}

static void fake_close(void *model) {
    fake *f = model;
    for (size_t i = 0; i < MAX_SEQS; i++)
        free(f->seqs[i].tokens);
    hyp_model_free(f->model);
    free(f);
}

static int fake_tokenize(void *model, const char *text, size_t n, bool add_special, bool parse_special, hyp_token **ret,
                         size_t *ret_n, hyp_err *err) {
    (void)model;
    hyp_token *tokens = malloc((n + 2) * sizeof *tokens);
    if (tokens == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    size_t count = 0;
    if (add_special) tokens[count++] = BOS;
    for (size_t i = 0; i < n;) {
        size_t s = HYP_ARRAY_LEN(special_texts);
        if (parse_special && text[i] == '<')
            for (s = 0; s < HYP_ARRAY_LEN(special_texts); s++)
                if (n - i >= strlen(special_texts[s]) &&
                    memcmp(text + i, special_texts[s], strlen(special_texts[s])) == 0)
                    break;
        if (s < HYP_ARRAY_LEN(special_texts)) {
            tokens[count++] = BOS + (hyp_token)s;
            i += strlen(special_texts[s]);
        } else
            tokens[count++] = (unsigned char)text[i++];
    }
    *ret = tokens;
    *ret_n = count;
    return HYP_OK;
}

static int fake_piece(void *model, hyp_token token, bool special, char *buf, size_t size) {
    (void)model;
    if (token < 0 || token >= N_VOCAB || size < 1) return 0;
    if (token < BOS) return buf[0] = (char)token, 1;
    if (!special) return 0;
    const char *text = special_texts[token - BOS];
    if (strlen(text) > size) return -(int)strlen(text);
    memcpy(buf, text, strlen(text));
    return (int)strlen(text);
}

static bool fake_is_end(void *model, hyp_token token) {
    (void)model;
    return token == EOG;
}

/* --- the script --- */

/* The sequence as text, control tokens spelled out. */
static size_t spell(const sequence *s, char *buf, size_t size) {
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        n += (size_t)HYP_MAX(fake_piece(NULL, s->tokens[i], true, buf + n, size - n - 1), 0);
    buf[n] = '\0';
    return n;
}

static char *find_last(char *text, const char *what) {
    char *last = NULL;
    for (char *p = strstr(text, what); p != NULL; p = strstr(p + 1, what))
        last = p;
    return last;
}

static size_t write_escaped(const char *from, size_t n_given, char *out, size_t size) {
    size_t n = 0;
    for (const char *p = from; *p != '\0' && n + 24 < size; p++) {
        if (p[0] == '\\' && p[1] == 'n')
            out[n++] = '\n', p++;
        else if (p[0] == '\\' && p[1] == 'x' && isxdigit((unsigned char)p[2]) && isxdigit((unsigned char)p[3])) {
            char hex[3] = {p[2], p[3], 0};
            out[n++] = (char)strtol(hex, NULL, 16);
            p += 3;
        } else if (strncmp(p, "{TOKENS}", 8) == 0) {
            n += (size_t)snprintf(out + n, size - n, "%zu", n_given);
            p += 7;
        } else
            out[n++] = *p;
    }
    return n;
}

typedef struct plan {
    unsigned delay_us;
    bool fail, forever;
    size_t done; /* bytes already answered */
    char *text;  /* to be answered */
    size_t n;
} plan;

/* What is to be said next, from nothing but the sequence's tokens. */
static void make_plan(const sequence *s, plan *ret, char *buf, char *out) {
    spell(s, buf, SCRIPT);
    char *answer = find_last(buf, "<|im_start|>assistant\n"), *raw = find_last(buf, "=>");
    char *command = buf;
    *ret = (plan){.text = out};
    if (answer != NULL) {
        char *said = answer + strlen("<|im_start|>assistant\n");
        *answer = '\0';
        char *user = find_last(buf, "<|im_start|>user\n"), *end;
        command = user != NULL ? user + strlen("<|im_start|>user\n") : buf;
        if ((end = strstr(command, "<|im_end|>")) != NULL) *end = '\0';
        ret->done = strlen(said);
    } else if (raw != NULL) {
        ret->done = strlen(raw + 2);
        *raw = '\0';
    }
    size_t given = s->n - ret->done;
    if (strncmp(command, "<s>", 3) == 0) command += 3;
    if (strncmp(command, "slow ", 5) == 0) {
        char *rest;
        ret->delay_us = (unsigned)strtoul(command + 5, &rest, 10) * 1000;
        command = rest + (*rest == ' ');
        ret->n = write_escaped(command, given, out, SCRIPT);
    } else if (strncmp(command, "say ", 4) == 0)
        ret->n = write_escaped(command + 4, given, out, SCRIPT);
    else if (strncmp(command, "count ", 6) == 0) {
        for (long i = 1, n = strtol(command + 6, NULL, 10); i <= n && ret->n + 16 < SCRIPT; i++)
            ret->n += (size_t)snprintf(out + ret->n, 16, "%s%ld", i > 1 ? " " : "", i);
    } else if (strncmp(command, "forever", 7) == 0)
        ret->forever = true;
    else if (strncmp(command, "fail", 4) == 0)
        ret->fail = true;
    else
        ret->n = write_escaped(command, given, out, SCRIPT);
}

static bool append(sequence *s, hyp_token token) {
    if (s->n == s->capacity) {
        size_t capacity = s->capacity == 0 ? 256 : 2 * s->capacity;
        hyp_token *more = realloc(s->tokens, capacity * sizeof *more);
        if (more == NULL) return false;
        s->tokens = more;
        s->capacity = capacity;
    }
    s->tokens[s->n++] = token;
    return true;
}

static int choose(fake *f, const sequence *s, size_t index, hyp_err *err) {
    plan p;
    if (s->n > SCRIPT) return hyp_err_set(err, HYP_ELIMIT, "more than %d tokens", SCRIPT);
    make_plan(s, &p, f->spelled, f->script);
    sleep_us(p.delay_us);
    if (p.fail) return hyp_err_set(err, HYP_EIO, "a weight could not be read");
    f->next[index] = p.forever ? 'x' : p.done < p.n ? (unsigned char)p.text[p.done] : EOG;
    return HYP_OK;
}

static int fake_decode(void *model, const hyp_input *inputs, size_t n, hyp_err *err) {
    fake *f = model;
    if (n == 0 || n > 8192) return hyp_err_set(err, HYP_EENGINE, "a batch of %zu inputs", n);
    sleep_us(f->options->decode_us);
    f->n_next = n;
    for (size_t i = 0; i < n; i++) {
        const hyp_input *in = &inputs[i];
        if (atomic_load(&f->interrupted)) return hyp_err_set(err, HYP_ECANCELED, "interrupted");
        if (in->seq < 0 || in->seq >= (int32_t)f->n_parallel)
            return hyp_err_set(err, HYP_EENGINE, "no sequence %d", in->seq);
        sequence *s = &f->seqs[in->seq];
        if (in->pos != (int32_t)s->n)
            return hyp_err_set(err, HYP_EENGINE, "position %d follows %zu tokens", in->pos, s->n);
        if (s->n >= f->context) return hyp_err_set(err, HYP_EENGINE, "beyond the context");
        if (!append(s, in->token)) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
        f->next[i] = -1;
        if (f->embeddings)
            f->vectors[in->seq][in->token % N_EMBD] += 1;
        else if (in->output) {
            int r = choose(f, s, i, err);
            if (r != HYP_OK) return r;
        }
    }
    atomic_fetch_add(&n_tokens_decoded, n);
    atomic_fetch_add(&n_decodes, 1);
    return HYP_OK;
}

/* An item says by itself how many positions it takes. */
static int fake_decode_media(void *model, int32_t seq, int32_t pos, const void *item, size_t n, hyp_err *err) {
    fake *f = model;
    sequence *s = &f->seqs[seq];
    if (pos != (int32_t)s->n) return hyp_err_set(err, HYP_EENGINE, "position %d follows %zu tokens", pos, s->n);
    if (*(const size_t *)item != n) return hyp_err_set(err, HYP_EIO, "the item takes other positions");
    for (size_t i = 0; i < n; i++)
        if (!append(s, -2)) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    return HYP_OK;
}

static const float *fake_logits(void *model, int32_t index) {
    fake *f = model;
    if (index < 0 || (size_t)index >= f->n_next || f->next[index] < 0) return NULL;
    for (int i = 0; i < N_VOCAB; i++)
        f->logits[i] = (float)(-i % 7);
    f->logits[f->next[index]] = 9;
    return f->logits;
}

static const float *fake_embedding(void *model, int32_t seq) {
    fake *f = model;
    return f->embeddings ? f->vectors[seq] : NULL;
}

static void fake_interrupt(void *model, bool on) {
    atomic_store(&((fake *)model)->interrupted, on);
}

static bool fake_truncate(void *model, int32_t seq, int32_t from) {
    fake *f = model;
    sequence *s = &f->seqs[seq];
    if (from == 0) memset(f->vectors[seq], 0, sizeof f->vectors[seq]);
    if (f->options->needs_checkpoints && from != 0 && (size_t)from < s->n && (size_t)from != s->restored) return false;
    if ((size_t)from < s->n) s->n = (size_t)from;
    s->restored = 0;
    return true;
}

static bool fake_shift(void *model, int32_t seq, int32_t from, int32_t to) {
    fake *f = model;
    sequence *s = &f->seqs[seq];
    if (f->options->needs_checkpoints) return false;
    memmove(s->tokens + from, s->tokens + to, (s->n - (size_t)to) * sizeof *s->tokens);
    s->n -= (size_t)(to - from);
    return true;
}

static void fake_copy(void *model, int32_t from_seq, int32_t to_seq, int32_t n) {
    fake *f = model;
    for (int32_t i = 0; i < n && (size_t)i < f->seqs[from_seq].n; i++)
        append(&f->seqs[to_seq], f->seqs[from_seq].tokens[i]);
}

static int fake_save(void *model, int32_t seq, void **ret, size_t *ret_bytes, hyp_err *err) {
    fake *f = model;
    size_t *n = malloc(sizeof *n);
    if (n == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    *n = f->seqs[seq].n;
    *ret = n;
    *ret_bytes = sizeof *n;
    return HYP_OK;
}

static int fake_restore(void *model, int32_t seq, const void *data, size_t bytes, hyp_err *err) {
    fake *f = model;
    if (bytes != sizeof(size_t)) return hyp_err_set(err, HYP_EENGINE, "a bad state");
    memcpy(&f->seqs[seq].restored, data, bytes);
    return HYP_OK;
}

static int fake_sampler_new(void *model, const hyp_sampling *sampling, void **ret, hyp_err *err) {
    (void)model;
    hyp_sampling *copy = malloc(sizeof *copy);
    if (copy == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    *copy = *sampling;
    *ret = copy;
    return HYP_OK;
}

static hyp_token fake_sample(void *model, void *sampler, int32_t index) {
    (void)sampler;
    fake *f = model;
    return index >= 0 && (size_t)index < f->n_next ? f->next[index] : HYP_EINVAL;
}

static void fake_accept(void *sampler, hyp_token token) {
    (void)sampler, (void)token;
}

static void fake_stats(void *model, hyp_engine_stats *ret, hyp_backend_placement *placement) {
    fake *f = model;
    *ret = (hyp_engine_stats){.hit_bytes = 75, .miss_bytes = 25, .bytes_read = 1000, .disk_bytes_per_s = 5e8};
    uint64_t eighth = f->model->bytes / 8;
    *placement = (hyp_backend_placement){.gpu_bytes = f->model->bytes / 4,
                                         .remote_bytes = eighth,
                                         .pinned_bytes = eighth,
                                         .cached_bytes = eighth,
                                         .disk_bytes = f->model->bytes / 4};
}

const hyp_backend_ops fake_backend_ops = {.open = fake_open,
                                          .close = fake_close,
                                          .tokenize = fake_tokenize,
                                          .piece = fake_piece,
                                          .is_end = fake_is_end,
                                          .decode = fake_decode,
                                          .decode_media = fake_decode_media,
                                          .logits = fake_logits,
                                          .embedding = fake_embedding,
                                          .interrupt = fake_interrupt,
                                          .truncate = fake_truncate,
                                          .shift = fake_shift,
                                          .copy = fake_copy,
                                          .save = fake_save,
                                          .restore = fake_restore,
                                          .sampler_new = fake_sampler_new,
                                          .sampler_free = free,
                                          .sample = fake_sample,
                                          .accept_prompt = fake_accept,
                                          .get_stats = fake_stats};

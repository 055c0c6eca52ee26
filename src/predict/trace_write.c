/* trace_write.c - the writing half of trace.h; the layout is described in README.md. */
#include "predict/trace_priv.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { FLUSH_BYTES = 1 << 20 };

struct hyp_trace_writer {
    int fd, sys; /* sys: errno of the first write that failed */
    bool no_memory;
    char *path;
    uint32_t n_layers;
    uint32_t last_layer;            /* UINT32_MAX before the first visit */
    uint32_t n_passes, pass_tokens; /* pass_tokens: as the pass began with */
    hyp_str buffer;
    uint64_t hash;
    uint32_t *sorted; /* room for the experts of a visit, expert and count side by side */
    uint32_t *n_experts;
    uint32_t predicted_layer, n_predicted;
    uint32_t *predicted;
};

static void write_out(hyp_trace_writer *w) {
    w->hash = hyp_wire_hash(w->hash, w->buffer.data, w->buffer.length);
    for (size_t done = 0; done < w->buffer.length && w->sys == 0;) {
        ssize_t n = write(w->fd, w->buffer.data + done, w->buffer.length - done);
        if (n >= 0)
            done += (size_t)n;
        else if (errno != EINTR)
            w->sys = errno;
    }
    w->buffer.length = 0;
}

static void writer_free(hyp_trace_writer *w) {
    if (w == NULL) return;
    if (w->fd >= 0) close(w->fd);
    hyp_str_free(&w->buffer);
    free(w->path);
    free(w->sorted);
    free(w->n_experts);
    free(w->predicted);
    free(w);
}

static void put_header(hyp_str *s, const hyp_trace_info *info) {
    hyp_str_append(s, TRACE_MAGIC, 8);
    hyp_wire_put(s, TRACE_VERSION, 4);
    hyp_str_append(s, info->digest, 64);
    size_t n_name = strnlen(info->name, sizeof info->name - 1);
    hyp_wire_put(s, n_name, 1);
    hyp_str_append(s, info->name, n_name);
    hyp_wire_put(s, info->n_layers, 4);
    hyp_wire_put(s, info->n_used, 4);
    hyp_wire_put(s, info->always_bytes, 8);
    for (uint32_t l = 0; l < info->n_layers; l++) {
        hyp_wire_put(s, info->layers[l].model_layer, 4);
        hyp_wire_put(s, info->layers[l].n_experts, 4);
        hyp_wire_put(s, info->layers[l].unit_bytes, 8);
    }
}

static bool info_fits(const hyp_trace_info *info) {
    if (info->n_layers == 0 || info->n_layers > TRACE_MAX_LAYERS || info->n_used > TRACE_MAX_EXPERTS) return false;
    if (info->always_bytes > TRACE_MAX_BYTES) return false;
    for (uint32_t l = 0; l < info->n_layers; l++) {
        const hyp_trace_layer *layer = &info->layers[l];
        if (layer->n_experts == 0 || layer->n_experts > TRACE_MAX_EXPERTS) return false;
        if (layer->unit_bytes == 0 || layer->unit_bytes > TRACE_MAX_BYTES) return false;
    }
    return true;
}

static int allocate(hyp_trace_writer *w, const char *path, const hyp_trace_info *info) {
    uint32_t most = 0;
    w->n_layers = info->n_layers;
    w->n_experts = calloc(info->n_layers, sizeof *w->n_experts);
    if (w->n_experts == NULL) return HYP_ENOMEM;
    for (uint32_t l = 0; l < info->n_layers; l++) {
        w->n_experts[l] = info->layers[l].n_experts;
        most = HYP_MAX(most, info->layers[l].n_experts);
    }
    w->sorted = calloc(2 * (size_t)most, sizeof *w->sorted);
    w->predicted = calloc(most, sizeof *w->predicted);
    w->path = strdup(path);
    put_header(&w->buffer, info);
    return w->sorted == NULL || w->predicted == NULL || w->path == NULL || w->buffer.failed ? HYP_ENOMEM : HYP_OK;
}

int hyp_trace_create(const char *path, const hyp_trace_info *info, hyp_trace_writer **ret, hyp_err *err) {
    if (!info_fits(info)) return hyp_err_set(err, HYP_EINVAL, "a trace cannot describe a model of this shape");
    hyp_trace_writer *w = calloc(1, sizeof *w);
    if (w == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for the trace %s", path);
    w->fd = -1;
    w->hash = WIRE_HASH;
    w->last_layer = w->predicted_layer = UINT32_MAX;
    if (allocate(w, path, info) != HYP_OK) {
        writer_free(w);
        return hyp_err_set(err, HYP_ENOMEM, "out of memory for the trace %s", path);
    }
    w->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (w->fd < 0) {
        hyp_err_set_sys(err, HYP_EIO, errno, "cannot write the trace %s", path);
        hyp_err_hint(err, "name a file in a folder that exists and may be written");
        writer_free(w);
        return HYP_EIO;
    }
    *ret = w;
    return HYP_OK;
}

/* Insertion sort: a token's few experts, or a batch's many, which come sorted as a rule. */
static size_t sort_used(hyp_trace_writer *w, uint32_t layer, uint32_t n_tokens, const uint32_t *experts,
                        const uint32_t *counts, size_t n) {
    uint32_t *sorted = w->sorted;
    size_t n_sorted = 0;
    for (size_t i = 0; i < n && n_sorted < w->n_experts[layer]; i++) {
        uint32_t count = counts != NULL ? counts[i] : 1;
        if (experts[i] >= w->n_experts[layer] || count == 0) continue;
        size_t at = n_sorted;
        while (at > 0 && sorted[2 * (at - 1)] > experts[i])
            at--;
        if (at > 0 && sorted[2 * (at - 1)] == experts[i]) continue;
        memmove(sorted + 2 * (at + 1), sorted + 2 * at, 2 * (n_sorted - at) * sizeof *sorted);
        sorted[2 * at] = experts[i];
        sorted[2 * at + 1] = HYP_MIN(count, n_tokens);
        n_sorted++;
    }
    return n_sorted;
}

void hyp_trace_used(hyp_trace_writer *w, uint32_t layer, uint32_t n_tokens, const uint32_t *experts,
                    const uint32_t *counts, size_t n) {
    if (layer >= w->n_layers || n_tokens == 0 || n_tokens > TRACE_MAX_TOKENS) return;
    if (w->last_layer == UINT32_MAX || layer <= w->last_layer) {
        hyp_wire_put(&w->buffer, TRACE_TAG_PASS, 1);
        hyp_wire_put_varint(&w->buffer, n_tokens);
        w->pass_tokens = n_tokens;
        w->n_passes++;
    }
    w->last_layer = layer;
    hyp_wire_put(&w->buffer, TRACE_TAG_VISIT, 1);
    hyp_wire_put_varint(&w->buffer, layer);
    size_t n_sorted = sort_used(w, layer, w->pass_tokens, experts, counts, n);
    hyp_wire_put_varint(&w->buffer, (uint32_t)n_sorted);
    uint32_t next = 0;
    for (size_t i = 0; i < n_sorted; i++) {
        hyp_wire_put_varint(&w->buffer, w->sorted[2 * i] - next);
        next = w->sorted[2 * i] + 1;
        if (w->pass_tokens > 1) hyp_wire_put_varint(&w->buffer, w->sorted[2 * i + 1]);
    }
    uint32_t n_predicted = w->predicted_layer == layer ? w->n_predicted : 0;
    hyp_wire_put_varint(&w->buffer, n_predicted);
    for (uint32_t i = 0; i < n_predicted; i++)
        hyp_wire_put_varint(&w->buffer, w->predicted[i]);
    w->predicted_layer = UINT32_MAX;
    w->no_memory |= w->buffer.failed;
    if (w->buffer.length >= FLUSH_BYTES) write_out(w); /* not a system call for every token */
}

void hyp_trace_predicted(hyp_trace_writer *w, uint32_t layer, const uint32_t *experts, size_t n) {
    if (layer >= w->n_layers) return;
    w->predicted_layer = layer;
    w->n_predicted = 0;
    for (size_t i = 0; i < n && w->n_predicted < w->n_experts[layer]; i++)
        if (experts[i] < w->n_experts[layer]) w->predicted[w->n_predicted++] = experts[i];
}

int hyp_trace_close(hyp_trace_writer *w, hyp_err *err) {
    if (w == NULL) return HYP_OK;
    int r = HYP_OK;
    hyp_wire_put(&w->buffer, TRACE_TAG_END, 1);
    hyp_wire_put(&w->buffer, w->n_passes, 4);
    write_out(w); /* hashes what it writes: now the hash is that of all before it */
    hyp_wire_put(&w->buffer, w->hash, 8);
    w->no_memory |= w->buffer.failed;
    write_out(w);
    if (close(w->fd) != 0 && w->sys == 0) w->sys = errno;
    w->fd = -1;
    if (w->sys != 0)
        r = hyp_err_set_sys(err, HYP_EIO, w->sys, "cannot write the trace %s", w->path);
    else if (w->no_memory)
        r = hyp_err_set(err, HYP_ENOMEM, "the trace %s has gaps: out of memory", w->path);
    writer_free(w);
    return r;
}

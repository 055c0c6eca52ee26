/* remote.c - a remote device answers only what it is asked for: sending weights and starting graphs do not wait. Every
 * time taken here therefore ends with fetching a number back, and the round trip is taken off. */
#include "hw/remote.h"

#include "base/mem.h"
#include "base/text.h"

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml.h>
#include <string.h>

/* A matrix is 2.2 MB in Q8_0: large against a round trip, small against ggml's limit (10 MiB) beyond which a server may
 * take the data from its own cache instead of the network. */
enum { WIDTH = 2048, ROWS = 1024, MATRICES = 8, TOKENS = 64, ROUND_TRIPS = 5 };

typedef struct bench {
    ggml_backend_t backend;
    struct ggml_context *ctx;
    ggml_backend_buffer_t buffer;
    struct ggml_tensor *matrices[MATRICES], *row, *rows;
    size_t n_matrices;
} bench;

static void end_bench(bench *b) {
    ggml_backend_buffer_free(b->buffer);
    ggml_free(b->ctx);
    ggml_backend_free(b->backend);
}

static bool begin_bench(bench *b, struct ggml_backend_device *dev) {
    struct ggml_init_params params = {.mem_size = (4 * MATRICES + 8) * ggml_tensor_overhead() +
                                                  2 * ggml_graph_overhead_custom(2 * MATRICES + 2, false),
                                      .no_alloc = true};
    b->backend = ggml_backend_dev_init(dev, NULL);
    b->ctx = ggml_init(params);
    if (b->backend == NULL || b->ctx == NULL) return false;
    for (size_t i = 0; i < MATRICES; i++)
        b->matrices[i] = ggml_new_tensor_2d(b->ctx, GGML_TYPE_Q8_0, WIDTH, ROWS);
    b->row = ggml_new_tensor_2d(b->ctx, GGML_TYPE_F32, WIDTH, 1);
    b->rows = ggml_new_tensor_2d(b->ctx, GGML_TYPE_F32, WIDTH, TOKENS);
    return true;
}

/* Wait until everything sent before has been done. Returns the seconds since `start_s`. */
static double finish(const struct ggml_tensor *t, double start_s) {
    float number;
    ggml_backend_tensor_get(t, &number, 0, sizeof number);
    return hyp_text_now_s() - start_s;
}

static double round_trip(const bench *b) {
    double best = 1e9;
    for (int i = 0; i < ROUND_TRIPS; i++)
        best = HYP_MIN(best, finish(b->row, hyp_text_now_s()));
    return best;
}

/* Seconds of sending one matrix of zeros, which is as much work to compute with as any other. */
static double send(const bench *b, size_t i, const void *zeros, double trip_s) {
    double start = hyp_text_now_s();
    ggml_backend_tensor_set(b->matrices[i], zeros, 0, ggml_nbytes(b->matrices[i]));
    return HYP_MAX(finish(b->matrices[i], start) - trip_s, 1e-6);
}

/* Seconds of the products of the first `n` matrices with `x`, the best of three; 0 when the device refuses. */
static double compute(const bench *b, struct ggml_cgraph *graph, const struct ggml_tensor *last, double trip_s) {
    double best = 1e9;
    for (int i = 0; i < 3; i++) {
        double start = hyp_text_now_s();
        if (ggml_backend_graph_compute(b->backend, graph) != GGML_STATUS_SUCCESS) return 0;
        best = HYP_MIN(best, finish(last, start) - trip_s);
    }
    return HYP_MAX(best, 1e-6);
}

static struct ggml_cgraph *products(bench *b, size_t n, struct ggml_tensor *x, struct ggml_tensor **ret_last) {
    struct ggml_cgraph *graph = ggml_new_graph_custom(b->ctx, 2 * MATRICES + 2, false);
    for (size_t i = 0; i < n; i++) {
        *ret_last = ggml_mul_mat(b->ctx, b->matrices[i], x);
        ggml_build_forward_expand(graph, *ret_last);
    }
    return graph;
}

static bool measure(bench *b, hyp_device *device) {
    HYP_AUTOFREE char *zeros = calloc(1, ggml_row_size(GGML_TYPE_Q8_0, WIDTH) * ROWS);
    struct ggml_tensor *last_one = NULL, *last_wide = NULL;
    struct ggml_cgraph *one = products(b, MATRICES, b->row, &last_one), *wide = products(b, 1, b->rows, &last_wide);
    b->buffer = ggml_backend_alloc_ctx_tensors(b->ctx, b->backend);
    if (zeros == NULL || b->buffer == NULL) return false;
    ggml_backend_buffer_clear(b->buffer, 0);
    double trip_s = round_trip(b), matrix = (double)ggml_nbytes(b->matrices[0]);
    double send_s = send(b, 0, zeros, trip_s);
    /* On a fast network once more: the first bytes of a connection are slow. */
    for (size_t i = 1; i < MATRICES && send_s < 0.05; i++)
        send_s = HYP_MIN(send_s, send(b, i, zeros, trip_s));
    double one_s = compute(b, one, last_one, trip_s), wide_s = compute(b, wide, last_wide, trip_s);
    if (one_s <= 0 || wide_s <= 0) return false;
    device->hop_s = trip_s;
    device->copy_bytes_per_s = matrix / send_s;
    device->weight_bytes_per_s = MATRICES * matrix / one_s;
    device->flop_per_s = 2.0 * WIDTH * ROWS * TOKENS / wide_s;
    return true;
}

int hyp_remote_measure(struct ggml_backend_device *dev, hyp_device *ret, hyp_err *err) {
    hyp_device device = {.kind = HYP_DEVICE_REMOTE};
    size_t free_bytes = 0, total_bytes = 0;
    ggml_backend_dev_memory(dev, &free_bytes, &total_bytes);
    device.free_bytes = free_bytes;
    device.total_bytes = total_bytes;
    snprintf(device.name, sizeof device.name, "%s", ggml_backend_dev_name(dev));
    snprintf(device.description, sizeof device.description, "%s", ggml_backend_dev_description(dev));
    bench b = {0};
    bool good = begin_bench(&b, dev) && measure(&b, &device);
    end_bench(&b);
    if (!good) return hyp_err_set(err, HYP_EENGINE, "the remote device %s cannot compute", device.name);
    *ret = device;
    return HYP_OK;
}

#include "hw/bandwidth.h"

#include "base/mem.h"
#include "base/text.h"

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <ggml.h>
#include <pthread.h>
#include <string.h>

/* A matrix of a mid-sized model; a batch wide enough for the arithmetic to dominate. */
enum { WIDTH = 4096, WIDE_TOKENS = 128, WIDE_MATRICES = 2, MAX_MATRICES = 256, NODES = 1000, NODE_WIDTH = 2048 };

static uint64_t weight_bytes_of(const hyp_bench *bench) {
    return bench->weight_bytes > 0 ? bench->weight_bytes : (uint64_t)192 << 20;
}

static double seconds_of(const hyp_bench *bench) {
    return bench->seconds > 0 ? bench->seconds : 0.05;
}

/* --- plain memory --- */
typedef struct reader {
    pthread_t thread;
    const uint64_t *words;
    size_t n;
    uint64_t sum;
} reader;

static void *read_words(void *arg) {
    reader *r = arg;
    uint64_t a = 0, b = 0, c = 0, d = 0;
    for (size_t i = 0; i + 4 <= r->n; i += 4)
        a += r->words[i], b += r->words[i + 1], c += r->words[i + 2], d += r->words[i + 3];
    r->sum = a ^ b ^ c ^ d;
    return NULL;
}

double hyp_bandwidth_memory(const hyp_bench *bench) {
    enum { MAX_READERS = 64, ROUNDS = 3 };
    size_t n = (size_t)HYP_MIN(HYP_MAX(bench->threads, 1), MAX_READERS), bytes = weight_bytes_of(bench) * 2;
    HYP_AUTOFREE uint64_t *words = malloc(bytes);
    reader readers[MAX_READERS];
    double best = 0;
    volatile uint64_t keep = 0;
    if (words == NULL) return 0;
    memset(words, 1, bytes);
    size_t each = bytes / sizeof *words / n;
    for (int round = 0; round < ROUNDS; round++) {
        double start = hyp_text_now_s();
        size_t started = 0;
        for (; started < n; started++) {
            readers[started] = (reader){.words = words + started * each, .n = each};
            if (pthread_create(&readers[started].thread, NULL, read_words, &readers[started]) != 0) break;
        }
        for (size_t i = 0; i < started; i++) {
            pthread_join(readers[i].thread, NULL);
            keep += readers[i].sum;
        }
        double rate = (double)(started * each * sizeof *words) / (hyp_text_now_s() - start);
        best = HYP_MAX(best, rate);
    }
    return best;
}

/* --- graphs of matrix products --- */
typedef struct work {
    ggml_backend_t backend;
    ggml_backend_buffer_type_t buft; /* of the weights */
    struct ggml_context *weights, *graph_ctx;
    ggml_backend_buffer_t weight_buffer, graph_buffer;
    struct ggml_tensor *matrices[MAX_MATRICES];
    size_t n;
    struct ggml_cgraph *graph;
} work;

static void end_graph(work *w) {
    ggml_backend_buffer_free(w->graph_buffer);
    ggml_free(w->graph_ctx);
    w->graph_buffer = NULL, w->graph_ctx = NULL;
}

static void end_work(work *w) {
    end_graph(w);
    ggml_backend_buffer_free(w->weight_buffer);
    ggml_free(w->weights);
    w->weight_buffer = NULL, w->weights = NULL, w->n = 0;
}

static struct ggml_context *new_context(size_t n_tensors) {
    struct ggml_init_params params = {.mem_size = ggml_tensor_overhead() * n_tensors +
                                                  ggml_graph_overhead_custom(n_tensors, false),
                                      .no_alloc = true};
    return ggml_init(params);
}

/* One row of small numbers in the type's own coding, again and again: the value of a weight does not change its cost. */
static bool fill_matrices(work *w, enum ggml_type type) {
    size_t row = ggml_row_size(type, WIDTH), bytes = row * WIDTH;
    HYP_AUTOFREE float *numbers = malloc(WIDTH * sizeof *numbers);
    HYP_AUTOFREE char *matrix = malloc(bytes);
    if (numbers == NULL || matrix == NULL) return false;
    for (int i = 0; i < WIDTH; i++)
        numbers[i] = (float)((i * 37) % 101 - 50) / 1000.0f;
    ggml_quantize_chunk(type, numbers, matrix, 0, 1, WIDTH, NULL);
    for (size_t i = 1; i < WIDTH; i++)
        memcpy(matrix + i * row, matrix, row);
    for (size_t i = 0; i < w->n; i++)
        ggml_backend_tensor_set(w->matrices[i], matrix, 0, bytes);
    return true;
}

/* Is a product with weights in this buffer type computed at all? */
static bool can_compute(const work *w, enum ggml_type type, int tokens) {
    struct ggml_context *ctx = new_context(3);
    ggml_backend_buffer_t probe = ggml_backend_buft_alloc_buffer(w->buft, 0);
    bool good = ctx != NULL && probe != NULL;
    if (good) {
        struct ggml_tensor *a = ggml_new_tensor_2d(ctx, type, WIDTH, WIDTH);
        struct ggml_tensor *x = ggml_new_tensor_2d(ctx, GGML_TYPE_F32, WIDTH, tokens);
        a->buffer = probe; /* what supports_op looks at to know where the weights will be */
        good = ggml_backend_dev_supports_op(ggml_backend_get_device(w->backend), ggml_mul_mat(ctx, a, x));
    }
    ggml_backend_buffer_free(probe);
    ggml_free(ctx);
    return good;
}

static bool begin_work(work *w, enum ggml_type type, uint64_t bytes) {
    uint64_t matrix = ggml_row_size(type, WIDTH) * WIDTH;
    size_t n = (size_t)HYP_MIN(HYP_MAX(bytes / matrix, (uint64_t)WIDE_MATRICES), (uint64_t)MAX_MATRICES);
    w->weights = new_context(n);
    for (w->n = 0; w->weights != NULL && w->n < n; w->n++)
        w->matrices[w->n] = ggml_new_tensor_2d(w->weights, type, WIDTH, WIDTH);
    w->weight_buffer = w->weights != NULL ? ggml_backend_alloc_ctx_tensors_from_buft(w->weights, w->buft) : NULL;
    return w->weight_buffer != NULL && fill_matrices(w, type);
}

/* A graph of `n` products with a batch of `tokens`, each with a matrix of its own, one after the other as in a model. */
static bool make_graph(work *w, size_t n, int tokens) {
    w->graph_ctx = new_context(2 * n + 8);
    if (w->graph_ctx == NULL) return false;
    w->graph = ggml_new_graph_custom(w->graph_ctx, n + 8, false);
    struct ggml_tensor *x = ggml_new_tensor_2d(w->graph_ctx, GGML_TYPE_F32, WIDTH, tokens);
    ggml_set_input(x);
    for (size_t i = 0; i < n; i++) {
        struct ggml_tensor *y = ggml_mul_mat(w->graph_ctx, w->matrices[i], x);
        ggml_set_output(y);
        ggml_build_forward_expand(w->graph, y);
    }
    w->graph_buffer = ggml_backend_alloc_ctx_tensors(w->graph_ctx, w->backend);
    if (w->graph_buffer == NULL) return false;
    ggml_backend_buffer_clear(w->graph_buffer, 0);
    return true;
}

/* Seconds of one run of the graph: the best of what fits into `seconds`, at least two runs. */
static double time_graph(const work *w, double seconds) {
    double begin = hyp_text_now_s(), best = 1e9;
    for (int i = 0; i < 2 || hyp_text_now_s() - begin < seconds; i++) {
        double start = hyp_text_now_s();
        if (ggml_backend_graph_compute(w->backend, w->graph) != GGML_STATUS_SUCCESS) return 0;
        ggml_backend_synchronize(w->backend);
        best = HYP_MIN(best, hyp_text_now_s() - start);
    }
    return best;
}

/* Rates of one type with weights in `w->buft`. Starts with one matrix, so that a slow device is not kept for minutes. */
static bool measure(work *w, const hyp_bench *bench, enum ggml_type type, double *ret_bytes_per_s,
                    double *ret_flop_per_s) {
    bool good = can_compute(w, type, 1) && begin_work(w, type, weight_bytes_of(bench)) && make_graph(w, 1, 1);
    double first = good ? time_graph(w, 0) : 0, matrix = (double)ggml_row_size(type, WIDTH) * WIDTH;
    end_graph(w);
    size_t n = first > 0 ? (size_t)HYP_MIN(HYP_MAX(0.5 / first, 1.0), (double)w->n) : 1;
    good = good && first > 0 && make_graph(w, n, 1);
    double one = good ? time_graph(w, seconds_of(bench)) : 0;
    end_graph(w);
    size_t n_wide = first < 0.01 ? WIDE_MATRICES : 1;
    int tokens = first < 0.01 ? WIDE_TOKENS : 16;
    good = good && one > 0 && make_graph(w, n_wide, tokens);
    double wide = good ? time_graph(w, 0) : 0;
    end_work(w);
    if (wide <= 0) return false;
    *ret_bytes_per_s = matrix * (double)n / one;
    *ret_flop_per_s = 2.0 * WIDTH * WIDTH * tokens * (double)n_wide / wide;
    return true;
}

static int cpu_backend(const hyp_bench *bench, ggml_backend_t *ret, hyp_err *err) {
    ggml_backend_dev_t dev = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    ggml_backend_t backend = dev != NULL ? ggml_backend_dev_init(dev, NULL) : NULL;
    if (backend == NULL) return hyp_err_set(err, HYP_EENGINE, "ggml has no CPU backend");
    ggml_backend_reg_t reg = ggml_backend_dev_backend_reg(dev);
    ggml_backend_set_n_threads_t set =
        (ggml_backend_set_n_threads_t)ggml_backend_reg_get_proc_address(reg, "ggml_backend_set_n_threads");
    if (set != NULL) set(backend, HYP_MAX(bench->threads, 1));
    *ret = backend;
    return HYP_OK;
}

/* The repacking buffer type that libllama would choose: the first that computes the product. */
static ggml_backend_buffer_type_t extra_buft(work *w, enum ggml_type type) {
    ggml_backend_dev_t dev = ggml_backend_get_device(w->backend);
    ggml_backend_dev_get_extra_bufts_t get = (ggml_backend_dev_get_extra_bufts_t)ggml_backend_reg_get_proc_address(
        ggml_backend_dev_backend_reg(dev), "ggml_backend_dev_get_extra_bufts");
    ggml_backend_buffer_type_t *list = get != NULL ? get(dev) : NULL;
    for (; list != NULL && *list != NULL; list++) {
        w->buft = *list;
        if (can_compute(w, type, 1)) return *list;
    }
    return NULL;
}

int hyp_bandwidth_type(const hyp_bench *bench, int type, hyp_weight_rate *ret, hyp_err *err) {
    work w = {0};
    hyp_weight_rate rate = {.type = type};
    int r = cpu_backend(bench, &w.backend, err);
    if (r != HYP_OK) return r;
    w.buft = ggml_backend_get_default_buffer_type(w.backend);
    bool good = !ggml_quantize_requires_imatrix((enum ggml_type)type) &&
                measure(&w, bench, (enum ggml_type)type, &rate.decode_bytes_per_s, &rate.prefill_flop_per_s);
    rate.repacked_bytes_per_s = rate.decode_bytes_per_s;
    rate.repacked_flop_per_s = rate.prefill_flop_per_s;
    ggml_backend_buffer_type_t repacked = good ? extra_buft(&w, (enum ggml_type)type) : NULL;
    w.buft = repacked;
    if (repacked != NULL &&
        !measure(&w, bench, (enum ggml_type)type, &rate.repacked_bytes_per_s, &rate.repacked_flop_per_s)) {
        rate.repacked_bytes_per_s = rate.decode_bytes_per_s;
        rate.repacked_flop_per_s = rate.prefill_flop_per_s;
    }
    ggml_backend_free(w.backend);
    if (!good)
        return hyp_err_set(err, HYP_EENGINE, "ggml cannot multiply weights of type %s here",
                           ggml_type_name((enum ggml_type)type));
    *ret = rate;
    return HYP_OK;
}

int hyp_bandwidth_node(const hyp_bench *bench, double *ret_s, hyp_err *err) {
    work w = {0};
    int r = cpu_backend(bench, &w.backend, err);
    if (r != HYP_OK) return r;
    w.graph_ctx = new_context(2 * NODES + 8);
    double seconds = 0;
    if (w.graph_ctx != NULL) {
        w.graph = ggml_new_graph_custom(w.graph_ctx, NODES + 8, false);
        struct ggml_tensor *x = ggml_new_tensor_1d(w.graph_ctx, GGML_TYPE_F32, NODE_WIDTH);
        for (int i = 0; i < NODES; i++)
            x = i % 2 == 0 ? ggml_rms_norm_inplace(w.graph_ctx, x, 1e-6f) : ggml_scale_inplace(w.graph_ctx, x, 0.5f);
        ggml_build_forward_expand(w.graph, x);
        w.graph_buffer = ggml_backend_alloc_ctx_tensors(w.graph_ctx, w.backend);
        if (w.graph_buffer != NULL) seconds = time_graph(&w, seconds_of(bench) / 4) / NODES;
    }
    end_work(&w);
    ggml_backend_free(w.backend);
    if (seconds <= 0) return hyp_err_set(err, HYP_EENGINE, "ggml could not compute a small graph");
    *ret_s = seconds;
    return HYP_OK;
}

static double copy_rate(ggml_backend_t backend) {
    enum { COPY_BYTES = 64 << 20 };
    struct ggml_context *ctx = new_context(1);
    HYP_AUTOFREE char *data = calloc(1, COPY_BYTES);
    double best = 0;
    struct ggml_tensor *t = ctx != NULL ? ggml_new_tensor_1d(ctx, GGML_TYPE_I8, COPY_BYTES) : NULL;
    ggml_backend_buffer_t buffer = t != NULL ? ggml_backend_alloc_ctx_tensors(ctx, backend) : NULL;
    for (int i = 0; i < 3 && buffer != NULL && data != NULL; i++) {
        double start = hyp_text_now_s();
        ggml_backend_tensor_set(t, data, 0, COPY_BYTES);
        ggml_backend_synchronize(backend);
        best = HYP_MAX(best, COPY_BYTES / (hyp_text_now_s() - start));
    }
    ggml_backend_buffer_free(buffer);
    ggml_free(ctx);
    return best;
}

/* Half of a round trip: a token's activations in, a tiny graph, the result out. */
static double hop_seconds(work *w) {
    float row[WIDTH] = {0};
    double best = 1e9;
    struct ggml_context *ctx = new_context(8);
    if (ctx == NULL) return 0;
    struct ggml_cgraph *graph = ggml_new_graph_custom(ctx, 8, false);
    struct ggml_tensor *x = ggml_new_tensor_1d(ctx, GGML_TYPE_F32, WIDTH), *y = ggml_scale(ctx, x, 2.0f);
    ggml_build_forward_expand(graph, y);
    ggml_backend_buffer_t buffer = ggml_backend_alloc_ctx_tensors(ctx, w->backend);
    for (int i = 0; i < 20 && buffer != NULL; i++) {
        double start = hyp_text_now_s();
        ggml_backend_tensor_set(x, row, 0, sizeof row);
        if (ggml_backend_graph_compute(w->backend, graph) != GGML_STATUS_SUCCESS) break;
        ggml_backend_tensor_get(y, row, 0, sizeof row);
        best = HYP_MIN(best, hyp_text_now_s() - start);
    }
    ggml_backend_buffer_free(buffer);
    ggml_free(ctx);
    return best < 1e8 ? best / 2 : 0;
}

int hyp_bandwidth_device(const hyp_bench *bench, struct ggml_backend_device *dev, hyp_device *device, hyp_err *err) {
    work w = {.backend = ggml_backend_dev_init(dev, NULL)};
    if (w.backend == NULL) return hyp_err_set(err, HYP_EENGINE, "ggml cannot start the device %s", device->name);
    w.buft = ggml_backend_dev_buffer_type(dev);
    hyp_bench here = *bench;
    here.weight_bytes = HYP_MIN(weight_bytes_of(bench), device->free_bytes / 4);
    double rate = 0, flop = 0;
    bool good = measure(&w, &here, GGML_TYPE_Q4_K, &rate, &flop);
    device->copy_bytes_per_s = copy_rate(w.backend);
    device->hop_s = hop_seconds(&w);
    ggml_backend_free(w.backend);
    if (!good) return hyp_err_set(err, HYP_EENGINE, "the device %s cannot multiply quantised weights", device->name);
    device->weight_bytes_per_s = rate;
    device->flop_per_s = flop;
    return HYP_OK;
}

size_t hyp_bandwidth_devices(hyp_device *ret, struct ggml_backend_device **ret_devs, size_t max) {
    size_t n = 0;
    for (size_t i = 0; i < ggml_backend_dev_count() && n < max; i++) {
        ggml_backend_dev_t dev = ggml_backend_dev_get(i);
        enum ggml_backend_dev_type type = ggml_backend_dev_type(dev);
        if (type != GGML_BACKEND_DEVICE_TYPE_GPU && type != GGML_BACKEND_DEVICE_TYPE_IGPU) continue;
        hyp_device d = {.kind = type == GGML_BACKEND_DEVICE_TYPE_IGPU ? HYP_DEVICE_UNIFIED : HYP_DEVICE_GPU};
        size_t free_bytes = 0, total_bytes = 0;
        ggml_backend_dev_memory(dev, &free_bytes, &total_bytes);
        d.free_bytes = free_bytes, d.total_bytes = total_bytes;
        snprintf(d.name, sizeof d.name, "%s", ggml_backend_dev_name(dev));
        snprintf(d.description, sizeof d.description, "%s", ggml_backend_dev_description(dev));
        if (strncmp(ggml_backend_reg_name(ggml_backend_dev_backend_reg(dev)), "RPC", 3) == 0)
            d.kind = HYP_DEVICE_REMOTE;
        if (ret_devs != NULL) ret_devs[n] = dev;
        ret[n++] = d;
    }
    return n;
}

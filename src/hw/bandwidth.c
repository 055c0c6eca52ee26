#include "hw/bandwidth_priv.h"

#include "base/mem.h"
#include "base/text.h"

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <ggml.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

/* A matrix of a mid-sized model; a batch wide enough for the arithmetic to dominate. */
enum { WIDTH = 4096, WIDE_ROWS = 512, WIDE_MATRICES = 8, MAX_MATRICES = 256, NODES = 300, NODE_WIDTH = 2048 };

static uint64_t weight_bytes_of(const hyp_bandwidth_probe *bench) {
    return bench->weight_bytes > 0 ? bench->weight_bytes : (uint64_t)192 << 20;
}

static double seconds_of(const hyp_bandwidth_probe *bench) {
    return bench->seconds > 0 ? bench->seconds : 0.05;
}

/* --- plain memory ---
 * Everything here is timed in pieces of a few milliseconds, of which the fastest count: otherwise the time that other
 * programs take from the processor would be measured as slowness of the machine. */
enum { MAX_READERS = 64 };

typedef struct reader {
    pthread_t thread;
    const uint64_t *words;
    size_t n;
} reader;

/* ThreadSanitizer would check each of a hundred million words, for minutes; they were written before the threads began,
 * so there is nothing to find. */
__attribute__((no_sanitize("thread"))) static void *read_words(void *arg) {
    reader *r = arg;
    uint64_t a = 0, b = 0, c = 0, d = 0;
    for (size_t i = 0; i + 4 <= r->n; i += 4) {
        a += r->words[i];
        b += r->words[i + 1];
        c += r->words[i + 2];
        d += r->words[i + 3];
    }
    /* Without a use of the sum the compiler would drop the reads. */
    uint64_t sum = a ^ b ^ c ^ d;
    __asm__ volatile("" : : "r"(sum));
    return NULL;
}

/* Seconds in which `n` threads read `bytes` from `words` on, or 0. */
static double read_once(const uint64_t *words, size_t bytes, size_t n) {
    reader readers[MAX_READERS];
    size_t each = bytes / sizeof *words / n, started = 0;
    double start = hyp_text_now_s();
    for (; started < n; started++) {
        readers[started] = (reader){.words = words + started * each, .n = each};
        if (pthread_create(&readers[started].thread, NULL, read_words, &readers[started]) != 0) break;
    }
    for (size_t i = 0; i < started; i++)
        pthread_join(readers[i].thread, NULL);
    return started == n ? hyp_text_now_s() - start : 0;
}

double hyp_bandwidth_memory(const hyp_bandwidth_probe *bench) {
    /* Round-robin over all of it, so that a piece has left every cache when it is read again. */
    enum { PIECES = 16, ROUNDS = 3 };
    size_t n = (size_t)HYP_MIN(HYP_MAX(bench->threads, 1), MAX_READERS),
           bytes = HYP_MAX(weight_bytes_of(bench) * 2, 3 * bench->cache_bytes);
    if (bench->most_bytes > 0) bytes = HYP_MIN(bytes, bench->most_bytes);
    HYP_AUTOFREE uint64_t *words = malloc(bytes);
    double best = 0, alone = 0;
    if (words == NULL) return 0;
    memset(words, 1, bytes);
    size_t piece = bytes / PIECES / 64 * 64;
    for (size_t i = 0; i < (size_t)PIECES * ROUNDS; i++) {
        double s = read_once(words + i % PIECES * (piece / sizeof *words), piece, n);
        if (s > 0) best = HYP_MAX(best, (double)piece / s);
        /* The piece half the way round: neither just read nor read next, so it is in no cache either. */
        s = read_once(words + (i + PIECES / 2) % PIECES * (piece / sizeof *words), piece / n, 1);
        if (s > 0) alone = HYP_MAX(alone, (double)piece / (double)n / s);
    }
    /* Two cores read at least 1.6 times what one does on any machine with two memory channels: the floor on a busy one.
     */
    return n > 1 ? HYP_MAX(best, 1.6 * alone) : HYP_MAX(best, alone);
}

/* --- graphs of matrix products --- */
typedef struct work {
    ggml_backend_t backend;
    ggml_backend_buffer_type_t buft; /* of the weights */
    struct ggml_context *weights, *graph_ctx;
    ggml_backend_buffer_t weight_buffer, graph_buffer;
    struct ggml_tensor *matrices[MAX_MATRICES];
    size_t n;
    int rows; /* of each matrix */
    struct ggml_cgraph *graphs[MAX_MATRICES];
    size_t n_graphs;
    ggml_backend_set_n_threads_t set_threads; /* of a CPU; NULL elsewhere */
    double fill_bytes_per_s;                  /* at which the last weights were brought into their layout */
} work;

static void end_graph(work *w) {
    ggml_backend_buffer_free(w->graph_buffer);
    ggml_free(w->graph_ctx);
    w->graph_buffer = NULL;
    w->graph_ctx = NULL;
    w->n_graphs = 0;
}

static void end_work(work *w) {
    end_graph(w);
    ggml_backend_buffer_free(w->weight_buffer);
    ggml_free(w->weights);
    w->weight_buffer = NULL;
    w->weights = NULL;
    w->n = 0;
}

static struct ggml_context *new_context(size_t n_tensors) {
    struct ggml_init_params params = {.mem_size = ggml_tensor_overhead() * n_tensors +
                                                  ggml_graph_overhead_custom(n_tensors, false),
                                      .no_alloc = true};
    return ggml_init(params);
}

/* One row of small numbers in the type's own coding, again and again: the value of a weight does not change its cost.
 */
static bool fill_matrices(work *w, enum ggml_type type) {
    size_t row = ggml_row_size(type, WIDTH), bytes = row * (size_t)w->rows;
    HYP_AUTOFREE float *numbers = malloc(WIDTH * sizeof *numbers);
    HYP_AUTOFREE char *matrix = malloc(bytes);
    if (numbers == NULL || matrix == NULL) return false;
    for (int i = 0; i < WIDTH; i++)
        numbers[i] = (float)((i * 37) % 101 - 50) / 1000.0f;
    ggml_quantize_chunk(type, numbers, matrix, 0, 1, WIDTH, NULL);
    for (size_t i = 1; i < (size_t)w->rows; i++)
        memcpy(matrix + i * row, matrix, row);
    double start = hyp_text_now_s();
    for (size_t i = 0; i < w->n; i++)
        ggml_backend_tensor_set(w->matrices[i], matrix, 0, bytes);
    double seconds = hyp_text_now_s() - start;
    w->fill_bytes_per_s = seconds > 0 ? (double)bytes * (double)w->n / seconds : 0;
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

static bool begin_work(work *w, enum ggml_type type, int rows, uint64_t bytes) {
    uint64_t matrix = ggml_row_size(type, WIDTH) * (uint64_t)rows;
    w->rows = rows;
    size_t n = (size_t)HYP_MIN(HYP_MAX(bytes / matrix, (uint64_t)WIDE_MATRICES), (uint64_t)MAX_MATRICES);
    w->weights = new_context(n);
    for (w->n = 0; w->weights != NULL && w->n < n; w->n++)
        w->matrices[w->n] = ggml_new_tensor_2d(w->weights, type, WIDTH, rows);
    w->weight_buffer = w->weights != NULL ? ggml_backend_alloc_ctx_tensors_from_buft(w->weights, w->buft) : NULL;
    return w->weight_buffer != NULL && fill_matrices(w, type);
}

/* `n` graphs of one product with a batch of `tokens`, each with a matrix of its own. */
static bool make_graphs(work *w, size_t n, int tokens) {
    struct ggml_init_params params = {
        .mem_size = (2 * n + 8) * ggml_tensor_overhead() + n * ggml_graph_overhead_custom(8, false), .no_alloc = true};
    w->graph_ctx = ggml_init(params);
    if (w->graph_ctx == NULL) return false;
    struct ggml_tensor *x = ggml_new_tensor_2d(w->graph_ctx, GGML_TYPE_F32, WIDTH, tokens);
    for (w->n_graphs = 0; w->n_graphs < n; w->n_graphs++) {
        struct ggml_cgraph *graph = ggml_new_graph_custom(w->graph_ctx, 8, false);
        ggml_build_forward_expand(graph, ggml_mul_mat(w->graph_ctx, w->matrices[w->n_graphs], x));
        w->graphs[w->n_graphs] = graph;
    }
    w->graph_buffer = ggml_backend_alloc_ctx_tensors(w->graph_ctx, w->backend);
    if (w->graph_buffer == NULL) return false;
    ggml_backend_buffer_clear(w->graph_buffer, 0);
    return true;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double cpu_now_s(void) {
    struct timespec t;
    return clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0 ? (double)t.tv_sec + (double)t.tv_nsec * 1e-9 : 0;
}

typedef struct timing {
    double s;  /* 0 on failure */
    bool calm; /* no other program took processor time from it */
} timing;

/* Seconds of one graph: the first `n_graphs`, round-robin, until `seconds` are over and each ran. The threads never
 * sleep within a run, so a run in which they had all of the processor was undisturbed; the median of these counts.
 * Where there are none, the fastest tenth's slowest: a single fastest run may have found its weights in a cache. */
static timing time_graphs(const work *w, size_t n_graphs, int threads, double seconds) {
    enum { MAX_RUNS = 512, LEAST_CALM = 5 };
    double times[MAX_RUNS], calm[MAX_RUNS], begin = hyp_text_now_s();
    if (n_graphs == 0) return (timing){0};
    size_t n = 0, n_calm = 0, least = HYP_MIN(HYP_MAX(n_graphs, 3), 100);
    while (n < MAX_RUNS && (n < least || hyp_text_now_s() - begin < seconds)) {
        double start = hyp_text_now_s(), cpu = cpu_now_s();
        if (ggml_backend_graph_compute(w->backend, w->graphs[n % n_graphs]) != GGML_STATUS_SUCCESS) return (timing){0};
        ggml_backend_synchronize(w->backend);
        cpu = cpu_now_s() - cpu;
        times[n++] = hyp_text_now_s() - start;
        if (threads > 0 && cpu > 0.95 * threads * times[n - 1]) calm[n_calm++] = times[n - 1];
        /* A device so slow that a product takes a fifth of a second has been measured well enough. */
        if (times[n - 1] > 0.2 && n >= 2) break;
    }
    bool is_calm = n_calm >= LEAST_CALM;
    /* cppcheck-suppress uninitvar ; at least one run was timed */
    qsort(is_calm ? calm : times, is_calm ? n_calm : n, sizeof *times, by_size);
    return (timing){is_calm ? calm[n_calm / 2] : times[n / 10], is_calm};
}

static void note_disturbance(const hyp_bandwidth_probe *bench) {
    if (bench->disturbed != NULL) *bench->disturbed = true;
}

/* Seconds of one of the first `n_graphs` graphs with a single thread. */
static double time_alone(const work *w, const hyp_bandwidth_probe *bench, size_t n_graphs) {
    w->set_threads(w->backend, 1);
    double seconds = time_graphs(w, n_graphs, 1, seconds_of(bench) / 2).s;
    w->set_threads(w->backend, bench->threads);
    return seconds;
}

/* Seconds of the first `n_graphs` graphs with all threads. Threads meet after every product, so on a busy machine a run
 * is as slow as the thread that was interrupted, and hardly any run is undisturbed. One thread alone is: what all of
 * them together must then reach, as long as memory can feed them, bounds the answer. 0.85 is the least scaling seen on
 * an idle machine. */
static double time_all_threads(const work *w, const hyp_bandwidth_probe *bench, size_t n_graphs, double bytes) {
    timing together = time_graphs(w, n_graphs, w->set_threads != NULL ? bench->threads : 0, seconds_of(bench));
    double all = together.s;
    if (w->set_threads == NULL || all <= 0 || together.calm) return all;
    note_disturbance(bench);
    if (bench->threads < 2) return all;
    double alone = time_alone(w, bench, n_graphs), shared = alone / (0.85 * bench->threads);
    if (bench->memory_bytes_per_s > 0) shared = HYP_MAX(shared, bytes / (0.85 * bench->memory_bytes_per_s));
    return alone > 0 ? HYP_MIN(all, shared) : all;
}

/* What one token's weights may take of the cache, for hyp_weight_rate's cached rates. */
static size_t n_cached(const work *w, const hyp_bandwidth_probe *bench, double matrix) {
    return HYP_MIN((size_t)((double)bench->cache_bytes / 4 / matrix), w->n);
}

/* Rates of one type with weights in `w->buft`. */
static bool measure(work *w, const hyp_bandwidth_probe *bench, enum ggml_type type, double *ret_bytes_per_s,
                    double *ret_cached_bytes_per_s, double *ret_flop_per_s) {
    double matrix = (double)ggml_row_size(type, WIDTH) * WIDTH, one = 0, cached = 0, wide = 0;
    /* Round-robin over twice the cache, so that no matrix is still there when its turn comes again. */
    uint64_t bytes = HYP_MAX(weight_bytes_of(bench), w->set_threads != NULL ? 2 * bench->cache_bytes : 0);
    if (bench->most_bytes > 0) bytes = HYP_MIN(bytes, bench->most_bytes);
    bool good = can_compute(w, type, 1) && begin_work(w, type, WIDTH, bytes) && make_graphs(w, w->n, 1);
    if (good) one = time_all_threads(w, bench, w->n_graphs, matrix);
    if (one > 0 && n_cached(w, bench, matrix) > 0) cached = time_all_threads(w, bench, n_cached(w, bench, matrix), 0);
    double fill = w->fill_bytes_per_s;
    end_work(w);
    /* A machine that needs 20 ms for one matrix would take seconds for a wide batch: a narrow one must do. */
    int tokens = one < 0.02 ? HYP_HARDWARE_WIDE_TOKENS : 4;
    good = good && one > 0 && begin_work(w, type, WIDE_ROWS, 0) && make_graphs(w, WIDE_MATRICES, tokens);
    if (good) wide = time_all_threads(w, bench, w->n_graphs, 0);
    end_work(w);
    if (wide <= 0) return false;
    w->fill_bytes_per_s = fill;
    *ret_bytes_per_s = matrix / one;
    *ret_cached_bytes_per_s = matrix / (cached > 0 ? HYP_MIN(cached, one) : one);
    *ret_flop_per_s = 2.0 * WIDTH * WIDE_ROWS * tokens / wide;
    return true;
}

static int cpu_backend(const hyp_bandwidth_probe *bench, work *ret, hyp_err *err) {
    ggml_backend_dev_t dev = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    ggml_backend_t backend = dev != NULL ? ggml_backend_dev_init(dev, NULL) : NULL;
    if (backend == NULL) return hyp_err_set(err, HYP_EENGINE, "ggml has no CPU backend");
    ggml_backend_reg_t reg = ggml_backend_dev_backend_reg(dev);
    ggml_backend_set_n_threads_t set =
        (ggml_backend_set_n_threads_t)ggml_backend_reg_get_proc_address(reg, "ggml_backend_set_n_threads");
    if (set != NULL) set(backend, HYP_MAX(bench->threads, 1));
    ret->backend = backend;
    ret->set_threads = set;
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

int hyp_bandwidth_type(const hyp_bandwidth_probe *bench, int type, hyp_weight_rate *ret, hyp_err *err) {
    work w = {0};
    hyp_weight_rate rate = {.type = type};
    int r = cpu_backend(bench, &w, err);
    if (r != HYP_OK) return r;
    w.buft = ggml_backend_get_default_buffer_type(w.backend);
    bool good = !ggml_quantize_requires_imatrix((enum ggml_type)type) &&
                measure(&w, bench, (enum ggml_type)type, &rate.decode_bytes_per_s, &rate.decode_cached_bytes_per_s,
                        &rate.prefill_flop_per_s);
    rate.repacked_bytes_per_s = rate.decode_bytes_per_s;
    rate.repacked_cached_bytes_per_s = rate.decode_cached_bytes_per_s;
    rate.repacked_flop_per_s = rate.prefill_flop_per_s;
    ggml_backend_buffer_type_t repacked = good ? extra_buft(&w, (enum ggml_type)type) : NULL;
    w.buft = repacked;
    if (repacked != NULL && !measure(&w, bench, (enum ggml_type)type, &rate.repacked_bytes_per_s,
                                     &rate.repacked_cached_bytes_per_s, &rate.repacked_flop_per_s)) {
        rate.repacked_bytes_per_s = rate.decode_bytes_per_s;
        rate.repacked_cached_bytes_per_s = rate.decode_cached_bytes_per_s;
        rate.repacked_flop_per_s = rate.prefill_flop_per_s;
        repacked = NULL;
    }
    if (repacked != NULL) rate.repack_bytes_per_s = w.fill_bytes_per_s;
    ggml_backend_free(w.backend);
    if (!good)
        return hyp_err_set(err, HYP_EENGINE, "ggml cannot multiply weights of type %s here",
                           ggml_type_name((enum ggml_type)type));
    *ret = rate;
    return HYP_OK;
}

/* Seconds of the graph of NODES nodes. Threads that wait for one another after every node lose a time slice each where
 * others want the processor; meeting costs two threads about as much again as the work of one, which bounds the answer
 * there. */
static double time_nodes(const work *w, const hyp_bandwidth_probe *bench) {
    timing together = time_graphs(w, 1, HYP_MAX(bench->threads, 1), seconds_of(bench));
    if (together.calm || together.s <= 0) return together.s;
    note_disturbance(bench);
    if (w->set_threads == NULL || bench->threads < 2) return together.s;
    double alone = time_alone(w, bench, 1);
    return alone > 0 ? HYP_MIN(together.s, 4 * alone) : together.s;
}

int hyp_bandwidth_node(const hyp_bandwidth_probe *bench, double *ret_s, hyp_err *err) {
    work w = {0};
    int r = cpu_backend(bench, &w, err);
    if (r != HYP_OK) return r;
    w.graph_ctx = new_context(2 * NODES + 8);
    double seconds = 0;
    if (w.graph_ctx != NULL) {
        w.graphs[0] = ggml_new_graph_custom(w.graph_ctx, NODES + 8, false);
        w.n_graphs = 1;
        struct ggml_tensor *x = ggml_new_tensor_1d(w.graph_ctx, GGML_TYPE_F32, NODE_WIDTH);
        for (int i = 0; i < NODES; i++)
            x = i % 2 == 0 ? ggml_rms_norm_inplace(w.graph_ctx, x, 1e-6f) : ggml_scale_inplace(w.graph_ctx, x, 0.5f);
        ggml_build_forward_expand(w.graphs[0], x);
        w.graph_buffer = ggml_backend_alloc_ctx_tensors(w.graph_ctx, w.backend);
        if (w.graph_buffer != NULL) seconds = time_nodes(&w, bench) / NODES;
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

int hyp_bandwidth_device(const hyp_bandwidth_probe *bench, struct ggml_backend_device *dev, hyp_device *device,
                         hyp_err *err) {
    work w = {.backend = ggml_backend_dev_init(dev, NULL)};
    if (w.backend == NULL) return hyp_err_set(err, HYP_EENGINE, "ggml cannot start the device %s", device->name);
    w.buft = ggml_backend_dev_buffer_type(dev);
    hyp_bandwidth_probe here = *bench;
    here.weight_bytes = HYP_MIN(weight_bytes_of(bench), device->free_bytes / 4);
    double rate = 0, cached = 0, flop = 0;
    here.cache_bytes = 0; /* it is the processor's, and says nothing about the device */
    bool good = measure(&w, &here, GGML_TYPE_Q4_K, &rate, &cached, &flop);
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
        d.free_bytes = free_bytes;
        d.total_bytes = total_bytes;
        snprintf(d.name, sizeof d.name, "%s", ggml_backend_dev_name(dev));
        snprintf(d.description, sizeof d.description, "%s", ggml_backend_dev_description(dev));
        if (strncmp(ggml_backend_reg_name(ggml_backend_dev_backend_reg(dev)), "RPC", 3) == 0)
            d.kind = HYP_DEVICE_REMOTE;
        if (ret_devs != NULL) ret_devs[n] = dev;
        ret[n++] = d;
    }
    return n;
}

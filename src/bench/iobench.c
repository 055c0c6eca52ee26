#include "bench/iobench.h"

#include "base/mem.h"
#include "gguf/model.h"

enum { MAX_COLUMNS = 16, MAX_ROWS = 32, SPARSE_PERCENT = 1 };

/* --- measuring --- */

/* Any large file will do; only of a model with experts there is more to say. */
static void ask_model(const char *path, hyp_iobench *bench) {
    hyp_model *model = NULL;
    hyp_err ignored = HYP_ERR_NONE;
    if (hyp_model_open(path, &model, &ignored) != HYP_OK) return;
    for (size_t i = 0; i < model->n_tensors; i++) {
        const hyp_tensor *t = &model->tensors[i];
        if (t->role != HYP_ROLE_ROUTED_EXPERT || t->n_experts == 0) continue;
        bench->expert_part_bytes = HYP_MAX(bench->expert_part_bytes, t->expert_bytes);
        bench->token_experts_bytes += hyp_tensor_touched_bytes(model, t);
    }
    hyp_model_free(model);
}

int hyp_iobench_run(const char *path, const hyp_probe_config *config, hyp_iobench *ret, hyp_err *err) {
    hyp_iobench bench = {.path = path};
    ask_model(path, &bench);
    hyp_probe_config c = *config;
    if (bench.expert_part_bytes > 0) c.expert_bytes = bench.expert_part_bytes;
    int r = hyp_disk_probe(path, &c, &bench.probe, err);
    if (r == HYP_OK) *ret = bench;
    return r;
}

void hyp_iobench_free(hyp_iobench *bench) {
    hyp_probe_free(&bench->probe);
}

/* --- names --- */

hyp_iobench_series hyp_iobench_series_of(const hyp_probe_point *point) {
    return (hyp_iobench_series){point->backend, point->cache, point->random, point->expert};
}

bool hyp_iobench_same_series(hyp_iobench_series a, hyp_iobench_series b) {
    return a.backend == b.backend && a.cache == b.cache && a.random == b.random && a.expert == b.expert;
}

const char *hyp_iobench_cache_name(hyp_probe_cache cache) {
    static const char *const names[] = {"direct", "cold", "warm"};
    return names[cache];
}

const char *hyp_iobench_series_name(hyp_iobench_series series, char *buf, size_t size) {
    static const char *const caches[] = {"direct", "page cache, cold", "page cache, warm"};
    snprintf(buf, size, "%s, %s, %s", hyp_io_backend_name(series.backend), caches[series.cache],
             series.expert   ? "expert-sized"
             : series.random ? "scattered"
                             : "one after the other");
    return buf;
}

const char *hyp_iobench_size_name(uint64_t bytes, char *buf, size_t size) {
    if (bytes % (1 << 20) == 0)
        snprintf(buf, size, "%llu MiB", (unsigned long long)(bytes >> 20));
    else
        snprintf(buf, size, "%llu KiB", (unsigned long long)(bytes >> 10));
    return buf;
}

/* --- the report --- */

static int by_number(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* The columns of a series: its depths, ascending. */
static size_t depths_of(const hyp_probe_result *r, hyp_iobench_series series, uint32_t *ret) {
    size_t n = 0;
    for (size_t i = 0; i < r->n_points; i++) {
        if (!hyp_iobench_same_series(hyp_iobench_series_of(&r->points[i]), series)) continue;
        size_t j = 0;
        while (j < n && ret[j] != r->points[i].depth)
            j++;
        if (j == n && n < MAX_COLUMNS) ret[n++] = r->points[i].depth;
    }
    qsort(ret, n, sizeof *ret, by_number);
    return n;
}

static const hyp_probe_point *find(const hyp_probe_result *r, hyp_iobench_series series, uint32_t size,
                                   uint32_t depth) {
    for (size_t i = 0; i < r->n_points; i++) {
        const hyp_probe_point *p = &r->points[i];
        if (p->size_bytes == size && p->depth == depth && hyp_iobench_same_series(hyp_iobench_series_of(p), series))
            return p;
    }
    return NULL;
}

/* The rows: its sizes, ascending. */
static size_t sizes_of(const hyp_probe_result *r, hyp_iobench_series series, uint32_t *ret) {
    size_t n = 0;
    for (size_t i = 0; i < r->n_points; i++) {
        if (!hyp_iobench_same_series(hyp_iobench_series_of(&r->points[i]), series)) continue;
        size_t j = 0;
        while (j < n && ret[j] != r->points[i].size_bytes)
            j++;
        if (j == n && n < MAX_ROWS) ret[n++] = r->points[i].size_bytes;
    }
    qsort(ret, n, sizeof *ret, by_number);
    return n;
}

static bool is_first_of_series(const hyp_probe_result *r, size_t i) {
    for (size_t j = 0; j < i; j++)
        if (hyp_iobench_same_series(hyp_iobench_series_of(&r->points[j]), hyp_iobench_series_of(&r->points[i])))
            return false;
    return true;
}

static void write_row(const hyp_probe_result *r, hyp_iobench_series series, uint32_t size, const uint32_t *depths,
                      size_t n, hyp_str *out) {
    char name[32];
    hyp_str_printf(out, "  %10s", hyp_iobench_size_name(size, name, sizeof name));
    for (size_t i = 0; i < n; i++) {
        const hyp_probe_point *p = find(r, series, size, depths[i]);
        if (p == NULL)
            hyp_str_printf(out, "%8s", "");
        else
            hyp_str_printf(out, "%8.0f", p->bytes_per_s / 1e6);
    }
    hyp_str_puts(out, "\n");
}

static void write_series(const hyp_probe_result *r, hyp_iobench_series series, hyp_str *out) {
    uint32_t depths[MAX_COLUMNS], sizes[MAX_ROWS];
    size_t n = depths_of(r, series, depths), n_rows = sizes_of(r, series, sizes);
    char name[96];
    hyp_str_printf(out, "\n%s: MB/s by size and reads in flight\n  %10s",
                   hyp_iobench_series_name(series, name, sizeof name), "");
    for (size_t i = 0; i < n; i++)
        hyp_str_printf(out, "%8u", depths[i]);
    hyp_str_puts(out, "\n");
    for (size_t i = 0; i < n_rows; i++)
        write_row(r, series, sizes[i], depths, n, out);
}

/* Processor time for 10^9 bytes at the recommended settings, or a negative number. */
static double recommended_cpu(const hyp_probe_result *r) {
    const hyp_iobench_series series = {.backend = r->backend, .cache = HYP_PROBE_DIRECT, .random = true};
    const hyp_probe_point *p = find(r, series, r->chunk_bytes, r->prefetch_depth);
    return p != NULL ? p->cpu_s_per_gb : -1;
}

static void write_recommendation(const hyp_iobench *bench, hyp_str *out) {
    const hyp_probe_result *r = &bench->probe;
    char size[32], text[32], best[32];
    hyp_str_printf(out, "\nrecommended: %s, reads of %s, %u in flight, of which prefetches at most %u\n",
                   hyp_io_backend_name(r->backend), hyp_iobench_size_name(r->chunk_bytes, size, sizeof size), r->depth,
                   r->prefetch_depth);
    hyp_str_printf(out, "  scattered            %s/s, the best being %s/s\n",
                   hyp_text_format_bytes((uint64_t)r->bytes_per_s, text, sizeof text),
                   hyp_text_format_bytes((uint64_t)r->best_bytes_per_s, best, sizeof best));
    hyp_str_printf(out, "  one after the other  %s/s\n",
                   hyp_text_format_bytes((uint64_t)r->sequential_bytes_per_s, text, sizeof text));
    double cpu = recommended_cpu(r);
    if (cpu >= 0)
        hyp_str_printf(out, "  processor time       %.3f s a GB, %.0f %% of one core at that rate\n", cpu,
                       cpu * r->bytes_per_s / 1e7);
    if (bench->token_experts_bytes == 0) return;
    hyp_str_printf(out, "a token uses %s of this model's experts: %.3g s to read where none is in memory\n",
                   hyp_text_format_bytes(bench->token_experts_bytes, text, sizeof text),
                   (double)bench->token_experts_bytes / HYP_MAX(r->bytes_per_s, 1));
}

void hyp_iobench_write_text(const hyp_iobench *bench, hyp_str *out) {
    const hyp_probe_result *r = &bench->probe;
    char size[32], holes[32];
    hyp_str_printf(out, "%s (%s), %s\n", bench->path, hyp_text_format_bytes(r->file_bytes, size, sizeof size),
                   r->direct ? "direct reads" : "its file system refuses direct reads: through the page cache");
    if (r->hole_bytes > r->file_bytes / 100 * SPARSE_PERCENT)
        hyp_str_printf(out, "warning: %s of it are holes, which are not on the drive: the rates are too good\n",
                       hyp_text_format_bytes(r->hole_bytes, holes, sizeof holes));
    for (size_t i = 0; i < r->n_points; i++)
        if (is_first_of_series(r, i)) write_series(r, hyp_iobench_series_of(&r->points[i]), out);
    write_recommendation(bench, out);
}

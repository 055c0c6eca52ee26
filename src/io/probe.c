/* probe.c - measures the points of probe.h and chooses the settings. */
#include "io/probe.h"

#include "base/mem.h"
#include "base/platform.h"
#include "base/text.h"
#include "io/io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum {
    PAGE = 4096,
    MAX_POINTS = 256,
    N_PASSES = 2,
    MAX_IN_FLIGHT = 64,       /* requests: twice the greatest depth, so that the queue is never empty */
    BUFFER_BYTES = 128 << 20, /* for requests in flight; points that need more are not measured: no engine reads so */
    WARM_BYTES = 256 << 20,   /* of the file, read into the page cache for the warm points */
    MIN_FILE_BYTES = 1 << 20,
    MAX_CHUNK_BYTES = 2 << 20, /* recommended: larger ones gain next to nothing (README.md) */
};

typedef struct probe {
    const char *path;
    const hyp_probe_config *config;
    hyp_probe_result *result;
    int fd; /* for dropping the file's cached pages */
    char *buffer;
    uint64_t random;
    hyp_io_request requests[MAX_IN_FLIGHT];
} probe;

/* --- what to measure --- */

static const uint32_t all_sizes[] = {64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20,
                                     2 << 20,  4 << 20,   8 << 20,   16 << 20};
static const uint32_t few_sizes[] = {256 << 10, 1 << 20, 4 << 20};
static const uint32_t all_depths[] = {1, 2, 4, 8, 16, 32};
static const uint32_t few_depths[] = {1, 4, 16};
static const uint32_t small_sizes[] = {64 << 10, 128 << 10}; /* where a read's own cost shows: what packing saves */
static const uint32_t small_depths[] = {4, 16};
static const uint32_t quick_depths[] = {4, 8, 16, 32};

#define LIST(a) a, HYP_ARRAY_LEN(a)

static void add_grid(probe *p, hyp_probe_point like, const uint32_t *sizes, size_t n_sizes, const uint32_t *depths,
                     size_t n_depths) {
    for (size_t i = 0; i < n_sizes; i++)
        for (size_t j = 0; j < n_depths; j++) {
            if (p->result->n_points == MAX_POINTS || sizes[i] > p->result->file_bytes) continue;
            if ((uint64_t)sizes[i] * depths[j] > BUFFER_BYTES) continue;
            hyp_probe_point *point = &p->result->points[p->result->n_points++];
            *point = like;
            point->size_bytes = point->chunk_bytes = sizes[i];
            point->depth = depths[j];
        }
}

/* The points that the recommendation rests on. */
static void add_first(probe *p, hyp_io_backend backend) {
    const hyp_probe_point direct = {.backend = backend, .random = true};
    if (p->config->quick)
        add_grid(p, direct, LIST(few_sizes), LIST(quick_depths));
    else
        add_grid(p, direct, LIST(all_sizes), LIST(all_depths));
}

/* Those that need it, or only inform. */
static void add_rest(probe *p) {
    const hyp_probe_result *r = p->result;
    const uint32_t one = 1;
    hyp_probe_point direct = {.backend = r->backend};
    add_grid(p, direct, &r->chunk_bytes, 1, &r->prefetch_depth, 1);
    if (p->config->quick) {
        const hyp_probe_point scattered = {.backend = r->backend, .random = true};
        add_grid(p, scattered, LIST(small_sizes), LIST(small_depths));
    } else {
        const hyp_probe_point threads = {.backend = HYP_IO_THREADS, .random = true};
        const hyp_probe_point plain = {.backend = HYP_IO_PLAIN, .random = true};
        hyp_probe_point cached = {.backend = r->backend, .cache = HYP_PROBE_COLD, .random = true};
        add_grid(p, direct, LIST(all_sizes), LIST(few_depths));
        if (r->backend != HYP_IO_THREADS) add_grid(p, threads, LIST(few_sizes), LIST(all_depths));
        add_grid(p, plain, LIST(all_sizes), &one, 1);
        add_grid(p, cached, LIST(all_sizes), LIST(few_depths));
        cached.cache = HYP_PROBE_WARM;
        add_grid(p, cached, LIST(few_sizes), LIST(few_depths));
    }
    /* Rounded outward to pages, as the pager does. */
    uint64_t bytes = (p->config->expert_bytes + PAGE - 1) / PAGE * PAGE + PAGE;
    if (p->config->expert_bytes == 0 || bytes > BUFFER_BYTES) return;
    size_t first = r->n_points;
    const uint32_t size = (uint32_t)bytes;
    direct.random = direct.expert = true;
    add_grid(p, direct, &size, 1, LIST(all_depths));
    for (size_t i = first; i < r->n_points; i++)
        r->points[i].chunk_bytes = r->chunk_bytes;
}

/* --- measuring one point --- */

static uint64_t draw(probe *p, uint64_t below) { /* xorshift64*: any spread of places will do */
    p->random ^= p->random >> 12;
    p->random ^= p->random << 25;
    p->random ^= p->random >> 27;
    return (p->random * 0x2545f4914f6cdd1du >> 20) % below;
}

static double cpu_s(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* The places that a point reads: whole units of its size (experts: any page), the first `n_places` of the file. */
typedef struct places {
    uint64_t step, n_places, next;
} places;

static places places_of(const probe *p, const hyp_probe_point *point) {
    uint64_t bytes = p->result->file_bytes;
    if (point->cache == HYP_PROBE_WARM) bytes = HYP_MIN(bytes, (uint64_t)WARM_BYTES);
    places all = {.step = point->expert ? PAGE : point->size_bytes};
    all.n_places = (HYP_MAX(bytes, point->size_bytes) - point->size_bytes) / all.step + 1;
    return all;
}

static void submit_next(probe *p, hyp_io *io, hyp_io_request *request, const hyp_probe_point *point, places *all) {
    uint64_t place = point->random ? draw(p, all->n_places) : all->next++ % all->n_places;
    request->offset = place * all->step;
    request->bytes = point->size_bytes;
    request->cls = HYP_IO_DEMAND;
    hyp_io_submit(io, request);
}

/* Keep the queue full until time or bytes are used up; the requests still on their way then count too. */
static int read_for_a_while(probe *p, hyp_io *io, hyp_probe_point *point, hyp_err *err) {
    uint64_t room = BUFFER_BYTES / point->size_bytes, bytes = 0;
    size_t n = HYP_MIN(point->expert ? MAX_IN_FLIGHT / 2 : (size_t)point->depth * 2, (size_t)MAX_IN_FLIGHT);
    n = HYP_MIN(n, (size_t)room);
    places all = places_of(p, point);
    all.next = point->random ? 0 : draw(p, all.n_places);
    double start = hyp_text_now_s(), cpu = cpu_s(), end = start + p->config->seconds_per_point / N_PASSES;
    for (size_t i = 0; i < n; i++) {
        p->requests[i] = (hyp_io_request){.buf = p->buffer + i * point->size_bytes};
        submit_next(p, io, &p->requests[i], point, &all);
    }
    hyp_io_request *request;
    while ((request = hyp_io_reap(io, true)) != NULL) {
        if (hyp_io_describe(io, request, err) != HYP_OK) return HYP_EIO;
        bytes += request->bytes;
        if (bytes < p->config->bytes_per_point && hyp_text_now_s() < end) submit_next(p, io, request, point, &all);
    }
    double seconds = HYP_MAX(hyp_text_now_s() - start, 1e-9);
    point->bytes_per_s = (double)bytes / seconds;
    point->cpu_s_per_gb = bytes == 0 ? 0 : (cpu_s() - cpu) / ((double)bytes / 1e9);
    p->result->bytes_read += bytes;
    return HYP_OK;
}

static int warm_up(probe *p, hyp_err *err) {
    uint64_t bytes = HYP_MIN(p->result->file_bytes, (uint64_t)WARM_BYTES);
    for (uint64_t at = 0; at < bytes;) {
        ssize_t n = pread(p->fd, p->buffer, HYP_MIN(bytes - at, (uint64_t)BUFFER_BYTES), (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return hyp_err_set_sys(err, HYP_EIO, n < 0 ? errno : ENODATA, "cannot read %s", p->path);
        at += (uint64_t)n;
    }
    return HYP_OK;
}

static int measure(probe *p, hyp_probe_point *point, hyp_err *err) {
    /* Direct reads need no dropping: they neither use nor fill the page cache. */
    if (point->cache == HYP_PROBE_COLD) hyp_platform_drop_cached(p->fd, 0, 0);
    if (point->cache == HYP_PROBE_WARM) {
        int r = warm_up(p, err);
        if (r != HYP_OK) return r;
    }
    const hyp_io_config config = {.backend = point->backend,
                                  .depth = point->depth,
                                  .chunk_bytes = point->chunk_bytes,
                                  .buffered = point->cache != HYP_PROBE_DIRECT};
    hyp_io *io = NULL;
    int r = hyp_io_open(&p->path, 1, &config, &io, err);
    if (r != HYP_OK) return r;
    r = read_for_a_while(p, io, point, err);
    if (point->cache == HYP_PROBE_DIRECT) p->result->direct = hyp_io_is_direct(io, 0);
    hyp_io_close(io);
    return r;
}

/* --- choosing --- */

/* The other backends are measured for comparison; the first point has the one that an engine would use. */
static bool is_candidate(const hyp_probe_result *result, const hyp_probe_point *point) {
    return point->backend == result->points[0].backend && point->cache == HYP_PROBE_DIRECT && point->random &&
           !point->expert;
}

static int by_rate(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* What the drive can do. The single best of dozens of short measurements would be the luckiest one, not the typical. */
static double best_rate(const hyp_probe_result *result) {
    double rates[MAX_POINTS];
    size_t n = 0;
    for (size_t i = 0; i < result->n_points && n < MAX_POINTS; i++)
        if (is_candidate(result, &result->points[i])) rates[n++] = result->points[i].bytes_per_s;
    if (n == 0) return 0;
    qsort(rates, n, sizeof *rates, by_rate);
    return rates[(HYP_MIN(n, (size_t)5) - 1) / 2];
}

static uint64_t in_flight(const hyp_probe_point *point) {
    return (uint64_t)point->size_bytes * point->depth;
}

/* A demand waits for what is in flight, so few bytes are best; but larger reads cost less processor time. So: the
 * largest reads, up to 2 MiB, among those that need at most four times the least. */
static const hyp_probe_point *choose(const hyp_probe_result *result, double rate) {
    const hyp_probe_point *lightest = NULL, *choice = NULL;
    for (size_t i = 0; i < result->n_points; i++) {
        const hyp_probe_point *point = &result->points[i];
        if (is_candidate(result, point) && point->bytes_per_s >= rate &&
            (lightest == NULL || in_flight(point) < in_flight(lightest)))
            lightest = point;
    }
    if (lightest == NULL) return NULL;
    choice = lightest;
    for (size_t i = 0; i < result->n_points; i++) {
        const hyp_probe_point *point = &result->points[i];
        if (!is_candidate(result, point) || point->bytes_per_s < rate) continue;
        if (in_flight(point) > 4 * in_flight(lightest) || point->size_bytes > MAX_CHUNK_BYTES) continue;
        bool same = point->size_bytes == choice->size_bytes;
        if (choice->size_bytes > MAX_CHUNK_BYTES || point->size_bytes > choice->size_bytes ||
            (same && point->depth < choice->depth))
            choice = point;
    }
    return choice;
}

void hyp_probe_recommend(hyp_probe_result *result) {
    result->best_bytes_per_s = best_rate(result);
    const hyp_probe_point *choice = choose(result, 0.95 * result->best_bytes_per_s);
    if (choice == NULL) return;
    result->backend = choice->backend;
    result->chunk_bytes = choice->size_bytes;
    result->prefetch_depth = HYP_MAX(choice->depth, 2u); /* one alone would leave the drive idle between two */
    result->depth = HYP_MAX(2 * result->prefetch_depth, 8u);
    result->bytes_per_s = choice->bytes_per_s;
    /* Where that size was not read in order too: reading in order is not slower. */
    result->sequential_bytes_per_s = choice->bytes_per_s;
    for (size_t i = 0; i < result->n_points; i++) {
        const hyp_probe_point *point = &result->points[i];
        if (point->cache == HYP_PROBE_DIRECT && !point->random && point->backend == choice->backend &&
            point->size_bytes == choice->size_bytes && point->depth == result->prefetch_depth)
            result->sequential_bytes_per_s = point->bytes_per_s;
    }
}

/* --- the whole --- */

static bool report(const probe *p, size_t done, size_t total, const hyp_probe_point *point) {
    return p->config->progress == NULL || p->config->progress(done, total, point, p->config->user);
}

/* Measure the points from `first` on, twice over, and keep the better rate: what disturbs a measurement makes it
 * slower, and rarely disturbs both. `n_later` points are still to come after these. */
static int run_points(probe *p, size_t first, size_t n_later, hyp_err *err) {
    size_t n = p->result->n_points, total = N_PASSES * (n + n_later);
    for (size_t i = first; i < first + N_PASSES * (n - first); i++) {
        hyp_probe_point *point = &p->result->points[first + (i - first) % (n - first)], now = *point;
        size_t done = N_PASSES * first + (i - first);
        if (!report(p, done, total, point)) return hyp_err_set(err, HYP_ECANCELED, "the measurement was cancelled");
        int r = measure(p, &now, err);
        if (r != HYP_OK) return r;
        if (now.bytes_per_s > point->bytes_per_s) *point = now;
    }
    return HYP_OK;
}

static int prepare(probe *p, hyp_err *err) {
    p->fd = open(p->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO would wait for a writer */
    struct stat st;
    if (p->fd < 0 || fstat(p->fd, &st) != 0) {
        hyp_err_set_sys(err, HYP_EIO, errno, "cannot open %s", p->path);
        hyp_err_hint(err, "check the path and that the file may be read");
        return HYP_EIO;
    }
    if (!S_ISREG(st.st_mode) || st.st_size < MIN_FILE_BYTES) {
        hyp_err_set(err, HYP_EINVAL, "%s is not a file of at least 1 MiB", p->path);
        hyp_err_hint(err, "name a large file on the drive to measure: a model, for instance");
        return HYP_EINVAL;
    }
    uint64_t stored = (uint64_t)st.st_blocks * 512;
    p->result->file_bytes = (uint64_t)st.st_size;
    p->result->hole_bytes = stored < p->result->file_bytes ? p->result->file_bytes - stored : 0;
    p->random = (uint64_t)(hyp_text_now_s() * 1e9) | 1; /* other places than in the run before */
    /* Written to once, so that every page is there before anything is timed. */
    void *memory = mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return hyp_err_set_sys(err, HYP_ENOMEM, errno, "out of memory for the read buffer");
    p->buffer = memory;
    memset(memory, 1, BUFFER_BYTES);
    p->result->points = calloc(MAX_POINTS, sizeof *p->result->points);
    return p->result->points != NULL ? HYP_OK : hyp_err_set(err, HYP_ENOMEM, "out of memory for the results");
}

/* What AUTO stands for here. */
static int best_backend(const char *path, hyp_io_backend *ret, hyp_err *err) {
    hyp_io *io = NULL;
    int r = hyp_io_open(&path, 1, &(hyp_io_config){0}, &io, err);
    if (r == HYP_OK) *ret = hyp_io_backend_in_use(io);
    hyp_io_close(io);
    return r;
}

/* How many points add_rest() will add; which depends on the recommendation only in their settings. */
static size_t count_rest(probe *p) {
    const hyp_probe_result now = *p->result;
    p->result->backend = now.points[0].backend;
    p->result->chunk_bytes = now.points[0].chunk_bytes;
    add_rest(p);
    size_t n = p->result->n_points - now.n_points;
    *p->result = now;
    return n;
}

static int probe_all(probe *p, hyp_err *err) {
    hyp_io_backend backend = HYP_IO_AUTO;
    int r = prepare(p, err);
    if (r == HYP_OK) r = best_backend(p->path, &backend, err);
    if (r != HYP_OK) return r;
    add_first(p, backend);
    size_t n = p->result->n_points;
    r = run_points(p, 0, count_rest(p), err);
    if (r != HYP_OK) return r;
    hyp_probe_recommend(p->result); /* for now: the rest is measured at the settings that it chooses */
    add_rest(p);
    r = run_points(p, n, 0, err);
    if (r != HYP_OK) return r;
    hyp_probe_recommend(p->result);
    report(p, N_PASSES * p->result->n_points, N_PASSES * p->result->n_points, NULL);
    return HYP_OK;
}

int hyp_disk_probe(const char *path, const hyp_probe_config *config, hyp_probe_result *ret, hyp_err *err) {
    hyp_probe_config c = *config;
    if (c.seconds_per_point <= 0) c.seconds_per_point = c.quick ? 0.2 : 0.3;
    if (c.bytes_per_point == 0) c.bytes_per_point = 1u << 30;
    hyp_probe_result result = {0};
    probe *p = calloc(1, sizeof *p);
    if (p == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for measuring");
    *p = (probe){.path = path, .config = &c, .result = &result, .fd = -1};
    int r = probe_all(p, err);
    if (p->buffer != NULL) munmap(p->buffer, BUFFER_BYTES);
    if (p->fd >= 0) close(p->fd);
    free(p);
    if (r == HYP_OK)
        *ret = result;
    else
        hyp_probe_free(&result);
    return r;
}

void hyp_probe_free(hyp_probe_result *result) {
    free(result->points);
    result->points = NULL;
    result->n_points = 0;
}

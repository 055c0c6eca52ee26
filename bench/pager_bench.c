/* pager_bench.c - what it costs to show, read, and evict extents of 1 to 60 MB; and how near to the disk's own rate the
 * ring streams. Not a test: it asserts nothing about speed.
 *
 *   pager_bench FOLDER [MIB]     makes a file of MIB (512) in FOLDER, which should be on the disk of the models
 *
 * Prints one line per size and way:  prepare = giving fresh memory its pages, a MB; show = mapping the frame over the
 * file; first = reading it once (one thread, faults included); again = reading it a second time; evict = mapping the
 * file back. */
#include "base/mem.h"
#include "base/text.h"
#include "pager/platform_priv.h"
#include "pager/ring.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

enum { MIB = 1 << 20 };

static volatile uint64_t sink;

static void read_all(const void *at, uint64_t bytes) {
    const uint64_t *q = at;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < bytes / 8; i += 8)
        sum += q[i] ^ q[i + 1] ^ q[i + 2] ^ q[i + 3] ^ q[i + 4] ^ q[i + 5] ^ q[i + 6] ^ q[i + 7];
    sink += sum;
}

typedef struct way {
    const char *name;
    bool huge, aligned, populate;
} way;

static void touch(const hyp_arena *arena, uint64_t bytes) {
    for (uint64_t at = 0; at < bytes; at += 4096)
        arena->view[at] = 1;
}

/* Show, read, read again and evict `n` frames of `bytes` each. */
static int measure(int fd, uint8_t *base, uint64_t total, uint64_t bytes, const way *w) {
    hyp_err err = HYP_ERR_NONE;
    hyp_arena arena;
    if (hyp_arena_open(total + HYP_ARENA_ALIGN, &arena, &err) != HYP_OK) {
        hyp_err_print(&err, stderr);
        return 1;
    }
    double t = hyp_text_now_s();
    if (w->huge) hyp_arena_prepare(&arena, 0, total + HYP_ARENA_ALIGN);
    touch(&arena, total);
    double prepare = hyp_text_now_s() - t, show = 0, first = 0, again = 0, evict = 0;
    uint64_t n = total / bytes, skew = w->aligned ? 0 : 4096;
    int sys = 0;
    for (uint64_t i = 0; i < n && sys == 0; i++) {
        uint8_t *at = base + i * bytes;
        t = hyp_text_now_s();
        sys = hyp_arena_map(&arena, i * bytes + skew, bytes, at, w->populate);
        show += hyp_text_now_s() - t;
        t = hyp_text_now_s();
        read_all(at, bytes);
        first += hyp_text_now_s() - t;
        t = hyp_text_now_s();
        read_all(at, bytes);
        again += hyp_text_now_s() - t;
    }
    for (uint64_t i = 0; i < n && sys == 0; i++) {
        t = hyp_text_now_s();
        sys = hyp_platform_map_file(fd, i * bytes, bytes, base + i * bytes);
        evict += hyp_text_now_s() - t;
    }
    hyp_arena_close(&arena);
    double us = 1e6 / (double)n;
    printf("%3llu MB %-28s prepare %5.0f us/MB  show %7.1f  first %8.1f  again %8.1f  evict %7.1f us\n",
           (unsigned long long)(bytes / MIB), w->name, prepare * 1e6 * MIB / (double)total, show * us, first * us,
           again * us, evict * us);
    return sys;
}

static int make_file(const char *path, uint64_t bytes) {
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    HYP_AUTOFREE uint8_t *block = malloc(MIB);
    if (fd < 0 || block == NULL) return fd;
    for (size_t i = 0; i < MIB; i++)
        block[i] = (uint8_t)(i * 31 >> 3);
    for (uint64_t at = 0; at < bytes; at += MIB)
        if (write(fd, block, MIB) != MIB) return -1;
    fsync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    return fd;
}

/* Units of three extents over the whole file, streamed by the ring through `slots` frames' worth of budget. */
static int stream(const char *path, uint8_t *base, uint64_t total, uint64_t slots, bool compute) {
    enum { LAYERS = 16, PARTS = 3 };
    const uint64_t bytes = total / (LAYERS * PARTS);
    hyp_extent extents[LAYERS * PARTS];
    hyp_unit units[LAYERS];
    uint32_t order[LAYERS];
    for (uint32_t i = 0; i < LAYERS * PARTS; i++)
        extents[i] = (hyp_extent){.offset = i * bytes, .bytes = bytes};
    for (uint32_t i = 0; i < LAYERS; i++) {
        units[i] = (hyp_unit){.first_extent = i * PARTS, .n_extents = PARTS, .layer = i};
        order[i] = i;
    }
    hyp_pager_file file = {.path = path, .base = base, .bytes = total};
    hyp_pager_config config = {.files = &file,
                               .n_files = 1,
                               .extents = extents,
                               .n_extents = LAYERS * PARTS,
                               .units = units,
                               .n_units = LAYERS,
                               .n_layers = LAYERS,
                               .policy = HYP_POLICY_LRU};
    hyp_err err = HYP_ERR_NONE;
    hyp_pager *pager = NULL;
    hyp_ring *ring = NULL;
    uint64_t always = 0, unit = 0;
    int r = hyp_pager_measure(&config, &always, &unit, &err);
    config.budget_bytes = unit * slots;
    if (r == HYP_OK) r = hyp_pager_open(&config, &pager, &err);
    if (r == HYP_OK) r = hyp_ring_new(pager, order, LAYERS, &ring, &err);
    hyp_pager_stats before = {0}, after = {0};
    double since = 0;
    for (uint32_t i = 0; i < 4 * LAYERS && r == HYP_OK; i++) {
        uint32_t layer = i % LAYERS;
        if (i == LAYERS) { /* the first round makes the frames */
            hyp_pager_get_stats(pager, &before);
            since = hyp_text_now_s();
        }
        r = hyp_ring_step(ring, layer, 1, &err);
        for (uint32_t part = 0; part < PARTS && r == HYP_OK; part++) {
            r = hyp_pager_wait(pager, layer, (uint8_t)(1u << part), &err);
            if (compute) read_all(base + (layer * PARTS + part) * bytes, bytes);
            hyp_ring_pass(ring, (uint8_t)(1u << part));
        }
    }
    double spent = hyp_text_now_s() - since;
    if (r == HYP_OK) {
        hyp_pager_get_stats(pager, &after);
        printf("ring, %llu slots, %s: %.2f GB/s streamed, stalled %.0f %% of the time, disk busy %.0f %%\n",
               (unsigned long long)slots, compute ? "bytes read once" : "bytes not touched",
               3 * (double)total / spent / 1e9, 100 * (after.stall_s - before.stall_s) / spent,
               100 * (after.io.busy_s - before.io.busy_s) / spent);
    } else {
        hyp_err_print(&err, stderr);
    }
    hyp_ring_free(ring);
    hyp_pager_close(pager);
    return r;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: pager_bench FOLDER [MIB]\n");
        return 2;
    }
    uint64_t total = (argc > 2 ? strtoull(argv[2], NULL, 10) : 512) * MIB;
    char path[4096];
    snprintf(path, sizeof path, "%s/pager_bench.%ld", argv[1], (long)getpid());
    int fd = make_file(path, total);
    if (fd < 0) {
        perror(path);
        return 1;
    }
    /* Aligned as the arena is, so that large pages can be mapped where the frame agrees with the address. */
    uint8_t *area = mmap(NULL, total + HYP_ARENA_ALIGN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint8_t *base = area + (HYP_ARENA_ALIGN - (uintptr_t)area % HYP_ARENA_ALIGN) % HYP_ARENA_ALIGN;
    int r = area == MAP_FAILED || hyp_platform_map_file(fd, 0, total, base) != 0;
    static const way ways[] = {
        {"small pages", false, false, false},       {"small pages, populate", false, false, true},
        {"huge pages", true, false, false},         {"huge pages, populate", true, false, true},
        {"huge pages, aligned", true, true, false}, {"huge pages, aligned, populate", true, true, true},
    };
    static const uint64_t sizes[] = {1, 4, 16, 60};
    for (size_t s = 0; s < HYP_ARRAY_LEN(sizes) && r == 0; s++)
        for (size_t w = 0; w < HYP_ARRAY_LEN(ways) && r == 0; w++)
            r = measure(fd, base, total, sizes[s] * MIB, &ways[w]);
    for (uint64_t slots = 1; slots <= 4 && r == 0; slots++)
        for (int compute = 0; compute < 2 && r == 0; compute++)
            r = stream(path, base, total, slots, compute);
    close(fd);
    unlink(path);
    return r != 0;
}

#include "fixture.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

uint64_t fixture_random(fixture *f, uint64_t n) {
    f->random += 0x9e3779b97f4a7c15u; /* splitmix64 */
    uint64_t z = f->random;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (z ^ z >> 31) % n;
}

#if FIXTURE_PAGE != 4096
size_t __wrap_hyp_platform_page_bytes(void);
size_t __wrap_hyp_platform_page_bytes(void) {
    return PAGE;
}
#endif

static uint64_t whole_pages(uint64_t bytes) {
    return (bytes + PAGE - 1) / PAGE * PAGE;
}

/* As a kernel with pages of PAGE bytes would: at a multiple of it, and to the end of the last page. */
static uint8_t *map_file(int fd, uint64_t bytes) {
    const uint64_t mapped = whole_pages(bytes), span = mapped + PAGE;
    uint8_t *area = mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(area, MAP_FAILED);
    const uint64_t lead = (PAGE - (uintptr_t)area % PAGE) % PAGE;
    uint8_t *base = mmap(area + lead, mapped, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
    assert_ptr_not_equal(base, MAP_FAILED);
    if (lead > 0) munmap(area, lead);
    munmap(base + mapped, span - mapped - lead);
    return base;
}

static void make_file(fixture *f, uint32_t i, const char *name, uint64_t bytes) {
    const char *dir = getenv("HYPURA_BUILD");
    snprintf(f->paths[i], sizeof f->paths[i], "%s/test_pager_%s_%u_%ld", dir != NULL ? dir : ".", name, i,
             (long)getpid());
    f->bytes[i] = bytes;
    f->content[i] = malloc(bytes);
    assert_non_null(f->content[i]);
    for (uint64_t at = 0; at < bytes; at++)
        f->content[i][at] = (uint8_t)(fixture_random(f, 255) + 1);
    int fd = open(f->paths[i], O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, f->content[i], bytes), (ssize_t)bytes);
    f->base[i] = map_file(fd, bytes);
    close(fd);
    f->files[i] = (hyp_pager_file){.path = f->paths[i], .base = f->base[i], .bytes = bytes};
}

void fixture_make(fixture *f, const char *name, uint64_t bytes0, uint64_t bytes1, uint64_t seed) {
    *f = (fixture){.random = seed};
    make_file(f, 0, name, bytes0);
    if (bytes1 > 0) make_file(f, 1, name, bytes1);
    f->config = (hyp_pager_config){.files = f->files,
                                   .n_files = bytes1 > 0 ? 2 : 1,
                                   .extents = f->extents,
                                   .units = f->units,
                                   .policy = HYP_POLICY_LRU};
}

void fixture_extent(fixture *f, uint32_t file, uint64_t offset, uint64_t bytes) {
    assert_true(f->config.n_extents < FIXTURE_MAX_EXTENTS);
    f->extents[f->config.n_extents++] = (hyp_extent){.file = file, .offset = offset, .bytes = bytes};
}

void fixture_unit(fixture *f, uint32_t first, uint32_t n, uint32_t layer, bool always) {
    assert_true(f->config.n_units < FIXTURE_MAX_UNITS);
    f->units[f->config.n_units++] = (hyp_unit){.first_extent = first, .n_extents = n, .layer = layer, .always = always};
    f->config.n_layers = HYP_MAX(f->config.n_layers, layer + 1);
}

size_t fixture_count_mappings(void) {
    FILE *in = fopen("/proc/self/maps", "re");
    assert_non_null(in);
    size_t n = 0;
    char line[512];
    while (fgets(line, sizeof line, in) != NULL) /* those of the files under test, and of frames */
        n += strstr(line, "test_pager_") != NULL || strstr(line, "hypura-frames") != NULL;
    fclose(in);
    return n;
}

void fixture_open(fixture *f, uint64_t budget_bytes) {
    f->config.budget_bytes = budget_bytes;
    hyp_err err = HYP_ERR_NONE;
    if (hyp_pager_open(&f->config, &f->pager, &err) != HYP_OK) fail_msg("%s", err.message);
    f->n_mappings = fixture_count_mappings() - 1; /* without the view of the frames */
}

static void check_bytes(const fixture *f) {
    for (uint32_t i = 0; i < f->config.n_files; i++) {
        if (memcmp(f->base[i], f->content[i], f->bytes[i]) == 0) continue;
        uint64_t at = 0;
        while (f->base[i][at] == f->content[i][at])
            at++;
        fail_msg("foreign byte at %llu of file %u", (unsigned long long)at, i);
    }
}

void fixture_check(fixture *f) {
    check_bytes(f);
    if (f->pager == NULL) return;
    const char *wrong = hyp_pager_check(f->pager);
    if (wrong != NULL) fail_msg("%s", wrong);
    assert_true(hyp_arena_allocated_bytes(&f->pager->arena) <= f->config.budget_bytes);
}

void fixture_shut(fixture *f) {
    hyp_pager_close(f->pager);
    f->pager = NULL;
    check_bytes(f);
    assert_int_equal(fixture_count_mappings(), f->n_mappings);
}

void fixture_done(fixture *f) {
    if (f->pager != NULL) fixture_shut(f);
    for (uint32_t i = 0; i < f->config.n_files; i++) {
        munmap(f->base[i], whole_pages(f->bytes[i]));
        free(f->content[i]);
        unlink(f->paths[i]);
    }
}

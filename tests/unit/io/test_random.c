/* test_random.c - random requests under random settings and faults: whatever happens, every request is reaped exactly
 * once, and its content is the file's or its result says why not. HYPURA_TEST_SEED repeats a failing run,
 * HYPURA_TEST_ROUNDS makes it longer. */
#include "base/mem.h"
#include "fixture.h"

#include <errno.h>
#include <string.h>

enum { N_REQUESTS = 300, MAX_PAGES = 48 };

typedef struct job {
    hyp_io_request request;
    bool submitted, reaped, cancelled;
} job;

typedef struct run {
    fixture f;
    uint64_t random;
    char mirror[256];
    const char *mirror_path;
    hyp_io_mirror copies;
    hyp_io_faults faults;
    job jobs[N_REQUESTS];
    size_t n_submitted, n_reaped;
} run;

static uint64_t draw(run *r, uint64_t below) { /* xorshift64* */
    r->random ^= r->random >> 12, r->random ^= r->random << 25, r->random ^= r->random >> 27;
    return (r->random * 0x2545f4914f6cdd1du >> 33) % below;
}

/* Most counts are 0, so that every fault also occurs alone and with one other. */
static uint64_t draw_every(run *r, uint64_t least) {
    return draw(r, 3) != 0 ? 0 : least + draw(r, 30);
}

static hyp_io_config draw_config(run *r) {
    r->faults = (hyp_io_faults){.fail_every = draw_every(r, 3),
                                .short_every = draw_every(r, 1),
                                .truncate_every = draw_every(r, 5),
                                .delay_every = draw_every(r, 2),
                                .delay_us = (uint32_t)draw(r, 300),
                                .random_delay = draw(r, 2) != 0,
                                .seed = draw(r, 1000),
                                .only_class = (int)draw(r, 3) - 1};
    /* With a mirror, faults of one source alone may fail nothing. */
    bool mirrored = draw(r, 2) != 0;
    if (mirrored) r->faults.sources = 1u << draw(r, 2);
    return (hyp_io_config){.mirrors = &r->copies,
                           .n_mirrors = mirrored ? 1 : 0,
                           .depth = 1 + (uint32_t)draw(r, 20),
                           .prefetch_depth = (uint32_t)draw(r, 8),
                           .chunk_bytes = PAGE * (1 + (uint32_t)draw(r, 40)),
                           .faults = &r->faults};
}

/* Often the next pages after the last request: neighbours. Sometimes beyond the end. */
static void submit_one(run *r) {
    job *j = &r->jobs[r->n_submitted];
    const hyp_io_request *last = r->n_submitted > 0 ? &j[-1].request : NULL;
    hyp_io_request *q = &j->request;
    uint64_t pages = 1 + draw(r, draw(r, 2) != 0 ? 4 : MAX_PAGES);
    uint64_t first = last != NULL && draw(r, 2) != 0 ? (last->offset + last->bytes) / PAGE : draw(r, FILE_PAGES + 4);
    if (first > FILE_PAGES + 8) first = 0;
    q->offset = first * PAGE;
    q->bytes = pages * PAGE;
    q->cls = draw(r, 2) != 0 ? HYP_IO_PREFETCH : HYP_IO_DEMAND;
    q->user = j;
    memset(q->buf, 0x5b, q->bytes);
    j->submitted = true;
    r->n_submitted++;
    hyp_io_submit(r->f.io, q);
}

static void check(const run *r, const job *j) {
    const hyp_io_request *q = &j->request;
    bool one_lives = r->faults.sources != 0;
    bool may_fail =
        !one_lives && (r->faults.only_class < 0 || r->faults.only_class == (int)q->cls || q->cls == HYP_IO_PREFETCH);
    switch (q->result) {
    case HYP_OK: assert_true(fixture_matches(q->buf, q->offset, q->bytes)); break;
    case HYP_ECANCELED: assert_true(j->cancelled); break;
    case HYP_EIO:
        assert_true(may_fail); /* a prefetch may have been promoted into the other class */
        assert_true((q->sys_errno == EIO && r->faults.fail_every != 0) ||
                    (q->sys_errno == ENODATA && r->faults.truncate_every != 0));
        break;
    default: fail_msg("result %d", q->result);
    }
}

static bool reap_one(run *r, bool wait) {
    hyp_io_request *q = hyp_io_reap(r->f.io, wait);
    if (q == NULL) return false;
    job *j = q->user;
    assert_true(&j->request == q && j->submitted && !j->reaped);
    j->reaped = true;
    r->n_reaped++;
    check(r, j);
    return true;
}

static void step(run *r) {
    job *any = &r->jobs[draw(r, N_REQUESTS)];
    bool ours = any->submitted && !any->reaped; /* else the io layer does not know it */
    switch (draw(r, 10)) {
    case 0: (void)reap_one(r, false); break;
    case 1: (void)reap_one(r, r->n_submitted > r->n_reaped); break;
    case 2:
        if (ours) hyp_io_promote(r->f.io, &any->request);
        break;
    case 3:
        if (ours) hyp_io_cancel(r->f.io, &any->request), any->cancelled = true;
        break;
    default:
        if (r->n_submitted < N_REQUESTS) submit_one(r);
    }
}

static void one_run(run *r, char *memory) {
    for (size_t i = 0; i < N_REQUESTS; i++)
        r->jobs[i] = (job){.request.buf = memory + i * (size_t)MAX_PAGES * PAGE};
    r->n_submitted = r->n_reaped = 0;
    fixture_open(&r->f, draw_config(r));
    size_t n_steps = draw(r, 8) == 0 ? draw(r, 400) : 5000; /* some are closed in the middle */
    for (size_t i = 0; i < n_steps && r->n_reaped < N_REQUESTS; i++)
        step(r);
    if (n_steps == 5000) {
        while (reap_one(r, true)) {
        }
        assert_int_equal(r->n_reaped, r->n_submitted);
    }
    assert_int_equal(hyp_io_outstanding(r->f.io), r->n_submitted - r->n_reaped);
    hyp_io_close(r->f.io);
}

static uint64_t number(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static void random_requests(void **state) {
    run *r = calloc(1, sizeof *r);
    assert_non_null(r);
    char *memory = fixture_buffer((uint64_t)N_REQUESTS * MAX_PAGES * PAGE);
    fixture copy;
    fixture_make(&copy, *state);
    fixture_make(&r->f, *state);
    snprintf(r->mirror, sizeof r->mirror, "%s", copy.path);
    r->mirror_path = r->mirror;
    r->copies.paths = &r->mirror_path;
    uint64_t seed = number("HYPURA_TEST_SEED", 1), rounds = number("HYPURA_TEST_ROUNDS", 20);
    for (uint64_t i = 0; i < rounds; i++) {
        print_message("seed %llu\n", (unsigned long long)(seed + i));
        r->random = (seed + i) * 0x9e3779b97f4a7c15u | 1;
        one_run(r, memory);
    }
    unlink(r->f.path);
    unlink(r->mirror);
    free(memory);
    free(r);
}

static way ways[] = {{HYP_IO_PLAIN, false},  {HYP_IO_PLAIN, true},  {HYP_IO_THREADS, false},
                     {HYP_IO_THREADS, true}, {HYP_IO_URING, false}, {HYP_IO_URING, true}};

int main(void) {
    static struct CMUnitTest tests[HYP_ARRAY_LEN(ways)];
    static char names[HYP_ARRAY_LEN(ways)][64];
    for (size_t i = 0; i < HYP_ARRAY_LEN(ways); i++) {
        snprintf(names[i], sizeof names[i], "random_requests, %s, %s", hyp_io_backend_name(ways[i].backend),
                 ways[i].buffered ? "buffered" : "direct");
        tests[i] = (struct CMUnitTest){.name = names[i], .test_func = random_requests, .initial_state = &ways[i]};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Frames alone: classes, recycling, the budget, and the memory that the system really counts. */
#include "fixture.h"

#include <string.h>

typedef struct tray {
    hyp_arena arena;
    hyp_frames frames;
} tray;

static void make(tray *t, const uint64_t *bytes, const uint32_t *n_slots, size_t n, uint64_t budget) {
    hyp_frame_class *classes = calloc(n, sizeof *classes);
    for (size_t i = 0; i < n; i++)
        classes[i] = (hyp_frame_class){.bytes = bytes[i], .n_slots = n_slots[i]};
    hyp_err err = HYP_ERR_NONE;
    uint64_t end = 0;
    assert_int_equal(hyp_frames_init(&t->frames, classes, n, 0, budget, &end, &err), HYP_OK);
    assert_int_equal(hyp_arena_open(end, &t->arena, &err), HYP_OK);
    assert_int_equal((uintptr_t)t->arena.view % HYP_ARENA_ALIGN, 0);
    t->frames.arena = &t->arena;
}

static void done(tray *t) {
    hyp_frames_done(&t->frames);
    hyp_arena_close(&t->arena);
}

static uint64_t take(tray *t, uint32_t cls) {
    uint64_t at = UINT64_MAX;
    assert_true(hyp_frames_take(&t->frames, cls, &at));
    memset(t->arena.view + at, 1, t->frames.classes[cls].bytes); /* what a read does */
    assert_true(hyp_arena_allocated_bytes(&t->arena) <= t->frames.budget_bytes);
    return at;
}

static void test_recycles_the_last_one(void **state) {
    (void)state;
    tray t;
    make(&t, (uint64_t[]){2 * PAGE}, (uint32_t[]){4}, 1, 8 * PAGE);
    uint64_t a = take(&t, 0), b = take(&t, 0);
    assert_int_not_equal(a, b);
    t.arena.view[a] = 77;
    hyp_frames_give(&t.frames, 0, b);
    hyp_frames_give(&t.frames, 0, a);
    assert_int_equal(take(&t, 0), a);
    assert_int_equal(t.frames.taken_bytes, 2 * PAGE);
    done(&t);
}

static void test_budget_is_the_limit(void **state) {
    (void)state;
    tray t;
    make(&t, (uint64_t[]){3 * PAGE}, (uint32_t[]){3}, 1, 10 * PAGE);
    uint64_t at = 0;
    for (int i = 0; i < 3; i++)
        take(&t, 0);
    assert_false(hyp_frames_take(&t.frames, 0, &at));
    assert_int_equal(t.frames.allocated_bytes, 9 * PAGE);
    done(&t);
}

/* Free frames of one class become room for another, and their memory really goes back. */
static void test_free_frames_make_room_elsewhere(void **state) {
    (void)state;
    tray t;
    make(&t, (uint64_t[]){5 * PAGE, 2 * PAGE}, (uint32_t[]){2, 5}, 2, 10 * PAGE);
    uint64_t small[5];
    for (int i = 0; i < 5; i++)
        small[i] = take(&t, 1);
    uint64_t at = 0;
    assert_false(hyp_frames_take(&t.frames, 0, &at));
    hyp_frames_give(&t.frames, 1, small[0]);
    hyp_frames_give(&t.frames, 1, small[1]);
    assert_false(hyp_frames_take(&t.frames, 0, &at)); /* 4 of 5 pages: nothing is punched in vain */
    assert_int_equal(t.frames.allocated_bytes, 10 * PAGE);
    hyp_frames_give(&t.frames, 1, small[2]);
    uint64_t large = take(&t, 0);
    assert_int_equal(hyp_arena_allocated_bytes(&t.arena), 9 * PAGE);
    hyp_frames_give(&t.frames, 0, large);
    for (int i = 0; i < 3; i++)
        take(&t, 1);
    done(&t);
}

/* Frames large enough for huge pages, taken and punched at random, prepared ahead or not: the system's count stays
 * within the budget, and what is written into a frame stays there. */
static void take_and_punch_at_random(bool ahead) {
    tray t;
    enum { MIB = 1 << 20, N = 64 };
    const uint64_t bytes[2] = {5 * MIB + PAGE, 3 * MIB};
    make(&t, bytes, (uint32_t[]){10, 20}, 2, 60 * MIB);
    if (ahead) hyp_frames_prepare_ahead(&t.frames);
    fixture random = {.random = 5};
    uint64_t at[N];
    uint32_t cls[N];
    size_t n = 0;
    for (int i = 0; i < 400; i++) {
        uint32_t c = (uint32_t)fixture_random(&random, 2);
        if (n < N && fixture_random(&random, 2) == 0 && hyp_frames_take(&t.frames, c, &at[n])) {
            memset(t.arena.view + at[n], (int)c + 1, bytes[c]);
            cls[n++] = c;
        } else if (n > 0) {
            size_t victim = fixture_random(&random, n);
            const uint8_t *frame = t.arena.view + at[victim];
            assert_int_equal(frame[0], cls[victim] + 1);
            assert_memory_equal(frame, frame + 1, bytes[cls[victim]] - 1);
            hyp_frames_give(&t.frames, cls[victim], at[victim]);
            at[victim] = at[--n];
            cls[victim] = cls[n];
        }
        assert_true(t.frames.allocated_bytes <= t.frames.budget_bytes);
        assert_true(hyp_arena_allocated_bytes(&t.arena) <= t.frames.allocated_bytes);
    }
    done(&t);
}

static void test_large_frames(void **state) {
    (void)state;
    take_and_punch_at_random(false);
}

static void test_large_frames_ahead(void **state) {
    (void)state;
    take_and_punch_at_random(true);
}

/* What is granted ahead has its memory before anybody touches it, is counted, and goes back when others need the room.
 */
static void test_prepared_ahead(void **state) {
    (void)state;
    tray t;
    enum { MIB = 1 << 20 };
    make(&t, (uint64_t[]){4 * MIB, 8 * MIB}, (uint32_t[]){40, 20}, 2, 160 * MIB);
    hyp_frames_prepare_ahead(&t.frames);
    if (t.frames.preparer == NULL) skip();
    assert_int_equal(t.frames.allocated_bytes,
                     8 * MIB + 8 * MIB); /* a sixteenth of the budget for each, in whole frames */
    hyp_preparer_drain(t.frames.preparer);
    uint64_t memory = hyp_arena_allocated_bytes(&t.arena);
    assert_true(memory > 0 && memory <= t.frames.allocated_bytes);
    for (uint64_t i = 0; i < 16 * MIB; i += PAGE / 8)
        assert_int_equal(t.arena.view[(i < 8 * MIB ? 0 : t.frames.classes[1].base - 8 * MIB) + i], 0);
    for (int i = 0; i < 40; i++) { /* the whole budget: the other class's are punched */
        take(&t, 0);
        assert_int_equal(t.frames.taken_bytes, (uint64_t)(i + 1) * 4 * MIB);
    }
    assert_int_equal(t.frames.allocated_bytes, 160 * MIB);
    assert_int_equal(t.frames.classes[1].n_granted, 0);
    hyp_preparer_drain(t.frames.preparer);
    assert_int_equal(hyp_arena_allocated_bytes(&t.arena), 160 * MIB);
    done(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recycles_the_last_one),
        cmocka_unit_test(test_budget_is_the_limit),
        cmocka_unit_test(test_free_frames_make_room_elsewhere),
        cmocka_unit_test(test_large_frames),
        cmocka_unit_test(test_large_frames_ahead),
        cmocka_unit_test(test_prepared_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

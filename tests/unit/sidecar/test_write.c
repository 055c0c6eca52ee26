/* Writing: every byte as it must be, however often and wherever it is interrupted. */
#include "fixture.h"

#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Stops, or dies, at the n-th call. */
typedef struct stopper {
    int calls, stop_at, kill_at;
    uint64_t last_done;
    char what[16];
} stopper;

static bool on_progress(const char *what, uint64_t done, uint64_t total, void *user) {
    stopper *s = user;
    assert_true(done <= total);
    if (strcmp(s->what, what) == 0) assert_true(done >= s->last_done);
    snprintf(s->what, sizeof s->what, "%s", what);
    s->last_done = done;
    s->calls++;
    if (s->calls == s->kill_at) kill(getpid(), SIGKILL);
    return s->calls != s->stop_at;
}

static hyp_sidecar_job job_of(const hyp_model *model, const hyp_sidecar *layout, const char *path, stopper *s) {
    return (hyp_sidecar_job){.model = model,
                             .layout = layout,
                             .path = path,
                             .batch_bytes = 64 << 10,
                             .checkpoint_bytes = 128 << 10,
                             .progress = on_progress,
                             .user = s};
}

static void write_whole(const hyp_model *model, const hyp_sidecar *layout, const char *path) {
    stopper s = {0};
    hyp_sidecar_job job = job_of(model, layout, path, &s);
    hyp_sidecar_written written;
    hyp_err err = HYP_ERR_NONE;
    if (hyp_sidecar_write(&job, &written, &err) != HYP_OK) fail_msg("%s", err.message);
    assert_int_equal(written.bytes, layout->bytes);
    assert_true(access(fixture_beside(path, ".partial"), F_OK) != 0);
}

static void assert_same_files(const char *a, const char *b) {
    size_t n = 0, m = 0;
    uint8_t *x = fixture_read(a, &n), *y = fixture_read(b, &m);
    assert_int_equal(n, m);
    if (memcmp(x, y, n) != 0) fail_msg("%s and %s differ", a, b);
    free(x);
    free(y);
}

static void it_holds_the_models_pages(void **state) {
    (void)state;
    const char *path;
    hyp_model *model = fixture_model("whole.gguf", 1, &path);
    hyp_sidecar *layout = fixture_layout(model, NULL);
    const char *out = fixture_beside(path, ".packed");
    write_whole(model, layout, out);
    size_t n = 0, m = 0;
    uint8_t *copy = fixture_read(out, &n), *original = fixture_read(path, &m);
    assert_int_equal(n, layout->bytes);
    hyp_sidecar *read = NULL;
    assert_int_equal(hyp_sidecar_parse(copy, n, n, &read, NULL), HYP_OK);
    assert_true(read->complete);
    for (uint32_t i = 0; i < read->n_runs; i++) {
        const hyp_packed_run *run = &read->runs[i];
        uint64_t first = run->extent.offset / PAGE * PAGE, bytes = hyp_sidecar_run_bytes(run, PAGE);
        for (uint64_t b = 0; b < bytes; b++)
            if (copy[run->at + b] != (first + b < m ? original[first + b] : 0))
                fail_msg("run %u, byte %llu", i, (unsigned long long)b);
        assert_true(hyp_hash_pages(copy + run->at, bytes) == run->checksum);
    }
    hyp_sidecar_look look;
    hyp_sidecar_find(model, NULL, &look);
    assert_int_equal(look.state, HYP_SIDECAR_PRESENT);
    assert_string_equal(look.path, out);
    hyp_sidecar_look_done(&look);
    hyp_sidecar_free(read);
    free(copy);
    free(original);
    hyp_sidecar_free(layout);
    hyp_model_free(model);
}

/* Stopped at every place there is, and gone on with: the same file, byte for byte. */
static void stopped_and_resumed_it_is_the_same(void **state) {
    (void)state;
    const char *path;
    hyp_model *model = fixture_model("stopped.gguf", 2, &path);
    hyp_sidecar *layout = fixture_layout(model, NULL);
    const char *whole = fixture_beside(path, ".whole"), *out = fixture_beside(path, ".out");
    write_whole(model, layout, whole);
    bool resumed = false;
    for (int stop = 1;; stop++) {
        stopper s = {.stop_at = stop};
        hyp_sidecar_job job = job_of(model, layout, out, &s);
        hyp_sidecar_written written;
        hyp_err err = HYP_ERR_NONE;
        int r = hyp_sidecar_write(&job, &written, &err);
        if (r == HYP_OK) {
            assert_true(s.calls < stop);
            break;
        }
        assert_int_equal(r, HYP_ECANCELED);
        assert_non_null(strstr(err.message, ".out.partial"));
        assert_true(access(out, F_OK) != 0);
        s = (stopper){0};
        assert_int_equal(hyp_sidecar_write(&job, &written, &err), HYP_OK);
        resumed = resumed || (written.resumed_bytes > 0 && written.resumed_bytes < layout->bytes - layout->data_offset);
        assert_same_files(whole, out);
        unlink(out);
    }
    assert_true(resumed);
    hyp_sidecar_free(layout);
    hyp_model_free(model);
}

static void killed_and_resumed_it_is_the_same(void **state) {
    (void)state;
    const char *path;
    hyp_model *model = fixture_model("killed.gguf", 3, &path);
    hyp_sidecar *layout = fixture_layout(model, NULL);
    const char *whole = fixture_beside(path, ".whole"), *out = fixture_beside(path, ".out");
    write_whole(model, layout, whole);
    bool killed = true, resumed = false;
    for (int at = 1; killed; at++) {
        pid_t child = fork();
        if (child == 0) {
            stopper s = {.kill_at = at};
            hyp_sidecar_job job = job_of(model, layout, out, &s);
            hyp_sidecar_written written;
            _exit(hyp_sidecar_write(&job, &written, NULL) == HYP_OK ? 0 : 1);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        killed = WIFSIGNALED(status);
        stopper s = {0};
        hyp_sidecar_job job = job_of(model, layout, out, &s);
        hyp_sidecar_written written = {0};
        if (killed) {
            hyp_sidecar_look look;
            hyp_sidecar_find(model, out, &look);
            assert_int_equal(look.state, HYP_SIDECAR_PARTIAL);
            assert_int_equal(hyp_sidecar_write(&job, &written, NULL), HYP_OK);
            resumed = resumed || written.resumed_bytes > 0;
        } else {
            assert_int_equal(WEXITSTATUS(status), 0);
        }
        assert_same_files(whole, out);
        unlink(out);
    }
    assert_true(resumed);
    hyp_sidecar_free(layout);
    hyp_model_free(model);
}

/* What an unfinished file holds is compared with the model before it counts. */
static void a_damaged_partial_file_is_not_believed(void **state) {
    (void)state;
    const char *path;
    hyp_model *model = fixture_model("damaged.gguf", 4, &path);
    hyp_sidecar *layout = fixture_layout(model, NULL);
    const char *out = fixture_beside(path, ".out"), *partial = fixture_beside(path, ".out.partial");
    stopper s = {.stop_at = 3};
    hyp_sidecar_job job = job_of(model, layout, out, &s);
    hyp_sidecar_written written;
    assert_int_equal(hyp_sidecar_write(&job, &written, NULL), HYP_ECANCELED);
    size_t n = 0;
    uint8_t *data = fixture_read(partial, &n);
    data[layout->data_offset + 5000] ^= 1;
    fixture_write(partial, data, n);
    s = (stopper){0};
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_sidecar_write(&job, &written, &err), HYP_EIO);
    assert_non_null(strstr(err.message, "not the model's"));
    assert_true(access(out, F_OK) != 0 && access(partial, F_OK) != 0); /* deleted: the next attempt begins anew */
    /* Neither is a wrong checksum of right pages: both are compared with the model. */
    s = (stopper){.stop_at = 3};
    assert_int_equal(hyp_sidecar_write(&job, &written, NULL), HYP_ECANCELED);
    free(data);
    data = fixture_read(partial, &n);
    data[layout->data_offset + 5000] ^= 1;
    uint64_t bytes = hyp_sidecar_run_bytes(&layout->runs[0], PAGE);
    uint64_t sum = hyp_hash_pages(data + layout->data_offset, bytes);
    for (int b = 0; b < 8; b++)
        data[hyp_sidecar_record_at(layout, 0) + 24 + (size_t)b] = (uint8_t)(sum >> (8 * b));
    fixture_write(partial, data, n);
    s = (stopper){0};
    assert_int_equal(hyp_sidecar_write(&job, &written, NULL), HYP_EIO);
    /* Rubbish is begun anew. */
    fixture_write(partial, "rubbish", 7);
    s = (stopper){0};
    assert_int_equal(hyp_sidecar_write(&job, &written, NULL), HYP_OK);
    assert_int_equal(written.resumed_bytes, 0);
    free(data);
    hyp_sidecar_free(layout);
    hyp_model_free(model);
}

static void the_order_of_an_unfinished_file_is_kept_or_not(void **state) {
    (void)state;
    const char *path;
    hyp_model *model = fixture_model("orders.gguf", 5, &path);
    uint32_t reversed[] = {3, 2, 1, 0}, *layers[] = {reversed, reversed};
    hyp_sidecar_ranking ranking = {HYP_SIDECAR_BY_TRACE, 2, layers};
    hyp_sidecar *first = fixture_layout(model, &ranking), *second = fixture_layout(model, NULL);
    const char *out = fixture_beside(path, ".out"), *wanted = fixture_beside(path, ".wanted");
    for (int any = 0; any < 2; any++) {
        stopper s = {.stop_at = 3};
        hyp_sidecar_job job = job_of(model, first, out, &s);
        hyp_sidecar_written written;
        assert_int_equal(hyp_sidecar_write(&job, &written, NULL), HYP_ECANCELED);
        job.layout = second;
        job.any_order = any != 0;
        s = (stopper){0};
        assert_int_equal(hyp_sidecar_write(&job, &written, NULL), HYP_OK);
        assert_true(any != 0 ? written.resumed_bytes > 0 : written.resumed_bytes == 0);
        write_whole(model, any != 0 ? first : second, wanted);
        assert_same_files(out, wanted);
        unlink(out);
        unlink(wanted);
    }
    hyp_sidecar_free(first);
    hyp_sidecar_free(second);
    hyp_model_free(model);
}

/* The model's time changed and nothing else: the copy is compared and taken over, not written again. */
static void an_outdated_copy_is_taken_over(void **state) {
    (void)state;
    const char *path;
    hyp_model *model = fixture_model("touched.gguf", 6, &path);
    hyp_sidecar *layout = fixture_layout(model, NULL);
    const char *out = fixture_beside(path, ".packed");
    write_whole(model, layout, out);
    struct timespec times[2] = {{0, UTIME_OMIT}, {1234567890, 5}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    hyp_sidecar_look look;
    hyp_sidecar_find(model, NULL, &look);
    assert_int_equal(look.state, HYP_SIDECAR_STALE);
    hyp_sidecar_look_done(&look);
    hyp_sidecar *now = fixture_layout(model, NULL);
    stopper s = {0};
    hyp_sidecar_job job = job_of(model, now, out, &s);
    hyp_sidecar_written written;
    assert_int_equal(hyp_sidecar_write(&job, &written, NULL), HYP_OK);
    assert_int_equal(written.resumed_bytes, now->bytes - now->data_offset);
    hyp_sidecar_find(model, NULL, &look);
    assert_int_equal(look.state, HYP_SIDECAR_PRESENT);
    hyp_sidecar_look_done(&look);

    /* A byte of the model changed, where no sample of its digest lies: the old copy is not believed. */
    const hyp_tensor *up = hyp_model_tensor(model, "blk.1.ffn_up_exps.weight");
    int fd = open(path, O_RDWR);
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, (off_t)(up->offset + 100)), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)(up->offset + 100)), 1);
    close(fd);
    hyp_sidecar_find(model, NULL, &look);
    assert_int_equal(look.state, HYP_SIDECAR_STALE);
    hyp_sidecar_look_done(&look);
    hyp_sidecar_free(now);
    hyp_sidecar_free(layout);
    hyp_model_free(model);
}

static void what_cannot_be_written_is_told(void **state) {
    (void)state;
    const char *path;
    hyp_model *model = fixture_model("refused.gguf", 7, &path);
    hyp_sidecar *layout = fixture_layout(model, NULL);
    stopper s = {0};
    hyp_sidecar_job job = job_of(model, layout, "/nonexistent/folder/x.packed", &s);
    hyp_sidecar_written written;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_sidecar_write(&job, &written, &err), HYP_EIO);
    char place[HYP_SIDECAR_PATH_SIZE];
    assert_int_equal(hyp_sidecar_place(model, "/nonexistent/folder/x.packed", place, NULL), HYP_EIO);
    assert_int_equal(hyp_sidecar_place(model, NULL, place, NULL), HYP_OK);
    assert_string_equal(place, fixture_beside(path, ".packed"));

    /* More than any disk has. */
    job.path = fixture_beside(path, ".huge");
    uint64_t bytes = layout->bytes;
    layout->bytes = (uint64_t)1 << 60;
    err = HYP_ERR_NONE;
    assert_int_equal(hyp_sidecar_write(&job, &written, &err), HYP_ENOMEM);
    assert_non_null(strstr(err.message, "free"));
    assert_non_null(strstr(err.message, "would take"));
    layout->bytes = bytes;

    /* Two at a time. */
    job.path = fixture_beside(path, ".locked");
    int fd = open(fixture_beside(path, ".locked.partial"), O_RDWR | O_CREAT, 0600);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(hyp_sidecar_write(&job, &written, NULL), HYP_EBUSY);
    close(fd);
    assert_int_equal(hyp_sidecar_write(&job, &written, NULL), HYP_OK);

    /* A model that cannot be read whole. */
    const hyp_io_faults faults = {.fail_every = 5, .only_class = -1};
    job.path = fixture_beside(path, ".faulty");
    job.io = (hyp_io_config){.backend = HYP_IO_PLAIN, .faults = &faults, .chunk_bytes = PAGE};
    err = HYP_ERR_NONE;
    assert_int_equal(hyp_sidecar_write(&job, &written, &err), HYP_EIO);
    assert_true(access(job.path, F_OK) != 0);
    hyp_sidecar_free(layout);
    hyp_model_free(model);
}

static void it_is_found_where_it_was_put(void **state) {
    (void)state;
    const char *path;
    hyp_model *model = fixture_model("elsewhere.gguf", 8, &path);
    hyp_sidecar *layout = fixture_layout(model, NULL);
    const char *out = fixture_beside(path, "-elsewhere");
    hyp_sidecar_look look;
    hyp_sidecar_find(model, NULL, &look);
    assert_int_equal(look.state, HYP_SIDECAR_ABSENT);
    write_whole(model, layout, out);
    hyp_sidecar_find(model, NULL, &look); /* noted in the cache folder */
    assert_int_equal(look.state, HYP_SIDECAR_PRESENT);
    assert_string_equal(look.path, out);
    hyp_sidecar_look_done(&look);
    assert_int_equal(truncate(out, 5000), 0);
    hyp_sidecar_find(model, out, &look);
    assert_int_equal(look.state, HYP_SIDECAR_CORRUPT);
    assert_true(look.why.message[0] != '\0');
    hyp_sidecar_look_done(&look);
    unlink(out);
    hyp_sidecar_find(model, out, &look);
    assert_int_equal(look.state, HYP_SIDECAR_ABSENT);
    hyp_sidecar_look_done(&look);
    hyp_sidecar_free(layout);
    hyp_model_free(model);
}

/* --- the whole model in one GGUF --- */

static void assert_same_model(const hyp_model *a, const char *path) {
    hyp_model *b = NULL;
    hyp_err err = HYP_ERR_NONE;
    if (hyp_model_open(path, &b, &err) != HYP_OK) fail_msg("%s", err.message);
    size_t n = 0, m = 0;
    uint8_t *x = fixture_read(a->files[0].path, &n), *y = fixture_read(path, &m);
    assert_int_equal(a->n_tensors, b->n_tensors);
    for (size_t i = 0; i < a->n_tensors; i++) {
        const hyp_tensor *t = &a->tensors[i], *u = hyp_model_tensor(b, t->name);
        assert_true(u != NULL && u->bytes == t->bytes && u->type == t->type);
        assert_memory_equal(t->ne, u->ne, sizeof t->ne);
        assert_int_equal(u->offset % 4096, 0);
        assert_memory_equal(x + t->offset, y + u->offset, t->bytes);
    }
    assert_int_equal(hyp_model_meta_u64(b, "general.alignment", 0), 4096);
    assert_string_equal(hyp_model_meta_str(b, "general.name", ""), hyp_model_meta_str(a, "general.name", ""));
    assert_true(hyp_model_meta_f64(b, "%s.rope.freq_base", 0) == hyp_model_meta_f64(a, "%s.rope.freq_base", 0));
    free(x);
    free(y);
    hyp_model_free(b);
}

static void a_whole_gguf_has_the_same_tensors(void **state) {
    (void)state;
    const char *path;
    hyp_model *model = fixture_model("source.gguf", 9, &path);
    const char *out = fixture_beside(path, ".aligned.gguf"), *partial = fixture_beside(path, ".aligned.gguf.partial");
    stopper s = {0};
    hyp_sidecar_job job = job_of(model, NULL, out, &s);
    hyp_sidecar_written written;
    hyp_err err = HYP_ERR_NONE;
    uint64_t bytes = 0;
    assert_int_equal(hyp_sidecar_gguf_bytes(model, &bytes, &err), HYP_OK);
    if (hyp_sidecar_write_gguf(&job, &written, &err) != HYP_OK) fail_msg("%s", err.message);
    assert_true(written.bytes == bytes && written.resumed_bytes == 0);
    assert_same_model(model, out);

    /* Gone on with, right or wrong as it is so far. */
    size_t n = 0;
    uint8_t *data = fixture_read(out, &n);
    assert_int_equal(n, bytes);
    data[n / 2] ^= 8;
    fixture_write(partial, data, n - 5000);
    data[n / 2] ^= 8;
    unlink(out);
    assert_int_equal(hyp_sidecar_write_gguf(&job, &written, &err), HYP_OK);
    size_t m = 0;
    uint8_t *again = fixture_read(out, &m);
    assert_int_equal(n, m);
    assert_memory_equal(data, again, n);
    unlink(out);
    fixture_write(partial, data, n);
    s = (stopper){0};
    assert_int_equal(hyp_sidecar_write_gguf(&job, &written, &err), HYP_OK);
    assert_int_equal(written.resumed_bytes, bytes);
    unlink(out);
    s = (stopper){.stop_at = 1};
    assert_int_equal(hyp_sidecar_write_gguf(&job, &written, &err), HYP_ECANCELED);
    assert_true(access(out, F_OK) != 0 && access(partial, F_OK) == 0);
    unlink(partial);
    free(data);
    free(again);
    hyp_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_holds_the_models_pages),
        cmocka_unit_test(stopped_and_resumed_it_is_the_same),
        cmocka_unit_test(killed_and_resumed_it_is_the_same),
        cmocka_unit_test(a_damaged_partial_file_is_not_believed),
        cmocka_unit_test(the_order_of_an_unfinished_file_is_kept_or_not),
        cmocka_unit_test(an_outdated_copy_is_taken_over),
        cmocka_unit_test(what_cannot_be_written_is_told),
        cmocka_unit_test(it_is_found_where_it_was_put),
        cmocka_unit_test(a_whole_gguf_has_the_same_tensors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

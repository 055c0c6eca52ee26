/* The head of a sidecar: what is laid out, written and read again; and everything that must be refused. */
#include "fixture.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { EXPERTS = 4, LAYERS = 2, PARTS = 3 };

static void every_slice_has_a_place(void **state) {
    (void)state;
    hyp_model *model = fixture_model("layout.gguf", 1, NULL);
    hyp_sidecar *s = fixture_layout(model, NULL);
    assert_int_equal(s->n_units, LAYERS * EXPERTS);
    assert_int_equal(s->n_runs, LAYERS * EXPERTS * PARTS);
    uint64_t place = s->data_offset;
    for (uint32_t i = 0; i < s->n_runs; i++) {
        assert_int_equal(s->runs[i].at, place);
        assert_int_equal(s->unit_of[i], i / PARTS);
        place += hyp_sidecar_run_bytes(&s->runs[i], PAGE);
    }
    assert_int_equal(place, s->bytes);
    /* Each expert's slice of each streamed tensor, once. */
    for (size_t t = 0; t < model->n_tensors; t++) {
        const hyp_tensor *tensor = &model->tensors[t];
        for (uint32_t e = 0; e < tensor->n_experts && tensor->expert_bytes > 16384; e++) {
            unsigned found = 0;
            for (uint32_t i = 0; i < s->n_runs; i++)
                found += s->runs[i].extent.offset == tensor->offset + e * tensor->expert_bytes &&
                         s->runs[i].extent.bytes == tensor->expert_bytes;
            assert_int_equal(found, 1);
        }
    }
    /* In the order of use: gate before up before down. */
    assert_true(s->runs[0].extent.offset == hyp_model_tensor(model, "blk.0.ffn_gate_exps.weight")->offset);
    assert_true(s->runs[1].extent.offset == hyp_model_tensor(model, "blk.0.ffn_up_exps.weight")->offset);
    hyp_sidecar_free(s);
    hyp_model_free(model);
}

static void a_model_without_experts_is_cut_by_layers(void **state) {
    (void)state;
    sample g = sample_new();
    gguf_set_val_u32(g.gguf, "qwen3moe.expert_count", 0);
    gguf_set_val_u32(g.gguf, "qwen3moe.expert_used_count", 0);
    sample_tensor(&g, "token_embd.weight", GGML_TYPE_Q8_0, 64, 8, 1);
    hyp_model *model = NULL;
    hyp_sidecar *s = NULL;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_model_open(sample_write(&g, "bare.gguf"), &model, &err), HYP_OK);
    assert_int_equal(hyp_sidecar_layout(model, NULL, PAGE, &s, &err), HYP_EUNSUPPORTED);
    hyp_model_free(model);
    g = sample_new();
    gguf_set_val_u32(g.gguf, "qwen3moe.expert_count", 0);
    gguf_set_val_u32(g.gguf, "qwen3moe.expert_used_count", 0);
    sample_tensor(&g, "token_embd.weight", GGML_TYPE_Q8_0, 64, 8, 1);
    sample_tensor(&g, "blk.0.ffn_down.weight", GGML_TYPE_Q8_0, 96, 256, 1);
    sample_tensor(&g, "blk.0.ffn_up.weight", GGML_TYPE_Q8_0, 256, 96, 1);
    sample_tensor(&g, "blk.1.ffn_up.weight", GGML_TYPE_Q8_0, 256, 96, 1);
    assert_int_equal(hyp_model_open(sample_write(&g, "dense.gguf"), &model, NULL), HYP_OK);
    s = fixture_layout(model, NULL);
    assert_int_equal(s->n_units, 2);
    assert_int_equal(s->n_runs, 3);
    assert_true(s->runs[0].extent.offset == hyp_model_tensor(model, "blk.0.ffn_up.weight")->offset);
    hyp_sidecar_free(s);
    hyp_model_free(model);
}

/* --- the bytes --- */

static uint8_t *encode(const hyp_sidecar *s) {
    uint8_t *head = NULL;
    assert_int_equal(hyp_sidecar_encode(s, &head, NULL), HYP_OK);
    return head;
}

static hyp_sidecar *complete_layout(const hyp_model *model) {
    hyp_sidecar *s = fixture_layout(model, NULL);
    s->complete = true;
    s->n_done = s->n_runs;
    for (uint32_t i = 0; i < s->n_runs; i++)
        s->runs[i].checksum = 0x0123456789abcdefu * (i + 1);
    return s;
}

static void what_is_written_is_read(void **state) {
    (void)state;
    hyp_model *model = fixture_model("round.gguf", 2, NULL);
    hyp_sidecar *s = complete_layout(model), *again = NULL;
    uint8_t *head = encode(s);
    hyp_err err = HYP_ERR_NONE;
    if (hyp_sidecar_parse(head, s->data_offset, s->bytes, &again, &err) != HYP_OK) fail_msg("%s", err.message);
    assert_true(again->complete && again->n_runs == s->n_runs && again->n_units == s->n_units);
    assert_string_equal(again->digest, model->digest);
    assert_memory_equal(again->unit_of, s->unit_of, s->n_runs * sizeof *s->unit_of);
    assert_memory_equal(again->files, s->files, sizeof *s->files);
    for (uint32_t i = 0; i < s->n_runs; i++)
        assert_true(again->runs[i].at == s->runs[i].at && again->runs[i].checksum == s->runs[i].checksum &&
                    again->runs[i].extent.offset == s->runs[i].extent.offset);
    /* Little-endian on every machine. */
    static const uint8_t first[] = {'H', 'Y', 'P', 'U', 'R', 'A', 'P', 'K', 1, 0, 0, 0, 0, 16, 0, 0};
    assert_memory_equal(head, first, sizeof first);
    hyp_sidecar_free(again);
    hyp_sidecar_free(s);
    hyp_model_free(model);
    free(head);
}

static void assert_refused(const uint8_t *head, size_t n, uint64_t file_bytes) {
    hyp_sidecar *s = NULL;
    hyp_err err = HYP_ERR_NONE;
    int r = hyp_sidecar_parse(head, n, file_bytes, &s, &err);
    assert_true(r == HYP_EFORMAT || r == HYP_EUNSUPPORTED);
    assert_null(s);
    assert_true(err.message[0] != '\0');
}

static void any_changed_byte_is_noticed(void **state) {
    (void)state;
    hyp_model *model = fixture_model("changed.gguf", 3, NULL);
    hyp_sidecar *s = complete_layout(model);
    uint8_t *head = encode(s);
    for (size_t i = 0; i < s->data_offset; i++) {
        head[i] ^= (uint8_t)(1u << i % 8);
        hyp_sidecar *parsed = NULL; /* at most it passes for an unfinished one, which nobody reads */
        if (hyp_sidecar_parse(head, s->data_offset, s->bytes, &parsed, NULL) == HYP_OK)
            assert_true(i == SIDECAR_AT_STATE && !parsed->complete);
        hyp_sidecar_free(parsed);
        head[i] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t n = 0; n < s->data_offset; n += 13)
        assert_refused(head, n, s->bytes);
    assert_refused(head, s->data_offset, s->bytes - 1);
    assert_refused(head, s->data_offset, s->bytes + 1);
    assert_refused(head, s->data_offset, 64);
    hyp_sidecar_free(s);
    hyp_model_free(model);
    free(head);
}

/* An unfinished head has no checksum over all: its numbers must hold by themselves. */
static void hostile_numbers_are_refused(void **state) {
    (void)state;
    hyp_model *model = fixture_model("hostile.gguf", 4, NULL);
    hyp_sidecar *s = fixture_layout(model, NULL);
    static const struct {
        size_t at;
        int n;
        uint64_t value;
    } cases[] = {
        {8, 4, 2},           {12, 4, 0},           {12, 4, 4097},
        {12, 4, 1u << 31},   {16, 8, 0},           {16, 8, UINT64_MAX},
        {24, 8, 0},          {24, 8, 1u << 30},    {32, 4, 0},
        {32, 4, 0xffffffff}, {36, 4, 0},           {36, 4, 1000},
        {40, 4, 0},          {40, 4, 0xffffffff},  {44, 4, 77},
        {48, 4, 2},          {52, 4, 41},          {64, 1, 'x'},
        {64, 1, 0},          {128, 8, 100},        {128, 8, UINT64_MAX},
        {144, 4, 1},         {148, 4, 1},          {152, 8, UINT64_MAX},
        {152, 8, 1u << 30},  {160, 8, 0},          {160, 8, UINT64_MAX},
        {160, 8, 1u << 20},  {144 + 32 + 4, 4, 7}, {144 + 32 + 8, 8, 0},
    };
    hyp_sidecar *good = NULL;
    uint8_t *head = encode(s);
    assert_int_equal(hyp_sidecar_parse(head, s->data_offset, s->bytes, &good, NULL), HYP_OK);
    assert_false(good->complete);
    hyp_sidecar_free(good);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        uint8_t *copy = malloc(s->data_offset);
        memcpy(copy, head, s->data_offset);
        for (int b = 0; b < cases[c].n; b++)
            copy[cases[c].at + (size_t)b] = (uint8_t)(cases[c].value >> (8 * b));
        hyp_sidecar *parsed = NULL;
        int r = hyp_sidecar_parse(copy, s->data_offset, s->bytes, &parsed, NULL);
        if (r == HYP_OK) fail_msg("case %zu was accepted", c);
        assert_null(parsed);
        free(copy);
    }
    /* The same bytes of the model twice. */
    memcpy(head + hyp_sidecar_record_at(s, 1) + 8, head + hyp_sidecar_record_at(s, 0) + 8, 16);
    assert_refused(head, s->data_offset, s->bytes);
    hyp_sidecar_free(s);
    hyp_model_free(model);
    free(head);
}

/* --- whose it is --- */

static void assert_stale(const hyp_sidecar *s, const hyp_model *model, uint32_t page, const char *why) {
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_sidecar_match(s, model, page, &err), HYP_EINVAL);
    if (strstr(err.message, why) == NULL) fail_msg("\"%s\" does not say \"%s\"", err.message, why);
}

static void another_model_is_noticed(void **state) {
    (void)state;
    const char *path;
    hyp_model *model = fixture_model("identity.gguf", 5, &path), *other = fixture_model("other.gguf", 6, NULL);
    hyp_sidecar *s = complete_layout(model);
    assert_int_equal(hyp_sidecar_match(s, model, PAGE, NULL), HYP_OK);
    assert_stale(s, model, 16384, "pages");
    s->files[0].bytes++;
    assert_stale(s, model, PAGE, "size");
    s->files[0].bytes--;
    s->digest[3] = s->digest[3] == 'a' ? 'b' : 'a';
    assert_stale(s, model, PAGE, "another");
    hyp_sidecar_free(s);
    s = complete_layout(model);
    hyp_sidecar *others = complete_layout(other);
    others->files[0] = s->files[0];
    assert_stale(others, model, PAGE, "another");
    struct timespec times[2] = {{0, UTIME_OMIT}, {1234567890, 5}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    assert_stale(s, model, PAGE, "written to");
    hyp_sidecar_free(s);
    hyp_sidecar_free(others);
    hyp_model_free(model);
    hyp_model_free(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_slice_has_a_place),     cmocka_unit_test(a_model_without_experts_is_cut_by_layers),
        cmocka_unit_test(what_is_written_is_read),     cmocka_unit_test(any_changed_byte_is_noticed),
        cmocka_unit_test(hostile_numbers_are_refused), cmocka_unit_test(another_model_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

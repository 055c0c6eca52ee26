#include "../test.h"

#include "base/mem.h"
#include "gguf/model.h"
#include "sample.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static hyp_model *open_good(const char *path) {
    hyp_model *model = NULL;
    hyp_err err = HYP_ERR_NONE;
    if (hyp_model_open(path, &model, &err) != HYP_OK) fail_msg("%s", err.message);
    return model;
}

/* The failure's message; its code and a hint are asserted. */
static const char *refusal(const char *path, int code) {
    static hyp_err err;
    hyp_model *model = NULL;
    err = HYP_ERR_NONE;
    assert_int_equal(hyp_model_open(path, &model, &err), code);
    assert_int_equal(err.code, code);
    assert_null(model);
    assert_true(err.hint[0] != '\0');
    return err.message;
}

static void a_model_is_described(void **state) {
    (void)state;
    sample s = sample_new();
    sample_moe_tensors(&s);
    hyp_model *m = open_good(sample_write(&s, "moe.gguf"));
    assert_string_equal(m->arch, "qwen3moe");
    assert_string_equal(m->name, "Sample?model ?");
    assert_string_equal(m->quant, "Q8_0");
    assert_int_equal(m->n_layers, 2);
    assert_int_equal(m->n_experts, 4);
    assert_int_equal(m->n_experts_used, 2);
    assert_int_equal(m->n_vocab, 8);
    assert_int_equal(m->n_embd, 64);
    assert_int_equal(m->n_ctx_train, 4096);
    assert_int_equal(m->n_tensors, 20);
    assert_int_equal(m->n_files, 1);
    assert_true(m->bytes == m->files[0].bytes);
    assert_int_equal(strlen(m->digest), 64);

    uint64_t sum = 0, at = m->files[0].data_offset;
    for (size_t i = 0; i < m->n_tensors; i++) {
        const hyp_tensor *t = &m->tensors[i];
        assert_true(t->offset == at);
        at += (t->bytes + 31) / 32 * 32;
        sum += t->bytes;
        assert_ptr_equal(hyp_model_tensor(m, t->name), t);
    }
    assert_true(sum == m->tensor_bytes);
    assert_null(hyp_model_tensor(m, "blk.0.nothing"));

    const hyp_tensor *up = hyp_model_tensor(m, "blk.1.ffn_up_exps.weight");
    assert_int_equal(up->role, HYP_ROLE_ROUTED_EXPERT);
    assert_int_equal(up->layer, 1);
    assert_int_equal(up->n_experts, 4);
    assert_true(up->expert_bytes == 96 * 64 / 32 * 34 && up->bytes == 4 * up->expert_bytes);
    assert_true(hyp_tensor_touched_bytes(m, up) == 2 * up->expert_bytes);
    assert_int_equal(hyp_model_tensor(m, "blk.1.ffn_down_exps.bias")->n_experts, 4);
    assert_int_equal(hyp_model_tensor(m, "blk.1.ffn_down_exps.bias")->expert_bytes, 256);
    assert_int_equal(hyp_model_tensor(m, "blk.1.ffn_down_exps.scale")->expert_bytes, 4);
    const hyp_tensor *embedding = hyp_model_tensor(m, "token_embd.weight");
    assert_int_equal(embedding->layer, -1);
    assert_true(hyp_tensor_touched_bytes(m, embedding) == embedding->bytes); /* there is no output: it is that too */
    hyp_model_free(m);
}

static void metadata_is_looked_up(void **state) {
    (void)state;
    sample s = sample_new();
    const uint32_t heads[] = {8, 4};
    gguf_set_arr_data(s.gguf, "qwen3moe.attention.head_count", GGUF_TYPE_UINT32, heads, 2);
    gguf_set_val_f32(s.gguf, "qwen3moe.odd", __builtin_nanf(""));
    sample_moe_tensors(&s);
    hyp_model *m = open_good(sample_write(&s, "meta.gguf"));
    assert_int_equal(hyp_model_meta_u64(m, "%s.embedding_length", 0), 64);
    assert_int_equal(hyp_model_meta_u64(m, "qwen3moe.embedding_length", 0), 64);
    assert_int_equal(hyp_model_meta_u64(m, "%s.attention.head_count", 0), 8);
    assert_int_equal(hyp_model_meta_u64_at(m, "%s.attention.head_count", 1, 0), 4);
    assert_int_equal(hyp_model_meta_u64_at(m, "%s.attention.head_count", 2, 77), 77);
    assert_int_equal(hyp_model_meta_u64_at(m, "%s.embedding_length", 9, 0), 64); /* a scalar is every layer's */
    assert_int_equal(hyp_model_meta_u64(m, "%s.missing", 5), 5);
    assert_int_equal(hyp_model_meta_u64(m, "%s.negative", 5), 5);
    assert_int_equal(hyp_model_meta_u64(m, "general.name", 5), 5);
    assert_int_equal(hyp_model_meta_u64(m, "tokenizer.ggml.tokens", 5), 5);
    assert_true(hyp_model_meta_f64(m, "%s.rope.freq_base", 0) == 10000.0);
    assert_true(hyp_model_meta_f64(m, "%s.negative", 0) == -3.0);
    assert_true(hyp_model_meta_f64(m, "%s.odd", 1.5) == 1.5);
    assert_string_equal(hyp_model_meta_str(m, "general.architecture", ""), "qwen3moe");
    assert_string_equal(hyp_model_meta_str(m, "%s.embedding_length", "none"), "none");
    hyp_model_free(m);
}

static void the_digest_is_the_contents(void **state) {
    (void)state;
    char first[65];
    sample s = sample_new();
    sample_moe_tensors(&s);
    const char *path = sample_write(&s, "one.gguf");
    hyp_model *m = open_good(path);
    memcpy(first, m->digest, sizeof first);
    uint64_t end = m->bytes, last = m->tensors[m->n_tensors - 1].offset;
    hyp_model_free(m);

    s = sample_new();
    sample_moe_tensors(&s);
    m = open_good(sample_write(&s, "another.gguf"));
    assert_string_equal(m->digest, first);
    hyp_model_free(m);

    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    assert_int_equal(fseek(f, (long)last, SEEK_SET), 0);
    assert_int_equal(fputc('x', f), 'x');
    fclose(f);
    m = open_good(path);
    assert_true(m->bytes == end);
    assert_string_not_equal(m->digest, first);
    hyp_model_free(m);
}

static void prediction_layers_are_not_touched(void **state) {
    (void)state;
    sample s = sample_new();
    gguf_set_val_u32(s.gguf, "qwen3moe.nextn_predict_layers", 1);
    sample_moe_tensors(&s);
    sample_tensor(&s, "output.weight", GGML_TYPE_Q8_0, 64, 8, 1);
    hyp_model *m = open_good(sample_write(&s, "nextn.gguf"));
    assert_int_equal(m->n_layers, 2);
    assert_int_equal(m->n_layers_nextn, 1);
    assert_true(hyp_tensor_touched_bytes(m, hyp_model_tensor(m, "blk.0.attn_q.weight")) == 64 * 64 / 32 * 34);
    assert_true(hyp_tensor_touched_bytes(m, hyp_model_tensor(m, "blk.1.attn_q.weight")) == 0);
    assert_true(hyp_tensor_touched_bytes(m, hyp_model_tensor(m, "token_embd.weight")) == 64 / 32 * 34);
    hyp_model_free(m);
}

/* Write part `no` of `count` with the tensors of one layer each; part 0 holds only metadata. */
static const char *write_part(const char *stem, uint16_t no, uint16_t count, int32_t n_tensors) {
    char name[96];
    sample s = sample_new();
    gguf_set_val_u16(s.gguf, "split.no", no);
    gguf_set_val_u16(s.gguf, "split.count", count);
    gguf_set_val_i32(s.gguf, "split.tensors.count", n_tensors);
    if (no > 0) {
        snprintf(name, sizeof name, "blk.%d.attn_q.weight", no - 1);
        sample_tensor(&s, name, GGML_TYPE_Q8_0, 64, 64, 1);
    }
    snprintf(name, sizeof name, "%s-%05d-of-%05d.gguf", stem, no + 1, count);
    return sample_write(&s, name);
}

static void parts_become_one_model(void **state) {
    (void)state;
    const char *first = write_part("split", 0, 3, 2);
    write_part("split", 1, 3, 2);
    const char *last = write_part("split", 2, 3, 2);
    hyp_model *m = open_good(first);
    assert_int_equal(m->n_files, 3);
    assert_int_equal(m->n_tensors, 2);
    assert_int_equal(m->tensors[1].file, 2);
    assert_string_equal(m->files[2].path, last);
    assert_true(m->bytes == m->files[0].bytes + m->files[1].bytes + m->files[2].bytes);
    assert_true(m->tensors[1].offset == m->files[2].data_offset);
    hyp_model_free(m);
    assert_non_null(strstr(refusal(last, HYP_EFORMAT), "part 3 of 3"));
}

static void parts_that_do_not_fit_are_refused(void **state) {
    (void)state;
    const char *first = write_part("gone", 0, 2, 1);
    assert_non_null(strstr(refusal(first, HYP_EFORMAT), "part 2 of 2 is missing"));
    first = write_part("count", 0, 2, 7);
    write_part("count", 1, 2, 7);
    assert_non_null(strstr(refusal(first, HYP_EFORMAT), "announces 7 tensors"));
    first = write_part("swapped", 0, 3, 2);
    const char *second = write_part("swapped", 1, 3, 2), *third = write_part("swapped", 2, 3, 2);
    assert_int_equal(rename(second, third), 0);
    write_part("swapped", 1, 3, 2);
    assert_non_null(strstr(refusal(first, HYP_EFORMAT), "says that it is part 2 of 3"));
    const char *misnamed = sample_path("whole.gguf");
    assert_int_equal(rename(first, misnamed), 0);
    assert_non_null(strstr(refusal(misnamed, HYP_EFORMAT), "not named so"));
}

static void what_is_no_model_is_refused(void **state) {
    (void)state;
    assert_non_null(strstr(refusal(sample_path("missing.gguf"), HYP_ENOTFOUND), "No such file"));
    assert_non_null(strstr(refusal("/tmp", HYP_EFORMAT), "is a folder"));
    assert_non_null(strstr(refusal("/dev/null", HYP_EFORMAT), "not a regular file"));
    const char *pipe = sample_path("pipe.gguf");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_non_null(strstr(refusal(pipe, HYP_EFORMAT), "not a regular file"));

    sample s = sample_new();
    assert_non_null(strstr(refusal(sample_write(&s, "vocabulary.gguf"), HYP_EFORMAT), "holds no tensors"));
    s = sample_new();
    gguf_set_val_str(s.gguf, "general.architecture", "clip");
    assert_non_null(strstr(refusal(sample_write(&s, "clip.gguf"), HYP_EFORMAT), "projector"));
    s = sample_new();
    gguf_remove_key(s.gguf, "general.architecture");
    assert_non_null(strstr(refusal(sample_write(&s, "no-arch.gguf"), HYP_EFORMAT), "architecture"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_is_described),       cmocka_unit_test(metadata_is_looked_up),
        cmocka_unit_test(the_digest_is_the_contents), cmocka_unit_test(prediction_layers_are_not_touched),
        cmocka_unit_test(parts_become_one_model),     cmocka_unit_test(parts_that_do_not_fit_are_refused),
        cmocka_unit_test(what_is_no_model_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

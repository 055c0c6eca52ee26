#include "../test.h"

#include "base/mem.h"
#include "gguf/model.h"

#include <string.h>

static void names_have_roles(void **state) {
    (void)state;
    static const struct {
        const char *name;
        hyp_role role;
    } cases[] = {
        {"token_embd.weight", HYP_ROLE_EMBEDDING},
        {"per_layer_token_embd.weight", HYP_ROLE_EMBEDDING},
        {"blk.61.nextn.embed_tokens.weight", HYP_ROLE_EMBEDDING},
        {"output.weight", HYP_ROLE_OUTPUT},
        {"cls.output.weight", HYP_ROLE_OUTPUT},
        {"blk.61.nextn.shared_head_head.weight", HYP_ROLE_OUTPUT},
        {"output_norm.weight", HYP_ROLE_NORM},
        {"token_embd_norm.bias", HYP_ROLE_NORM},
        {"rope_freqs.weight", HYP_ROLE_NORM},
        {"rope_factors_long.weight", HYP_ROLE_NORM},
        {"blk.0.rope_factors_short.weight", HYP_ROLE_NORM},
        {"blk.0.attn_norm.weight", HYP_ROLE_NORM},
        {"blk.11.attn_q_norm.weight", HYP_ROLE_NORM},
        {"blk.0.ffn_norm_exps.weight", HYP_ROLE_NORM},
        {"blk.0.attn_kv_a_norm.weight", HYP_ROLE_NORM},
        {"blk.0.ssm_norm.weight", HYP_ROLE_NORM},
        {"blk.61.nextn.enorm.weight", HYP_ROLE_NORM},
        {"enc.blk.3.attn_norm.weight", HYP_ROLE_NORM},
        {"blk.0.attn_q.weight", HYP_ROLE_ATTENTION},
        {"blk.0.attn_q.bias", HYP_ROLE_ATTENTION},
        {"blk.0.attn_qkv.weight", HYP_ROLE_ATTENTION},
        {"blk.0.attn_kv_a_mqa.weight", HYP_ROLE_ATTENTION},
        {"blk.0.attn_k_b.weight", HYP_ROLE_ATTENTION},
        {"blk.0.attn_sinks.weight", HYP_ROLE_ATTENTION},
        {"blk.0.attn_gate.weight", HYP_ROLE_ATTENTION},
        {"blk.0.indexer.attn_q_b.weight", HYP_ROLE_ATTENTION},
        {"blk.0.indexer_compressor_kv.weight", HYP_ROLE_ATTENTION},
        {"dec.blk.0.cross_attn_q.weight", HYP_ROLE_ATTENTION},
        {"blk.0.ssm_a", HYP_ROLE_RECURRENT},
        {"blk.0.ssm_in.weight", HYP_ROLE_RECURRENT},
        {"blk.0.ssm_conv1d.bias", HYP_ROLE_RECURRENT},
        {"blk.0.ssm_beta.weight", HYP_ROLE_RECURRENT},
        {"blk.0.time_mix_key.weight", HYP_ROLE_RECURRENT},
        {"blk.0.shortconv.in_proj.weight", HYP_ROLE_RECURRENT},
        {"blk.0.channel_mix_lerp_k.weight", HYP_ROLE_RECURRENT},
        {"blk.0.channel_mix_key.weight", HYP_ROLE_FFN_UP},
        {"blk.0.ffn_gate_inp.weight", HYP_ROLE_ROUTER},
        {"blk.0.ffn_gate_inp.bias", HYP_ROLE_ROUTER},
        {"blk.0.exp_probs_b.bias", HYP_ROLE_ROUTER},
        {"blk.0.ffn_gate_tid2eid.weight", HYP_ROLE_ROUTER},
        {"blk.0.ffn_gate_inp_shexp.weight", HYP_ROLE_SHARED_EXPERT},
        {"blk.0.ffn_down_shexp.weight", HYP_ROLE_SHARED_EXPERT},
        {"blk.0.ffn_gate_exps.weight", HYP_ROLE_ROUTED_EXPERT},
        {"blk.0.ffn_gate_up_exps.weight", HYP_ROLE_ROUTED_EXPERT},
        {"blk.0.ffn_down_exps.bias", HYP_ROLE_ROUTED_EXPERT},
        {"blk.0.ffn_up_exps.scale", HYP_ROLE_ROUTED_EXPERT},
        {"blk.0.ffn_up_exps.input_scale", HYP_ROLE_ROUTED_EXPERT},
        {"blk.0.ffn_up_chexps.weight", HYP_ROLE_ROUTED_EXPERT},
        {"blk.0.ffn_down.7.weight", HYP_ROLE_ROUTED_EXPERT},
        {"blk.0.ffn_gate.weight", HYP_ROLE_FFN_GATE},
        {"blk.0.ffn_up.bias", HYP_ROLE_FFN_UP},
        {"blk.0.ffn_down.weight", HYP_ROLE_FFN_DOWN},
        {"blk.0.ffn_down.scale", HYP_ROLE_FFN_DOWN},
        {"enc.blk.3.ffn_down.weight", HYP_ROLE_FFN_DOWN},
        {"blk.0.layer_output_scale.weight", HYP_ROLE_OTHER},
        {"blk.0.hc_attn_fn.weight", HYP_ROLE_OTHER},
        {"blk.61.nextn.eh_proj.weight", HYP_ROLE_OTHER},
        {"blk.x.ffn_gate.weight", HYP_ROLE_OTHER},
        {"ffn_gate.weight", HYP_ROLE_OTHER},
        {"blk.", HYP_ROLE_OTHER},
        {".weight", HYP_ROLE_OTHER},
        {"", HYP_ROLE_OTHER},
    };
    for (size_t i = 0; i < HYP_ARRAY_LEN(cases); i++) {
        hyp_role role = hyp_role_of(cases[i].name);
        if (role != cases[i].role) fail_msg("%s is called %s", cases[i].name, hyp_role_name(role));
    }
}

static void every_role_has_a_name(void **state) {
    (void)state;
    for (int a = 0; a < HYP_N_ROLES; a++) {
        assert_true(strlen(hyp_role_name((hyp_role)a)) > 0);
        for (int b = 0; b < a; b++)
            assert_string_not_equal(hyp_role_name((hyp_role)a), hyp_role_name((hyp_role)b));
    }
    assert_string_equal(hyp_role_name(HYP_N_ROLES), "other");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_have_roles), cmocka_unit_test(every_role_has_a_name)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Whole plans for made-up models and machines. */
#include "../test.h"
#include "model.h"
#include "plan/cost_priv.h"
#include "plan/pin.h"
#include "plan/plan.h"

#include <ggml.h>
#include <string.h>

enum { MB = 1000000 };
static const test_shape dense_shape = {"llama", 16, 1024, 16, 4, 8192, 0, 0, 2048, false};
static const test_shape moe_shape = {"qwen3moe", 12, 1024, 16, 4, 1024, 32, 4, 2048, false};

static hyp_hardware machine(uint64_t ram) {
    hyp_hardware hw;
    hyp_hardware_default(&hw);
    hw.ram_budget_bytes = hw.ram_available_bytes = ram;
    return hw;
}

static void add_gpu(hyp_hardware *hw, const char *name, hyp_device_kind kind, uint64_t bytes, double rate) {
    hyp_device *d = &hw->devices[hw->n_devices++];
    *d = (hyp_device){.kind = kind,
                      .total_bytes = bytes,
                      .free_bytes = bytes,
                      .weight_bytes_per_s = rate,
                      .flop_per_s = rate * 100,
                      .copy_bytes_per_s = 10e9,
                      .hop_s = 2e-5};
    strcpy(d->name, name);
}

/* What holds for every plan: its parts make up the budget, every byte has a tier, devices hold what they can. */
static void check(const hyp_model *m, const hyp_hardware *hw, const hyp_plan *p) {
    uint64_t ram = p->pinned_bytes + p->cache_bytes + p->kv_bytes + p->compute_bytes + p->overhead_bytes, weights = 0;
    for (size_t d = 0; d < p->n_devices; d++) {
        assert_true(p->device_bytes[d] <= hw->devices[d].free_bytes);
        if (hw->devices[d].kind == HYP_DEVICE_UNIFIED) ram += p->device_bytes[d];
    }
    if (p->mode != HYP_MODE_MMAP) assert_int_equal(ram + p->spare_bytes, p->budget_bytes);
    for (size_t t = 0; t < HYP_N_TIERS; t++)
        for (size_t r = 0; r < HYP_N_ROLES; r++)
            weights += p->bytes[t][r];
    assert_int_equal(weights, m->tensor_bytes);
    assert_true(p->prediction.decode_tok_per_s > 0 && p->prediction.prefill_tok_per_s > 0 &&
                p->prediction.first_token_s > 0);
    assert_true(p->prediction.decode_tok_per_s <= p->prediction.bound_tok_per_s * (1 + 1e-9));
    assert_true(p->optimal_token_s <= p->greedy_token_s * (1 + 1e-9));
    assert_true(p->reason[0] != '\0' && p->mode != HYP_MODE_AUTO);
}

static hyp_plan *plan(const hyp_model *m, const hyp_hardware *hw, hyp_mode mode) {
    hyp_plan *p = NULL;
    hyp_err err = HYP_ERR_NONE;
    hyp_plan_request request = {.mode = mode, .context_tokens = 1024, .batch_tokens = 64};
    int r = hyp_plan_make(m, hw, &request, &p, &err);
    if (r != HYP_OK) print_message("%s (%s)\n", err.message, err.hint);
    assert_int_equal(r, HYP_OK);
    check(m, hw, p);
    return p;
}

static void what_fits_is_resident(void **state) {
    (void)state;
    hyp_model *m = test_model(&dense_shape);
    hyp_hardware hw = machine(2000ull * MB);
    hyp_plan *p = plan(m, &hw, HYP_MODE_AUTO);
    assert_int_equal(p->mode, HYP_MODE_RESIDENT);
    assert_int_equal(p->cache_bytes, 0);
    assert_true(p->prediction.read_bytes == 0 && p->prediction.hit_rate == 1);
    assert_int_equal(p->prediction.limit == HYP_LIMIT_DISK, 0);
    hyp_plan_free(p);
    hyp_model_free(m);
}

static void experts_stream_through_a_cache(void **state) {
    (void)state;
    hyp_model *m = test_model(&moe_shape);
    hyp_hardware hw = machine(600ull * MB);
    hyp_plan *p = plan(m, &hw, HYP_MODE_AUTO);
    assert_int_equal(p->mode, HYP_MODE_EXPERTS);
    assert_true(p->cache_bytes > 0 && p->cache_bytes < p->streamed_bytes);
    assert_true(p->prediction.hit_rate > 0 && p->prediction.hit_rate < 1);
    for (size_t i = 0; i < m->n_tensors; i++) {
        const hyp_tensor *t = &m->tensors[i];
        hyp_tier wanted = t->role == HYP_ROLE_ROUTED_EXPERT ? HYP_TIER_CACHE
                          : t->role == HYP_ROLE_EMBEDDING   ? HYP_TIER_FILE
                                                            : HYP_TIER_PINNED;
        assert_int_equal(p->tensor_tier[i], wanted);
    }
    /* More memory, a faster disk: never slower. */
    hyp_hardware more = machine(800ull * MB), faster = hw;
    faster.disk_bytes_per_s *= 2;
    hyp_plan *q = plan(m, &more, HYP_MODE_AUTO), *f = plan(m, &faster, HYP_MODE_AUTO);
    assert_true(q->prediction.decode_tok_per_s > p->prediction.decode_tok_per_s);
    assert_true(f->prediction.decode_tok_per_s > p->prediction.decode_tok_per_s);
    hyp_plan_free(p), hyp_plan_free(q), hyp_plan_free(f);
    hyp_model_free(m);
}

static void known_uses_raise_the_hit_rate(void **state) {
    (void)state;
    hyp_model *m = test_model(&moe_shape);
    hyp_hardware hw = machine(600ull * MB);
    float uses[12 * 32];
    for (size_t i = 0; i < 12 * 32; i++)
        uses[i] = 1.0f / (float)(1 + i % 32);
    hyp_plan_request request = {.context_tokens = 1024, .batch_tokens = 64, .expert_uses = uses};
    hyp_plan *uniform = plan(m, &hw, HYP_MODE_AUTO), *skewed = NULL;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_plan_make(m, &hw, &request, &skewed, &err), HYP_OK);
    check(m, &hw, skewed);
    assert_true(skewed->prediction.hit_rate > uniform->prediction.hit_rate + 0.1);
    hyp_plan_free(uniform), hyp_plan_free(skewed);
    hyp_model_free(m);
}

static void dense_layers_stay_or_stream_spread_evenly(void **state) {
    (void)state;
    hyp_model *m = test_model(&dense_shape);
    hyp_hardware hw = machine(420ull * MB);
    hyp_plan *p = plan(m, &hw, HYP_MODE_AUTO);
    assert_int_equal(p->mode, HYP_MODE_FFN);
    assert_int_equal(p->n_ffn_pinned + p->n_ffn_streamed, 16);
    assert_true(p->n_ffn_pinned > 0 && p->n_ffn_streamed > 0);
    /* Nowhere do two thirds of the layers in RAM stand on one half of the stack. */
    uint32_t first_half = 0;
    for (size_t l = 0; l < 8; l++)
        first_half += p->bulk_resident[l] == 1;
    assert_true(first_half * 3 <= p->n_ffn_pinned * 2);
    /* With the frames of the plan the stream would pin these very layers: it asks the same function, of frames that the
     * plan has counted at their largest. */
    uint64_t bytes[16];
    bool wanted[16], pinned[16];
    uint32_t n_pinned;
    assert_int_equal(p->units.n_layers, 16);
    for (size_t l = 0; l < 16; l++)
        bytes[l] = p->units.layers[l].frame_bytes;
    hyp_pin_spread(16, p->n_ffn_pinned, wanted);
    for (size_t l = 0; l < 16; l++)
        assert_int_equal(wanted[l], p->bulk_resident[l] == 1);
    /* The pages at the edges of what is always there are planned as overhead (buffers.c). */
    uint64_t edges = 17 * 4 * 8192, frames = p->pinned_bytes + p->cache_bytes + edges - p->units.always_bytes;
    assert_true(hyp_pin_fit(bytes, 16, frames, HYP_PIN_SLOTS, pinned, &n_pinned));
    assert_int_equal(n_pinned, p->n_ffn_pinned);
    assert_memory_equal(pinned, wanted, sizeof pinned);
    hyp_plan_free(p);
    hyp_model_free(m);
}

static void too_little_names_the_least_and_the_least_runs(void **state) {
    (void)state;
    const test_shape shapes[] = {dense_shape, moe_shape};
    for (size_t i = 0; i < 2; i++) {
        hyp_model *m = test_model(&shapes[i]);
        hyp_hardware hw = machine(600ull * MB), tiny = machine(20ull * MB);
        hyp_plan *p = plan(m, &hw, HYP_MODE_AUTO), *q = NULL;
        hyp_err err = HYP_ERR_NONE;
        hyp_plan_request request = {.context_tokens = 1024, .batch_tokens = 64};
        assert_int_equal(hyp_plan_make(m, &tiny, &request, &q, &err), HYP_ENOMEM);
        assert_non_null(strstr(err.hint, "at least"));
        hyp_hardware least = machine(p->least_budget_bytes), below = machine(p->least_budget_bytes - 1);
        hyp_plan *runs = plan(m, &least, HYP_MODE_AUTO);
        assert_int_equal(hyp_plan_make(m, &below, &request, &q, NULL), HYP_ENOMEM);
        hyp_plan_free(runs), hyp_plan_free(p);
        hyp_model_free(m);
    }
}

static void forced_modes_are_obeyed_or_refused(void **state) {
    (void)state;
    hyp_model *m = test_model(&dense_shape);
    hyp_hardware hw = machine(2000ull * MB), small = machine(300ull * MB);
    hyp_plan *p = plan(m, &hw, HYP_MODE_FFN), *q = NULL;
    assert_int_equal(p->mode, HYP_MODE_FFN);
    assert_int_equal(p->n_ffn_streamed, 0); /* everything fits */
    hyp_plan_free(p);
    p = plan(m, &small, HYP_MODE_MMAP);
    assert_int_equal(p->mode, HYP_MODE_MMAP);
    hyp_plan_free(p);
    hyp_err err = HYP_ERR_NONE;
    hyp_plan_request request = {.mode = HYP_MODE_EXPERTS};
    assert_int_equal(hyp_plan_make(m, &hw, &request, &q, &err), HYP_EUNSUPPORTED);
    err = HYP_ERR_NONE;
    request.mode = HYP_MODE_RESIDENT;
    assert_int_equal(hyp_plan_make(m, &small, &request, &q, &err), HYP_ENOMEM);
    hyp_model_free(m);
}

static void a_large_gpu_takes_everything(void **state) {
    (void)state;
    hyp_model *m = test_model(&dense_shape);
    hyp_hardware hw = machine(300ull * MB);
    add_gpu(&hw, "GPU0", HYP_DEVICE_GPU, 8000ull * MB, 300e9);
    hyp_plan *p = plan(m, &hw, HYP_MODE_AUTO);
    assert_int_equal(p->mode, HYP_MODE_RESIDENT);
    assert_int_equal(p->n_gpu_layers, 17);
    assert_int_equal(p->pinned_bytes, 0);
    hyp_plan_free(p);
    hyp_model_free(m);
}

/* Neither GPU holds the model, both together do: all of it is there, and the faster one is as full as layers can make
 * it. */
static void unequal_gpus_get_what_they_hold(void **state) {
    (void)state;
    hyp_model *m = test_model(&dense_shape);
    for (int slow = 0; slow < 2; slow++) {
        hyp_hardware hw = machine(2000ull * MB);
        add_gpu(&hw, "GPU0", HYP_DEVICE_GPU, slow == 0 ? 800ull * MB : 600ull * MB, slow == 0 ? 100e9 : 300e9);
        add_gpu(&hw, "GPU1", HYP_DEVICE_GPU, slow == 0 ? 600ull * MB : 800ull * MB, slow == 0 ? 300e9 : 100e9);
        hyp_plan *p = plan(m, &hw, HYP_MODE_AUTO);
        assert_int_equal(p->mode, HYP_MODE_RESIDENT);
        assert_int_equal(p->n_gpu_layers, 17);
        assert_true(p->tensor_split[0] > 0 && p->tensor_split[1] > 0);
        assert_int_equal((int)(p->tensor_split[0] + p->tensor_split[1]), p->n_gpu_layers);
        for (uint32_t l = 0; l < p->n_layers; l++) /* contiguous, in the devices' order */
            assert_int_equal(p->layer_site[l], l < (uint32_t)p->tensor_split[0] ? 1 : 2);
        int fast = 1 - slow;
        uint64_t layer = (m->tensor_bytes - hyp_model_tensor(m, "token_embd.weight")->bytes) / 16;
        assert_true(p->device_bytes[fast] + 2 * layer > hw.devices[fast].free_bytes - 128ull * MB);
        hyp_plan_free(p);
    }
    hyp_model_free(m);
}

/* One capacity: what is on the device is taken off the budget; with memory of its own the same device takes everything.
 */
static void unified_memory_counts_once(void **state) {
    (void)state;
    hyp_model *m = test_model(&dense_shape);
    hyp_hardware hw = machine(700ull * MB);
    add_gpu(&hw, "IGPU", HYP_DEVICE_UNIFIED, 700ull * MB, 60e9);
    hyp_plan *p = plan(m, &hw, HYP_MODE_AUTO);
    assert_true(p->n_gpu_layers > 0);
    assert_int_equal(p->pinned_bytes + p->cache_bytes + p->kv_bytes + p->compute_bytes + p->overhead_bytes +
                         p->device_bytes[0] + p->spare_bytes,
                     700ull * MB);
    hw.devices[0].kind = HYP_DEVICE_GPU;
    hw.devices[0].free_bytes = 1400ull * MB;
    hyp_plan *own = plan(m, &hw, HYP_MODE_AUTO);
    assert_int_equal(own->n_gpu_layers, 17);
    assert_int_equal(own->spare_bytes, 700ull * MB - own->compute_bytes - own->overhead_bytes - own->pinned_bytes);
    /* Too little for both: a device that shares the budget does not help out. */
    hw.devices[0].kind = HYP_DEVICE_UNIFIED;
    hw.ram_budget_bytes = own->least_budget_bytes;
    hyp_plan *none = NULL;
    hyp_err err = HYP_ERR_NONE;
    hyp_plan_request request = {.context_tokens = 1024, .batch_tokens = 64};
    assert_int_equal(hyp_plan_make(m, &hw, &request, &none, &err), HYP_ENOMEM);
    hyp_plan_free(p), hyp_plan_free(own);
    hyp_model_free(m);
}

/* Another machine is worth its network: over a slow one the activations of a batch and the logits of a token take
 * longer. */
static void a_slow_network_keeps_layers_at_home(void **state) {
    (void)state;
    hyp_model *m = test_model(&dense_shape);
    hyp_hardware hw = machine(2000ull * MB);
    add_gpu(&hw, "RPC0", HYP_DEVICE_REMOTE, 8000ull * MB, 30e9);
    hyp_plan *fast = plan(m, &hw, HYP_MODE_AUTO);
    assert_int_equal(fast->n_gpu_layers, 17);
    hw.devices[0].copy_bytes_per_s = 100e6;
    hyp_plan *slower = plan(m, &hw, HYP_MODE_AUTO);
    assert_int_equal(slower->n_gpu_layers, 17);
    double crossing_s = 4.0 * (m->n_embd + m->n_vocab) * (1 / 100e6 - 1 / 10e9);
    double longer_s = slower->prediction.compute_s - fast->prediction.compute_s;
    assert_true(longer_s > 0.999 * crossing_s && longer_s < 1.001 * crossing_s);
    assert_true(slower->prediction.first_token_s - fast->prediction.first_token_s > 512 * 4.0 * m->n_embd / 110e6);
    assert_true(slower->prediction.load_s > fast->prediction.load_s + 0.9 * (double)m->tensor_bytes / 110e6);
    hw.devices[0].copy_bytes_per_s = 50e3;
    hyp_plan *none = plan(m, &hw, HYP_MODE_AUTO);
    assert_int_equal(none->n_gpu_layers, 0);
    hyp_plan_free(fast), hyp_plan_free(slower), hyp_plan_free(none);
    hyp_model_free(m);
}

static void three_tiers_share_a_mixture_of_experts(void **state) {
    (void)state;
    hyp_model *m = test_model(&moe_shape);
    hyp_hardware hw = machine(450ull * MB);
    add_gpu(&hw, "GPU0", HYP_DEVICE_GPU, 400ull * MB, 200e9);
    hyp_plan *p = plan(m, &hw, HYP_MODE_AUTO);
    assert_int_equal(p->mode, HYP_MODE_EXPERTS);
    assert_true(p->n_gpu_layers > 0 && p->cache_bytes > 0);
    hyp_hardware bare = machine(450ull * MB);
    hyp_plan *q = plan(m, &bare, HYP_MODE_AUTO);
    assert_true(p->prediction.decode_tok_per_s >= q->prediction.decode_tok_per_s);
    hyp_plan_free(p), hyp_plan_free(q);
    hyp_model_free(m);
}

/* Sequences with a context each take its memory each; those that share one take it once. */
static void a_shared_context_is_paid_once(void **state) {
    (void)state;
    hyp_model *m = test_model(&dense_shape);
    hyp_hardware hw = machine(2000ull * MB);
    hyp_plan *p[3] = {NULL};
    const hyp_plan_request requests[3] = {{.context_tokens = 1024},
                                          {.context_tokens = 1024, .n_parallel = 4},
                                          {.context_tokens = 1024, .n_parallel = 4, .shared_context = true}};
    for (int i = 0; i < 3; i++)
        assert_int_equal(hyp_plan_make(m, &hw, &requests[i], &p[i], NULL), HYP_OK);
    assert_int_equal(p[1]->kv_bytes, 4 * p[0]->kv_bytes);
    assert_int_equal(p[2]->kv_bytes, p[0]->kv_bytes);
    assert_int_equal(p[2]->request.n_parallel, 4);
    for (int i = 0; i < 3; i++)
        hyp_plan_free(p[i]);
    hyp_model_free(m);
}

/* Buffers that a context was found to take: planned with as they are, and with narrower batches where those fit. */
static void found_buffers_are_planned_with(void **state) {
    (void)state;
    hyp_model *m = test_model(&moe_shape);
    hyp_hardware hw = machine(2000ull * MB);
    hyp_plan_request request = {.mode = HYP_MODE_EXPERTS, .context_tokens = 1024, .batch_tokens = 512};
    hyp_plan *first = NULL, *again = NULL;
    assert_int_equal(hyp_plan_make(m, &hw, &request, &first, NULL), HYP_OK);
    request.compute_scale = 2.5;
    assert_int_equal(hyp_plan_make(m, &hw, &request, &again, NULL), HYP_OK);
    assert_int_equal(again->compute_bytes, (uint64_t)(2.5 * (double)first->compute_bytes));
    assert_int_equal(again->ubatch_tokens, first->ubatch_tokens);
    check(m, &hw, again);
    hyp_plan_free(again);
    hw = machine(first->pinned_bytes + first->cache_bytes + first->kv_bytes + first->compute_bytes +
                 first->overhead_bytes);
    assert_int_equal(hyp_plan_make(m, &hw, &request, &again, NULL), HYP_OK);
    assert_true(again->ubatch_tokens < first->ubatch_tokens || again->cache_bytes < first->cache_bytes);
    check(m, &hw, again);
    hyp_plan_free(first), hyp_plan_free(again);
    hyp_model_free(m);
}

static void tied_embeddings_are_pinned_once(void **state) {
    (void)state;
    test_shape tied = dense_shape;
    tied.tied = true;
    hyp_model *m = test_model(&tied);
    hyp_hardware hw = machine(420ull * MB);
    hyp_plan *p = plan(m, &hw, HYP_MODE_AUTO);
    for (size_t i = 0; i < m->n_tensors; i++)
        if (m->tensors[i].role == HYP_ROLE_EMBEDDING) assert_int_equal(p->tensor_tier[i], HYP_TIER_PINNED);
    hyp_plan_free(p);
    hyp_model_free(m);
}

static void distinct_experts_follow_their_formula(void **state) {
    (void)state;
    assert_true(hyp_cost_distinct_experts(8, 2, 1) > 1.999 && hyp_cost_distinct_experts(8, 2, 1) < 2.001);
    assert_true(hyp_cost_distinct_experts(8, 2, 1000) > 7.999);
    assert_true(hyp_cost_distinct_experts(0, 0, 10) == 0);
    assert_true(hyp_cost_distinct_experts(4, 8, 1) == 4);
}

static hyp_prediction predict(const hyp_model *m, const hyp_hardware *hw, const hyp_plan *p, hyp_plan_run run) {
    hyp_prediction ret;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_plan_predict(m, hw, p, &run, &ret, &err), HYP_OK);
    return ret;
}

static void assert_near(double a, double b) {
    if (!(a >= b * 0.99999 && a <= b * 1.00001)) fail_msg("%.9g is not %.9g", a, b);
}

/* The one predictor: before a run, and beside its measurement. */
static void a_run_as_planned_is_predicted_like_its_plan(void **state) {
    (void)state;
    const struct {
        const test_shape *shape;
        uint64_t ram;
        hyp_mode mode;
    } cases[] = {{&dense_shape, 2000ull * MB, HYP_MODE_RESIDENT},
                 {&dense_shape, 420ull * MB, HYP_MODE_FFN},
                 {&moe_shape, 600ull * MB, HYP_MODE_EXPERTS},
                 {&moe_shape, 600ull * MB, HYP_MODE_MMAP}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hyp_model *m = test_model(cases[i].shape);
        hyp_hardware hw = machine(cases[i].ram);
        hyp_plan *p = plan(m, &hw, cases[i].mode);
        hyp_prediction again = predict(m, &hw, p, (hyp_plan_run){0});
        assert_near(again.decode_tok_per_s, p->prediction.decode_tok_per_s);
        assert_near(again.prefill_tok_per_s, p->prediction.prefill_tok_per_s);
        assert_near(again.first_token_s, p->prediction.first_token_s);
        assert_near(again.load_s, p->prediction.load_s);
        assert_true(again.limit == p->prediction.limit);
        hyp_prediction longer = predict(m, &hw, p, (hyp_plan_run){.prompt_tokens = 1000});
        assert_true(longer.first_token_s > again.first_token_s && longer.compute_s > again.compute_s);
        hyp_plan_free(p);
        hyp_model_free(m);
    }
}

static void fewer_frames_are_predicted_slower(void **state) {
    (void)state;
    hyp_model *m = test_model(&moe_shape), *dense = test_model(&dense_shape);
    hyp_hardware hw = machine(600ull * MB), small = machine(420ull * MB);
    hyp_plan *p = plan(m, &hw, HYP_MODE_EXPERTS), *q = plan(dense, &small, HYP_MODE_FFN);
    hyp_plan_run run = {.pinned_bytes = p->pinned_bytes, .cache_bytes = p->cache_bytes};
    hyp_prediction whole = predict(m, &hw, p, run);
    run.cache_bytes /= 2;
    hyp_prediction half = predict(m, &hw, p, run);
    assert_true(half.decode_tok_per_s < whole.decode_tok_per_s);
    assert_true(half.hit_rate < 0.6 * whole.hit_rate && half.hit_rate > 0.4 * whole.hit_rate);
    /* A cache that starts empty holds little of what a short conversation used. */
    run = (hyp_plan_run){.prompt_tokens = 1, .output_tokens = 2};
    hyp_prediction start = predict(m, &hw, p, run);
    assert_true(start.hit_rate < p->prediction.hit_rate);
    run = (hyp_plan_run){.prompt_tokens = 500, .output_tokens = 100};
    assert_near(predict(m, &hw, p, run).hit_rate, p->prediction.hit_rate);
    /* The ring: the layers that the pinned bytes hold, no more. */
    run = (hyp_plan_run){.pinned_bytes = q->pinned_bytes, .cache_bytes = q->cache_bytes};
    assert_near(predict(dense, &small, q, run).read_bytes, q->prediction.read_bytes);
    run.pinned_bytes -= (uint64_t)((double)q->streamed_bytes / q->n_ffn_streamed * 2);
    double two_more = q->prediction.read_bytes * (q->n_ffn_streamed + 2) / q->n_ffn_streamed;
    assert_near(predict(dense, &small, q, run).read_bytes, two_more);
    hyp_plan_free(p), hyp_plan_free(q);
    hyp_model_free(m), hyp_model_free(dense);
}

/* At known rates, what a token costs can be said by hand. */
static void seconds_follow_from_the_rates(void **state) {
    (void)state;
    hyp_model *m = test_model(&dense_shape);
    hyp_hardware hw = machine(4000ull * MB);
    hw.n_rates = 1;
    hw.node_s = 0;
    hw.rates[0] = (hyp_weight_rate){.type = GGML_TYPE_Q8_0,
                                    .decode_bytes_per_s = 1e9,
                                    .repacked_bytes_per_s = 2e9,
                                    .decode_cached_bytes_per_s = 1e9,
                                    .repacked_cached_bytes_per_s = 4e9,
                                    .prefill_flop_per_s = 1e12,
                                    .repacked_flop_per_s = 1e12};
    hyp_plan *p = plan(m, &hw, HYP_MODE_RESIDENT);
    double weights = (double)p->token_bytes, memory = p->prediction.compute_s;
    assert_true(memory > weights / 2e9 && memory < weights / 2e9 * 1.2); /* and the attention over 640 tokens */
    hw.cache_bytes = 4 * p->token_bytes;
    hyp_plan *q = plan(m, &hw, HYP_MODE_RESIDENT);
    double saved = memory - q->prediction.compute_s, expected = weights / 2e9 - weights / 4e9;
    assert_true(saved > expected * 0.99 && saved < expected * 1.01);
    hyp_plan_free(p), hyp_plan_free(q);
    hyp_model_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_resident),
        cmocka_unit_test(experts_stream_through_a_cache),
        cmocka_unit_test(known_uses_raise_the_hit_rate),
        cmocka_unit_test(dense_layers_stay_or_stream_spread_evenly),
        cmocka_unit_test(too_little_names_the_least_and_the_least_runs),
        cmocka_unit_test(forced_modes_are_obeyed_or_refused),
        cmocka_unit_test(a_large_gpu_takes_everything),
        cmocka_unit_test(unequal_gpus_get_what_they_hold),
        cmocka_unit_test(unified_memory_counts_once),
        cmocka_unit_test(a_slow_network_keeps_layers_at_home),
        cmocka_unit_test(three_tiers_share_a_mixture_of_experts),
        cmocka_unit_test(a_shared_context_is_paid_once),
        cmocka_unit_test(found_buffers_are_planned_with),
        cmocka_unit_test(tied_embeddings_are_pinned_once),
        cmocka_unit_test(distinct_experts_follow_their_formula),
        cmocka_unit_test(a_run_as_planned_is_predicted_like_its_plan),
        cmocka_unit_test(fewer_frames_are_predicted_slower),
        cmocka_unit_test(seconds_follow_from_the_rates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* plan.h - how a model will run on a machine: the mode, where every tensor lies, what fits, and how fast it will be.
 *
 * Pure data in, immutable plan out: no I/O, no clock, no threads, so that it can plan for a machine that is not there.
 * The same inputs give the same plan. README.md has the formulas. */
#pragma once
#include "gguf/model.h"
#include "plan/mode.h"
#include "plan/tier.h"
#include "plan/units.h"

typedef struct hyp_plan_request {
    hyp_mode mode;            /* HYP_MODE_AUTO or what the user forces */
    uint64_t ram_bytes;       /* 0: hardware->ram_budget_bytes */
    uint64_t vram_bytes;      /* of each device at most; 0: what is free less a headroom */
    uint32_t context_tokens;  /* per sequence; 0 = 4096 */
    uint32_t n_parallel;      /* sequences; 0 = 1 */
    bool shared_context;      /* the sequences share context_tokens: of embeddings */
    uint32_t batch_tokens;    /* widest batch wanted; 0 = 512 */
    int kv_type_k, kv_type_v; /* enum ggml_type; 0 (which is F32) stands for F16 */
    bool swa_full;            /* the engine keeps full caches for sliding-window layers */
    double compute_scale;     /* of compute buffers to their estimate, once a context has told; 0 = 1 */
    bool no_repack;           /* resident mode without repacked weights */
    uint32_t prompt_tokens;   /* for the time to the first token; 0 = 512 */
    uint32_t output_tokens;   /* for the length of the conversation; 0 = 256 */
    const float *expert_uses; /* expected uses of an expert a token, n_layers * n_experts, or NULL: all alike */
    double time_limit_s;      /* for the optimiser; 0 = 2 */
} hyp_plan_request;

typedef enum hyp_limit { HYP_LIMIT_COMPUTE, HYP_LIMIT_MEMORY, HYP_LIMIT_DISK } hyp_limit;

typedef struct hyp_prediction {
    double decode_tok_per_s, prefill_tok_per_s;
    double first_token_s; /* of prompt_tokens, after loading */
    double load_s;
    double compute_s, read_s; /* of one token */
    double read_bytes;        /* of one token, from the SSD */
    double hit_rate;          /* of streamed bytes; 1 when nothing streams */
    double bound_tok_per_s;   /* 1 / max(compute_s, read_s): what perfect overlap would give */
    hyp_limit limit;
} hyp_prediction;

typedef struct hyp_plan {
    hyp_mode mode; /* never HYP_MODE_AUTO */
    char reason[200];
    /* the RAM budget: its parts add up to budget_bytes */
    uint64_t budget_bytes;
    uint64_t pinned_bytes;   /* weights pinned in host RAM */
    uint64_t cache_bytes;    /* for streamed units, frames in flight included; the pager's budget is pinned + cache */
    uint64_t kv_bytes;       /* on the host */
    uint64_t compute_bytes;  /* libllama's compute buffers on the host */
    uint64_t overhead_bytes; /* program, vocabulary, tables, output buffers */
    uint64_t spare_bytes;    /* not needed */
    uint64_t least_budget_bytes; /* with less it does not run: in the mode asked for, or in any streaming mode */
    uint64_t streamed_bytes; /* frame bytes of everything that streams: what a cache that misses nothing would take */
    uint64_t token_bytes;    /* weights that one token touches */
    uint32_t context_tokens, n_parallel;
    uint32_t ubatch_tokens; /* widest batch to compute at once */
    /* where it lies */
    uint8_t
        *tensor_tier; /* hyp_tier of model->tensors[i]; experts in a cache that holds them all are HYP_TIER_CACHE too */
    size_t n_tensors;
    uint32_t n_layers;     /* of the model; entry n_layers of the next arrays is the output head */
    uint8_t *layer_site;   /* 0 the CPU, 1 + d: where a layer computes and its KV cache lies */
    uint8_t *bulk_site;    /* 0 the host, 1 + d: its FFN or experts */
    float *bulk_resident;  /* share of a host bulk in RAM (of the cache, for experts) */
    uint32_t n_ffn_pinned; /* mode ffn: FFN layers in RAM, and on the SSD */
    uint32_t n_ffn_streamed;
    hyp_units units;      /* what streams, cut for `mode`; no layer and nothing `always` in modes that do not stream */
    int32_t n_gpu_layers; /* for libllama: the last layers, output head included */
    size_t n_devices;
    float tensor_split[HYP_HARDWARE_MAX_DEVICES];    /* layers a device, in its proportions */
    uint64_t device_bytes[HYP_HARDWARE_MAX_DEVICES]; /* weights, KV and buffers there */
    uint64_t device_kv_bytes[HYP_HARDWARE_MAX_DEVICES];
    uint8_t device_kind[HYP_HARDWARE_MAX_DEVICES]; /* hyp_device_kind */
    uint64_t bytes[HYP_N_TIERS]
                  [HYP_N_ROLES]; /* weights by tier and role, file bytes; CACHE holds what fits, STREAM the rest */
    hyp_prediction prediction;
    double greedy_token_s, optimal_token_s; /* as placed by the greedy and by the mixed integer program */
    bool optimal;                           /* the program proved its optimum */
    hyp_plan_request request; /* what was planned for, defaults filled in; `expert_uses` is the plan's own */
    float *expert_uses;       /* copied from the request, or NULL */
} hyp_plan;

/* A frame is mapped twice, and an entry of a page table is a 512th of its page. */
enum { HYP_PLAN_PAGE_TABLE_SHARE = 256 };

/* Plan `model` on `hardware`. `*ret` is freed with hyp_plan_free(); it refers to neither input. Thread-safe.
 * Errors: HYP_ENOMEM (the budget is too small: the hint names the least; or out of memory), HYP_EUNSUPPORTED (the
 * forced mode has nothing to stream in this model). */
HYP_NODISCARD int hyp_plan_make(const hyp_model *model, const hyp_hardware *hardware, const hyp_plan_request *request,
                                hyp_plan **ret, hyp_err *err);
void hyp_plan_free(hyp_plan *plan);

/* Bytes of weights that lie on devices: of other machines (`remote`), or of this one. Pure. */
uint64_t hyp_plan_device_weights(const hyp_plan *plan, bool remote);

/* Bytes of the weights of layer `layer` by tier; layer n_layers is what belongs to none: the output head and its like.
 * Pure. */
void hyp_plan_layer_bytes(const hyp_model *model, const hyp_plan *plan, uint32_t layer, uint64_t ret[HYP_N_TIERS]);

/* One run of a plan, as it really came about: the engine learns what a context takes only when it has made one. */
typedef struct hyp_plan_run {
    uint32_t prompt_tokens; /* 0: as planned */
    uint32_t output_tokens; /* 0: as planned, and the cache as full as it gets; else it fills up while they are made */
    uint32_t ubatch_tokens; /* widest batch; 0: as planned */
    uint64_t pinned_bytes;  /* frames of what is always in RAM, and for what streams; both 0: as planned */
    uint64_t cache_bytes;
} hyp_plan_run;

/* What the cost model says of `run`: the prediction of hyp_plan_make(), for other lengths, batches and frames. `model`
 * and `hardware` are those that were planned for. Thread-safe. Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_plan_predict(const hyp_model *model, const hyp_hardware *hardware, const hyp_plan *plan,
                                   const hyp_plan_run *run, hyp_prediction *ret, hyp_err *err);

/* "compute", "memory", "disk". */
const char *hyp_limit_name(hyp_limit limit);

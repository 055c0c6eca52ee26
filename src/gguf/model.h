/* model.h - a GGUF model as data: what it is made of and where every byte of it stands.
 *
 * Opening reads only headers (of every part of a split model); no weight is touched, so the cost does not depend on the
 * model's size. The file is untrusted: every count, offset and size is checked against the file before it is believed,
 * and what does not hold is an error with a hint, never a crash. Parsing itself is ggml's gguf.h, behind gguf_check's
 * pre-flight of what that parser would trust. The result is immutable and may be read from any thread. */
#pragma once
#include "base/err.h"
#include "base/mem.h"

typedef enum hyp_role {
    HYP_ROLE_EMBEDDING,     /* token embedding table: one row a token is read (all of it when tied to the output) */
    HYP_ROLE_OUTPUT,        /* the language-model head */
    HYP_ROLE_NORM,          /* every norm's weights and biases, rope factors */
    HYP_ROLE_ATTENTION,     /* projections of softmax attention, MLA's factors and indexers included */
    HYP_ROLE_RECURRENT,     /* linear attention, Mamba, RWKV: state-space and convolution weights */
    HYP_ROLE_ROUTER,        /* ffn_gate_inp and its bias */
    HYP_ROLE_SHARED_EXPERT, /* experts every token runs through (ffn_*_shexp) */
    HYP_ROLE_ROUTED_EXPERT, /* ffn_{gate,up,down,gate_up}_exps: the last dimension counts experts */
    HYP_ROLE_FFN_GATE,      /* dense FFN */
    HYP_ROLE_FFN_UP,
    HYP_ROLE_FFN_DOWN,
    HYP_ROLE_OTHER,
    HYP_N_ROLES,
} hyp_role;

typedef struct hyp_tensor {
    const char *name;
    hyp_role role;
    int layer;     /* from "blk.N.", -1 outside layers */
    int type;      /* enum ggml_type */
    int64_t ne[4]; /* elements, ggml's order: ne[0] runs fastest */
    uint64_t bytes;
    uint32_t n_experts;    /* ROUTED_EXPERT weights and per-expert biases/scales: number of slices; else 0 */
    uint64_t expert_bytes; /* bytes / n_experts, or 0 */
    uint32_t file;         /* index into hyp_model.files */
    uint64_t offset;       /* of the first byte in that file; offset + bytes <= the file's size */
} hyp_tensor;

typedef struct hyp_model_file {
    const char *path;
    uint64_t bytes;
    uint64_t data_offset; /* where tensor data begins */
} hyp_model_file;

struct gguf_context;

typedef struct hyp_model {
    const char *path;  /* as given */
    const char *name;  /* general.name, else the file's name without its ending */
    const char *arch;  /* general.architecture */
    const char *quant; /* general.file_type's name ("Q4_K_M"), else the type holding most bytes */
    uint64_t bytes;    /* of all files */
    uint64_t tensor_bytes;
    uint64_t n_params; /* elements of all tensors */
    uint32_t n_layers; /* <arch>.block_count; every tensor's layer is below it */
    uint32_t
        n_layers_nextn; /* of these, trailing layers for multi-token prediction, which plain decoding does not run */
    uint32_t n_experts; /* 0 for dense models */
    uint32_t n_experts_used;
    uint32_t n_embd, n_vocab, n_ctx_train;
    hyp_tensor *tensors; /* in file order */
    size_t n_tensors;
    hyp_model_file *files;
    size_t n_files;
    struct gguf_context *gguf; /* metadata of the first file */
    char digest[65]; /* hex SHA-256-sized identity: of every file's size and header bytes and samples of tensor
                                  data; stable, cheap (under 10 ms), the same for the same content under any path */
    struct hyp_model_priv *priv;
} hyp_model;

/* Open the model at `path`: a GGUF file, or the first part of a split one ("-00001-of-0000N.gguf"; another part names
 * the first in its hint). Every string and array belongs to the model. The caller frees `*ret` with hyp_model_free().
 * Thread-safe. Errors: HYP_ENOTFOUND, HYP_EIO, HYP_EFORMAT (truncated, corrupt, hostile, not GGUF, an unknown tensor
 * type, a part missing), HYP_ENOMEM. */
HYP_NODISCARD int hyp_model_open(const char *path, hyp_model **ret, hyp_err *err);
void hyp_model_free(hyp_model *model);
HYP_DEFINE_CLEANUP(hyp_model, hyp_model_free)

/* "attention", "routed expert", ... Static storage. */
const char *hyp_role_name(hyp_role role);

/* ggml's name of a tensor's type: "q4_K", "f32". Static storage. */
const char *hyp_tensor_type_name(int type);

/* The role of a tensor by its name ("blk.3.ffn_gate_exps.weight"): pure, for tests and for graphs. */
hyp_role hyp_role_of(const char *tensor_name);

/* Metadata look-up. `key` may begin with "%s.", which stands for the architecture. Integers of every width, and for
 * _f64 floats too; arrays give their first element (per-layer values: _u64_at). `fallback` when absent or of another
 * kind. Only tests need _f64 now. */
uint64_t hyp_model_meta_u64(const hyp_model *model, const char *key, uint64_t fallback);
uint64_t hyp_model_meta_u64_at(const hyp_model *model, const char *key, size_t index, uint64_t fallback);
double hyp_model_meta_f64(const hyp_model *model, const char *key, double fallback);
const char *hyp_model_meta_str(const hyp_model *model, const char *key, const char *fallback);

/* The tensor called `name`, or NULL. O(log n). */
const hyp_tensor *hyp_model_tensor(const hyp_model *model, const char *name);

/* How many bytes of `tensor` decoding one token reads on average: of routed experts the share that is used
 * (expert_used_count / expert_count), of an embedding one row unless it is the output too, of multi-token prediction
 * layers nothing, of everything else all. */
uint64_t hyp_tensor_touched_bytes(const hyp_model *model, const hyp_tensor *tensor);

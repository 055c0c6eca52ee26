/* backend_engine.h - the backend over the real engine. */
#pragma once
#include "engine/setup.h"
#include "session/backend.h"

/* How each model is set up and opened, but for what its request says. */
typedef struct hyp_backend_base {
    hyp_setup_options setup;
    hyp_engine_config engine;
} hyp_backend_base;

extern const hyp_backend_ops hyp_backend_engine_ops;

/* A backend whose engines are opened like `base`, but for model, context, sequences, embeddings and progress, which
 * each request sets. `base` must outlive it. */
static inline hyp_backend hyp_backend_engine(const hyp_backend_base *base) {
    return (hyp_backend){&hyp_backend_engine_ops, (void *)(uintptr_t)base};
}

/* An engine that the caller has opened, as a model of hyp_backend_engine_ops: `*ret_model` ends with close(), which
 * leaves the engine open. Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_backend_engine_borrow(hyp_engine *engine, void **ret_model, hyp_backend_info *ret_info,
                                            hyp_err *err);

/* backend_engine.h - the server's backend over the real engine. */
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

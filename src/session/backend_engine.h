/* backend_engine.h - the server's backend over the real engine. */
#pragma once
#include "session/backend.h"

extern const hyp_backend_ops hyp_backend_engine_ops;

/* A backend whose engines are opened like `base`, but for model, context, sequences, embeddings and progress, which
 * each request sets. `base` must outlive it. */
static inline hyp_backend hyp_backend_engine(const hyp_engine_config *base) {
    return (hyp_backend){&hyp_backend_engine_ops, (void *)(uintptr_t)base};
}

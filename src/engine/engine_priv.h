/* engine_priv.h - what the files of this folder share. */
#pragma once
#include "engine/engine.h"
#include "engine/mirror_priv.h"
#include "engine/offload_priv.h"
#include "hw/hardware.h"
#include "stream/fallback.h"
#include "stream/stream.h"

#include <llama.h>
#include <stdatomic.h>

/* A file's guarded range: what of its mapping stays. */
typedef struct engine_guard {
    int handle;      /* of mapping.h, or -1 */
    uint64_t offset; /* of the range in the file */
} engine_guard;

struct hyp_engine {
    const hyp_model *model;
    hyp_hardware hardware;
    const hyp_setup *setup;
    const hyp_plan *plan; /* the setup's; or `replanned`, where the context has outgrown that */
    hyp_plan *replanned;
    hyp_offload offload;
    struct llama_model *llama;
    struct llama_context *ctx;
    const struct llama_vocab *vocab;
    struct llama_batch batch; /* reused by every decode */
    hyp_engine_info info;
    hyp_stream *stream; /* NULL unless weights are streamed */
    hyp_fallback fallback;
    bool may_fall_back;   /* mode auto: the user did not insist */
    engine_guard *guards; /* one a file: pages that cannot be read */
    hyp_mirrors mirrors;
    bool sidecar_told;
    uint32_t sources_dropped; /* those that were told: bit i = source i */
    void (*warn)(const char *line, void *user);
    void *warn_user;
    atomic_bool interrupted;
    uint64_t read_bytes_at_open, major_faults_at_open;
};

/* Are its weights streamed (until it falls back to mmap)? */
static inline bool hyp_engine_is_streaming(const hyp_engine *e) {
    return hyp_mode_streams(e->info.mode);
}

/* Fill `err` with `code`, the message, and libllama's own words if it said any. Returns `code`. */
int hyp_engine_err(hyp_err *err, int code, const char *message);

/* --- load.c: the weights --- */

/* Map the model through libllama and guard its files, which sets e->llama and e->guards; hyp_engine_unload_model()
 * frees what was made, also after a failure. `ret_bases[i]`: where model->files[i] is mapped, or NULL. Errors:
 * HYP_EENGINE, HYP_ECANCELED (by config->progress), HYP_ENOMEM, and those of hyp_mapping_begin(). */
int hyp_engine_load_model(hyp_engine *e, const hyp_engine_config *config, void **ret_bases, hyp_err *err);
void hyp_engine_unload_model(hyp_engine *e);

/* A page of the mapping could not be read: what was computed since is void. Errors: HYP_EIO. */
int hyp_engine_check_guards(const hyp_engine *e, hyp_err *err);

/* --- context.c: the context, and from what it leaves of the budget, the stream --- */

/* Make e->ctx, e->batch and, where weights are streamed, e->stream over the mappings at `bases`. Where that is too much
 * for the budget, again with narrower batches. hyp_engine_free_context() and hyp_stream_free() free what was made, also
 * after a failure. Errors: HYP_EENGINE, HYP_ENOMEM (the hint names the least budget), those of hyp_stream_new() and
 * hyp_stream_load(). */
int hyp_engine_make_context(hyp_engine *e, const hyp_engine_config *config, void *const *bases, hyp_err *err);
void hyp_engine_free_context(hyp_engine *e);

/* --- replan.c: a context that takes more than planned --- */

/* The context takes `taken_bytes` with all that is not frames. Where that leaves less for frames than the plan has
 * given away, plan again with compute buffers as they are, in the same mode: true, and `e->plan` is another one,
 * perhaps for narrower batches. False: the plan stands; also where no other is possible, and where devices hold a part
 * of the model, which stays where it was loaded. Call it for a context of the plan's own width. */
bool hyp_engine_plan_again(hyp_engine *e, uint64_t taken_bytes);

/* --- sources.c: the model's copies on several disks --- */

/* Check and open the mirrors. Errors: those of hyp_mirrors_open(). */
int hyp_engine_open_mirrors(hyp_engine *e, const hyp_engine_config *config, hyp_err *err);

/* Let pages of file `i` that cannot be read come from the mirrors; `offset` is where the guarded range begins. */
void hyp_engine_guard_copies(hyp_engine *e, size_t i, int handle, uint64_t offset);

/* After reading: has a disk failed? Then see to it that its part is read from another, and say so. */
void hyp_engine_watch_sources(hyp_engine *e);

/* --- vocab.c --- */

/* Would libllama end the process at the first text: no tokenizer at all, or special tokens to add that are not there?
 * Errors: HYP_EFORMAT. */
int hyp_engine_check_vocab(const hyp_engine *e, hyp_err *err);

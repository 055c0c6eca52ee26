/* sequence.c - the context's memory of each sequence: cut, copied, shifted, saved and restored. */
#include "engine/engine_priv.h"

#include "base/mem.h"

bool hyp_engine_seq_truncate(hyp_engine *e, int32_t seq, int32_t from) {
    return llama_memory_seq_rm(llama_get_memory(e->ctx), seq, from <= 0 ? -1 : from, -1);
}

void hyp_engine_seq_copy(hyp_engine *e, int32_t from_seq, int32_t to_seq, int32_t n) {
    /* libllama copies between sequences' separate buffers only whole; what is beyond n is cut off after. */
    llama_memory_seq_cp(llama_get_memory(e->ctx), from_seq, to_seq, -1, -1);
    llama_memory_seq_rm(llama_get_memory(e->ctx), to_seq, n, -1);
}

int32_t hyp_engine_seq_length(const hyp_engine *e, int32_t seq) {
    return llama_memory_seq_pos_max(llama_get_memory(e->ctx), seq) + 1;
}

bool hyp_engine_seq_shift(hyp_engine *e, int32_t seq, int32_t from, int32_t to) {
    llama_memory_t memory = llama_get_memory(e->ctx);
    if (!llama_memory_can_shift(memory) || !llama_memory_seq_rm(memory, seq, from, to)) return false;
    llama_memory_seq_add(memory, seq, to, -1, from - to);
    return true;
}

static llama_state_seq_flags state_flags(bool partial) {
    return partial ? LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY : LLAMA_STATE_SEQ_FLAGS_NONE;
}

int hyp_engine_seq_save(hyp_engine *e, int32_t seq, bool partial, void **ret, size_t *ret_bytes, hyp_err *err) {
    size_t size = llama_state_seq_get_size_ext(e->ctx, seq, state_flags(partial));
    void *data = malloc(HYP_MAX(size, (size_t)1));
    if (data == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for a checkpoint of %zu bytes", size);
    size_t written = llama_state_seq_get_data_ext(e->ctx, data, size, seq, state_flags(partial));
    if (written == 0 && size > 0) {
        free(data);
        return hyp_err_set(err, HYP_EENGINE, "llama.cpp could not save the state of sequence %d", seq);
    }
    *ret = data;
    *ret_bytes = written;
    return HYP_OK;
}

int hyp_engine_seq_restore(hyp_engine *e, int32_t seq, bool partial, const void *data, size_t bytes, hyp_err *err) {
    if (llama_state_seq_set_data_ext(e->ctx, data, bytes, seq, state_flags(partial)) > 0) return HYP_OK;
    return hyp_err_set(err, HYP_EENGINE, "llama.cpp could not restore the state of sequence %d", seq);
}

bool hyp_engine_needs_checkpoints(const hyp_engine *e) {
    return llama_model_is_recurrent(e->llama) || llama_model_is_hybrid(e->llama) || llama_model_n_swa(e->llama) > 0;
}

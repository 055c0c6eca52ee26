/* stats.c - what was measured since the engine was opened, and what the cost model says of it. */
#include "engine/engine_priv.h"

#include "host/process.h"
#include "plan/plan.h"

#include <string.h>

int hyp_engine_predict(const hyp_engine *e, uint32_t prompt_tokens, uint32_t output_tokens, hyp_prediction *ret,
                       hyp_err *err) {
    hyp_plan_run run = {
        .prompt_tokens = prompt_tokens, .output_tokens = output_tokens, .ubatch_tokens = e->info.batch_tokens};
    if (e->stream != NULL) {
        hyp_stream_stats stream;
        hyp_stream_get_stats(e->stream, &stream);
        run.pinned_bytes = stream.pager.pinned_bytes;
        run.cache_bytes = stream.pager.budget_bytes - stream.pager.pinned_bytes;
    }
    return hyp_plan_predict(e->model, &e->hardware, e->plan, &run, ret, err);
}

void hyp_engine_get_stats(hyp_engine *e, hyp_engine_stats *ret) {
    *ret = (hyp_engine_stats){
        .bytes_read = hyp_process_read_bytes() - e->read_bytes_at_open,
        .major_faults = hyp_process_major_faults() - e->major_faults_at_open,
    };
    if (e->stream == NULL) return;
    hyp_stream_stats stream;
    hyp_stream_get_stats(e->stream, &stream);
    const hyp_pager_stats p = stream.pager;
    ret->n_sources = p.io.n_sources;
    memcpy(ret->sources, p.io.sources, sizeof ret->sources);
    ret->demand_bytes = p.io.demand_bytes;
    ret->prefetch_bytes = p.io.prefetch_bytes;
    ret->stall_s = p.stall_s;
    ret->cache_capacity_bytes = p.budget_bytes - p.pinned_bytes;
    ret->pinned_bytes = p.pinned_bytes;
    ret->frame_bytes = p.pinned_bytes + p.cached_bytes;
    ret->hit_bytes = p.hit_bytes;
    ret->miss_bytes = p.miss_bytes;
    ret->evicted_bytes = p.evicted_bytes;
    ret->prefetch_issued_bytes = p.prefetch_issued_bytes;
    ret->prefetch_used_bytes = p.prefetch_used_bytes;
    ret->prefetch_wasted_bytes = p.prefetch_wasted_bytes;
    ret->prefetch_on = stream.prefetch_on;
    ret->prefetch_recall = stream.recall;
    ret->prefetch_precision = stream.precision;
    ret->n_reads = p.io.n_reads;
    ret->sidecar_bytes = p.packed_bytes;
    ret->whole_experts = stream.whole_units && p.packed_bytes > 0;
    if (p.io.busy_s > 0) ret->disk_bytes_per_s = (double)(p.io.demand_bytes + p.io.prefetch_bytes) / p.io.busy_s;
}

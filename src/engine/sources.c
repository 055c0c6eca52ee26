/* sources.c - a model with copies on several disks: what happens when one of them fails.
 *
 * A failed read is repeated by src/io, a page fault on a dead disk is served from a mirror by the guard of the mapping;
 * both go on by themselves. What is left to do here, between two decodes: show a living copy in the mapping instead of
 * a dead primary, and tell the user once. */
#include "engine/engine_priv.h"

#include "base/mem.h"
#include "base/platform.h"
#include "host/mapping.h"

#include <errno.h>
#include <string.h>

static void warn(const hyp_engine *e, const char *line) {
    if (e->warn != NULL) e->warn(line, e->warn_user);
}

int hyp_engine_open_mirrors(hyp_engine *e, const hyp_engine_config *config, hyp_err *err) {
    e->warn = config->warn;
    e->warn_user = config->warn_user;
    int r =
        hyp_mirrors_open(config->model, config->mirrors, config->n_mirrors, config->mirrors_may_lack, &e->mirrors, err);
    if (r != HYP_OK) return r;
    if (e->mirrors.missing[0] != '\0') warn(e, e->mirrors.missing);
    if (e->mirrors.n > 0 && hyp_mode_is_resident(e->info.mode))
        warn(e, "the mirror is not read: the model fits in memory and is loaded by llama.cpp");
    return HYP_OK;
}

void hyp_engine_guard_copies(hyp_engine *e, size_t i, int handle, uint64_t offset) {
    int fds[HYP_MAPPING_MAX_COPIES];
    uint32_t n = HYP_MIN(e->mirrors.n, (uint32_t)HYP_MAPPING_MAX_COPIES);
    for (uint32_t m = 0; m < n; m++)
        fds[m] = e->mirrors.items[m].fds[i];
    hyp_mapping_guard_copies(handle, fds, n, offset);
    if (!hyp_mode_streams(e->info.mode)) hyp_mapping_rescue_whole(handle);
}

const char *hyp_engine_source_path(const hyp_engine *e, uint32_t source) {
    if (source == 0) return e->model->path;
    return source <= e->mirrors.n ? e->mirrors.items[source - 1].path : NULL;
}

static void tell_dropped(hyp_engine *e, uint32_t source, int sys_errno, uint32_t left) {
    char line[400], reason[96];
    e->sources_dropped |= 1u << source;
    const char *text =
        sys_errno == ENODATA ? "it became shorter" : hyp_platform_error_text(sys_errno, reason, sizeof reason);
    snprintf(line, sizeof line, "%s %.120s fails (%s) and is not read any more; going on with %.120s",
             source == 0 ? "the model's disk:" : "the mirror", hyp_engine_source_path(e, source), text,
             hyp_engine_source_path(e, left));
    warn(e, line);
}

/* Once: a packed copy that is there and not used, or not any more. */
static void watch_sidecar(hyp_engine *e) {
    const hyp_err *why;
    char line[400];
    hyp_engine_uses_sidecar(e, NULL, &why);
    if (why == NULL || e->sidecar_told) return;
    e->sidecar_told = true;
    snprintf(line, sizeof line, "the packed copy is not used: %s", why->message);
    warn(e, line);
}

void hyp_engine_watch_sources(hyp_engine *e) {
    watch_sidecar(e);
    if (e->mirrors.n == 0) return;
    bool rescued = false;
    for (size_t i = 0; i < e->model->n_files; i++)
        rescued = rescued || hyp_mapping_rescued(e->guards[i].handle);
    if (e->stream == NULL) {
        if (rescued && (e->sources_dropped & 1) == 0) tell_dropped(e, 0, EIO, 1);
        return;
    }
    hyp_stream_stats stats;
    hyp_stream_get_stats(e->stream, &stats);
    const hyp_io_stats *io = &stats.pager.io;
    if ((e->sources_dropped & 1) == 0 && (rescued || io->sources[0].dropped_errno != 0)) {
        hyp_stream_leave_primary(e->stream, rescued ? EIO : io->sources[0].dropped_errno);
        hyp_stream_get_stats(e->stream, &stats);
    }
    uint32_t left = 0;
    while (left < io->n_sources && io->sources[left].dropped_errno != 0)
        left++;
    for (uint32_t i = 0; i < io->n_sources; i++)
        if (io->sources[i].dropped_errno != 0 && (e->sources_dropped >> i & 1) == 0)
            tell_dropped(e, i, io->sources[i].dropped_errno, left);
}

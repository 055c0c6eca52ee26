#include "cli/status.h"

#include "base/text.h"
#include "cli/terminal.h"
#include "engine/engine.h"

#include <unistd.h>

void hyp_status_start(hyp_status *s, hyp_engine *engine, bool quiet) {
    bool shown = !quiet && isatty(STDERR_FILENO);
    *s = (hyp_status){
        .engine = engine, .in_title = shown && isatty(STDOUT_FILENO), .on_line = shown && !isatty(STDOUT_FILENO)};
    s->start_s = s->last_s = hyp_text_now_s();
}

static void describe(const hyp_status *s, double now, char *buf, size_t size) {
    hyp_engine_stats stats;
    hyp_engine_get_stats(s->engine, &stats);
    double rate = (double)(s->n_tokens - s->last_tokens) / (now - s->last_s);
    uint64_t used = stats.hit_bytes + stats.miss_bytes, read = stats.demand_bytes + stats.prefetch_bytes;
    int n = snprintf(buf, size, "%.1f tok/s", rate);
    if (used == 0 || n < 0 || (size_t)n >= size) return;
    char disk[24];
    snprintf(buf + n, size - (size_t)n, ", %.0f %% hits, %s/s", 100 * (double)stats.hit_bytes / (double)used,
             hyp_text_format_bytes((uint64_t)((double)(read - s->last_read) / (now - s->last_s)), disk, sizeof disk));
}

void hyp_status_token(hyp_status *s) {
    s->n_tokens++;
    double now = hyp_text_now_s();
    if ((!s->in_title && !s->on_line) || now - s->last_s < 0.5) return;
    char text[96];
    describe(s, now, text, sizeof text);
    if (s->in_title)
        fprintf(stderr, "\033]2;hypura: %s\007", text);
    else
        hyp_terminal_show_line(text);
    hyp_engine_stats stats;
    hyp_engine_get_stats(s->engine, &stats);
    s->last_s = now;
    s->last_tokens = s->n_tokens;
    s->last_read = stats.demand_bytes + stats.prefetch_bytes;
}

void hyp_status_end(hyp_status *s) {
    if (s->in_title && s->last_tokens > 0) fputs("\033]2;\007", stderr);
    if (s->on_line && s->last_tokens > 0) hyp_terminal_show_line("");
}

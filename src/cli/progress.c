#include "cli/progress.h"

#include "base/text.h"
#include "cli/terminal.h"

#include <unistd.h>

void hyp_progress_start(hyp_progress *p, const char *what, bool quiet) {
    *p = (hyp_progress){.what = what, .shown = !quiet && isatty(STDERR_FILENO), .start_s = hyp_text_now_s()};
}

void hyp_progress_update(hyp_progress *p, uint64_t done, uint64_t total) {
    double now = hyp_text_now_s();
    if (!p->shown || (now - p->last_s < 0.1 && done < total) || total == 0) return;
    p->last_s = now;
    double spent = now - p->start_s, rate = spent > 0 ? (double)done / spent : 0;
    char a[24], b[24], c[24];
    enum { WIDTH = 24 };
    int filled = (int)((double)done / (double)total * WIDTH);
    char line[192], left[32] = "";
    if (rate > 0 && done < total) snprintf(left, sizeof left, ", %.0f s left", (double)(total - done) / rate);
    snprintf(line, sizeof line, "%s [%.*s%*s] %s of %s, %s/s%s", p->what, filled, "########################",
             WIDTH - filled, "", hyp_text_format_bytes(done, a, sizeof a), hyp_text_format_bytes(total, b, sizeof b),
             hyp_text_format_bytes((uint64_t)rate, c, sizeof c), left);
    hyp_terminal_show_line(line);
}

void hyp_progress_end(hyp_progress *p) {
    if (p->shown && p->last_s > 0) hyp_terminal_show_line("");
    p->shown = false;
}

bool hyp_progress_show_step(double share, const char *what, void *user) {
    const bool *shown = user;
    enum { WIDTH = 24 };
    int filled = (int)(share * WIDTH);
    char line[192];
    if (!*shown) return true;
    snprintf(line, sizeof line, "measuring [%.*s%*s] %s", filled, "########################", WIDTH - filled, "", what);
    hyp_terminal_show_line(line);
    return true;
}

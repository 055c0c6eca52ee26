/* bench_report.c - a comparison as a Markdown table, with what has to be known to believe it. */
#include "bench/bench.h"

#include <math.h>
#include <string.h>

const char *hyp_bench_side_name(const hyp_bench *bench, hyp_bench_side side, char *buf, size_t size) {
    const hyp_bench_side_result *r = &bench->sides[side];
    if (side == HYP_BENCH_BASELINE)
        snprintf(buf, size, "llama.cpp mmap");
    else
        snprintf(buf, size, "hypura (%s)", r->n > 0 ? r->runs[0].mode : "not run");
    return buf;
}

void hyp_bench_write_verdict(const hyp_bench *bench, hyp_str *out) {
    for (int s = 0; s < HYP_BENCH_N_SIDES; s++) {
        char other[64];
        if (!bench->sides[s].repeatable)
            hyp_str_printf(out, "not repeatable: the runs of %s computed different logits\n",
                           hyp_bench_side_name(bench, s, other, sizeof other));
    }
    char name[64];
    hyp_bench_side_name(bench, HYP_BENCH_HYPURA, name, sizeof name);
    const char *text = bench->same_text == HYP_BENCH_YES ? "the same text" : "another text";
    if (bench->same_logits == HYP_BENCH_UNKNOWN)
        hyp_str_puts(out, "identical output: not compared, one side ran\n");
    else if (bench->same_logits == HYP_BENCH_YES)
        hyp_str_puts(out, "identical output: yes, every logit of every token\n");
    else if (bench->same_alike == HYP_BENCH_YES)
        hyp_str_printf(out,
                       "identical output: yes, every logit, when both compute alike (one more run of each: weights not "
                       "repacked, no devices, batches of the same size). As timed, %s rounds differently and gave %s\n",
                       name, text);
    else if (bench->same_alike == HYP_BENCH_NO)
        hyp_str_printf(out, "identical output: NO, not even when both compute alike. As timed, %s gave %s\n", name,
                       text);
    else
        hyp_str_printf(out,
                       "identical output: not known, the check failed. As timed, the logits differ and %s gave %s\n",
                       name, text);
}

static void write_value(double value, const hyp_bench_figure_info *info, hyp_str *out) {
    double v = value * info->scale;
    if (isnan(v))
        hyp_str_puts(out, "-");
    else
        hyp_str_printf(out, "%.*f", info->digits == 0 || v >= 1000 ? 0 : v >= 100 ? 1 : info->digits, v);
}

static void write_cell(const hyp_bench_side_result *side, int figure, hyp_str *out) {
    const hyp_bench_figure_info *info = &hyp_bench_figures[figure];
    const hyp_bench_spread *s = &side->figures[figure];
    hyp_str_puts(out, " ");
    write_value(s->median, info, out);
    if (!isnan(s->median) && side->n > 1) {
        hyp_str_puts(out, " (");
        write_value(s->min, info, out);
        hyp_str_puts(out, " to ");
        write_value(s->max, info, out);
        hyp_str_puts(out, ")");
    }
    hyp_str_puts(out, " |");
}

static void write_table(const hyp_bench *bench, hyp_str *out) {
    bool both = bench->sides[0].n > 0 && bench->sides[1].n > 0;
    char name[64];
    hyp_str_puts(out, "| median (least to most) |");
    for (int s = 0; s < HYP_BENCH_N_SIDES; s++)
        if (bench->sides[s].n > 0) hyp_str_printf(out, " %s |", hyp_bench_side_name(bench, s, name, sizeof name));
    hyp_str_puts(out, both ? " ratio |\n|---|---|---|---|\n" : "\n|---|---|\n");
    for (int f = 0; f < HYP_BENCH_N_FIGURES; f++) {
        hyp_str_printf(out, "| %s |", hyp_bench_figures[f].label);
        for (int s = 0; s < HYP_BENCH_N_SIDES; s++)
            if (bench->sides[s].n > 0) write_cell(&bench->sides[s], f, out);
        if (both && isnan(bench->ratios[f]))
            hyp_str_puts(out, " - |");
        else if (both)
            hyp_str_printf(out, " %.2f |", bench->ratios[f]);
        hyp_str_puts(out, "\n");
    }
}

/* "predicted: decode 9.41 tokens/s (-3 %), ..." for each side: what `hypura estimate` would have said beforehand. */
static void write_predictions(const hyp_bench *bench, hyp_str *out) {
    static const hyp_bench_figure shown[] = {HYP_BENCH_DECODE, HYP_BENCH_PREFILL, HYP_BENCH_TTFT};
    for (int s = 0; s < HYP_BENCH_N_SIDES; s++) {
        const hyp_bench_side_result *side = &bench->sides[s];
        char name[64];
        if (side->n == 0 || isnan(side->predicted[HYP_BENCH_DECODE])) continue;
        hyp_str_printf(out, "predicted for %s:", hyp_bench_side_name(bench, s, name, sizeof name));
        for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
            const hyp_bench_figure_info *info = &hyp_bench_figures[shown[i]];
            double predicted = side->predicted[shown[i]], measured = side->figures[shown[i]].median;
            hyp_str_printf(out, "%s %s ", i > 0 ? "," : "", info->label);
            write_value(predicted, info, out);
            if (measured > 0) hyp_str_printf(out, " (%+.0f %%)", 100 * (predicted / measured - 1));
        }
        hyp_str_puts(out, side->rates_measured ? "\n" : "; rates assumed: \"hypura profile MODEL\" measures them\n");
    }
}

/* A name comes from the file: nothing in it may steer a terminal or end a line. */
static void write_name(const char *name, hyp_str *out) {
    for (const char *c = name; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f || (unsigned char)*c >= 0x80)
            hyp_str_puts(out, "?");
        else
            hyp_str_append(out, c, 1);
}

void hyp_bench_write_markdown(const hyp_bench_config *c, const hyp_bench *bench, hyp_str *out) {
    const hyp_bench_side_result *measured = &bench->sides[bench->sides[0].n > 0 ? 0 : 1];
    char size[24], limit[24];
    write_name(c->model->name, out);
    hyp_str_printf(out, " (%s, %s), %zu run%s, %s page cache: prompt of %llu tokens, answer of %llu, context of %d\n",
                   c->model->quant, hyp_text_format_bytes(c->model->bytes, size, sizeof size), measured->n,
                   measured->n == 1 ? "" : "s each, in turns", c->warm ? "warm" : "cold",
                   (unsigned long long)measured->runs[0].prompt_tokens,
                   (unsigned long long)measured->runs[0].output_tokens, c->context_tokens);
    if (bench->limit_bytes > 0)
        hyp_str_printf(out, "memory, page cache included: %s in a control group\n",
                       hyp_text_format_bytes(bench->limit_bytes, limit, sizeof limit));
    hyp_str_puts(out, "\n");
    write_table(bench, out);
    hyp_str_puts(out, "\n");
    write_predictions(bench, out);
    hyp_bench_write_verdict(bench, out);
}

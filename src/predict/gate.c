#include "predict/gate.h"

#include <string.h>

enum {
    FIRST_PAUSE = 128, /* tokens, after the first trial without gain */
    LAST_PAUSE = 8192,
    RECHECK = 1024, /* tokens, after a trial with gain */
    ASSUMED = 64,   /* tokens that a verdict without a trial holds for */
    N_EPISODES = 2 * HYP_GATE_PAIRS,
    UNCOUNTED = 2, /* first tokens of an episode: what the one before left in the cache and in flight */
};
/* The least gain that counts: below it the reads, the wear and the noise are not worth it. */
static const double least_gain = 0.01;

static void begin_trial(hyp_gate *gate) {
    gate->trying = true;
    gate->episode = gate->n_in_episode = 0;
    gate->on = false;
}

void hyp_gate_init(hyp_gate *gate) {
    *gate = (hyp_gate){.pause = FIRST_PAUSE};
    begin_trial(gate);
}

void hyp_gate_assume(hyp_gate *gate, bool verdict) {
    hyp_gate_init(gate);
    gate->trying = false;
    gate->on = gate->verdict = verdict;
    gate->left = ASSUMED;
}

bool hyp_gate_on(const hyp_gate *gate) {
    return gate->on;
}

static double median(const double *values, size_t n) {
    double sorted[N_EPISODES + HYP_GATE_EPISODE] = {0};
    for (size_t i = 0; i < n; i++) {
        size_t at = i;
        for (; at > 0 && sorted[at - 1] > values[i]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = values[i];
    }
    return n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

static void finish_trial(hyp_gate *gate) {
    /* Neighbours are compared, so that a drift (a growing context, a warming cache) is the same for both. */
    double gains[HYP_GATE_PAIRS];
    size_t n_better = 0;
    for (size_t i = 0; i < HYP_GATE_PAIRS; i++) {
        double off = gate->medians[2 * i], on = gate->medians[2 * i + 1];
        gains[i] = off > 0 ? 1 - on / off : 0;
        n_better += gains[i] > 0;
    }
    gate->gain = median(gains, HYP_GATE_PAIRS);
    /* A median above 0 that only half of the pairs share may be chance. */
    gate->verdict = gate->gain >= least_gain && n_better > HYP_GATE_PAIRS / 2;
    gate->n_trials++;
    gate->trying = false;
    gate->on = gate->verdict;
    gate->left = gate->verdict ? RECHECK : gate->pause;
    if (gate->verdict)
        gate->pause = FIRST_PAUSE;
    else if (gate->pause < LAST_PAUSE)
        gate->pause *= 2;
}

void hyp_gate_report(hyp_gate *gate, double seconds) {
    if (!gate->trying) {
        if (--gate->left == 0) begin_trial(gate);
        return;
    }
    gate->times[gate->n_in_episode++] = seconds;
    if (gate->n_in_episode < HYP_GATE_EPISODE) return;
    /* The order is off, on, on, off, off, on, ...: neither always comes first. */
    size_t pair = gate->episode / 2, place = gate->on ? 1 : 0;
    gate->medians[2 * pair + place] = median(gate->times + UNCOUNTED, HYP_GATE_EPISODE - UNCOUNTED);
    gate->n_in_episode = 0;
    if (++gate->episode == N_EPISODES)
        finish_trial(gate);
    else
        gate->on = ((gate->episode + 1) / 2) % 2 == 1;
}

/* main.c - make-trace FILE [KEY=VALUE...]: write a made-up routing trace (synth.h). */
#include "synth.h"

#include "base/mem.h"

#include <string.h>

static const char usage[] =
    "usage: make-trace FILE [KEY=VALUE...]\n"
    "layers=24 experts=64 used=4 unit=8388608 (bytes) prefill=0 tokens=500 skew=0 persistence=0 correlation=0\n"
    "topics=1 topic-tokens=200 recall=0 seed=1\n";

static bool set(synth_config *c, const char *key, size_t n, double value) {
#define IS(name) (n == sizeof(name) - 1 && strncmp(key, name, n) == 0)
    if (IS("layers"))
        c->n_layers = (uint32_t)value;
    else if (IS("experts"))
        c->n_experts = (uint32_t)value;
    else if (IS("used"))
        c->n_used = (uint32_t)value;
    else if (IS("unit"))
        c->unit_bytes = (uint64_t)value;
    else if (IS("prefill"))
        c->n_prefill = (uint32_t)value;
    else if (IS("tokens"))
        c->n_tokens = (uint32_t)value;
    else if (IS("skew"))
        c->skew = value;
    else if (IS("persistence"))
        c->persistence = value;
    else if (IS("correlation"))
        c->correlation = value;
    else if (IS("topics"))
        c->n_topics = (uint32_t)value;
    else if (IS("topic-tokens"))
        c->topic_tokens = (uint32_t)value;
    else if (IS("recall"))
        c->recall = value;
    else if (IS("seed"))
        c->seed = (uint64_t)value;
    else
        return false;
    return true;
#undef IS
}

int main(int argc, char **argv) {
    synth_config config = {.n_layers = 24,
                           .n_experts = 64,
                           .n_used = 4,
                           .unit_bytes = 8 << 20,
                           .n_tokens = 500,
                           .n_topics = 1,
                           .topic_tokens = 200,
                           .seed = 1};
    bool good = argc >= 2;
    for (int i = 2; i < argc && good; i++) {
        const char *equals = strchr(argv[i], '=');
        char *end = NULL;
        double value = equals != NULL ? strtod(equals + 1, &end) : -1;
        good = equals != NULL && end != equals + 1 && *end == '\0' && value >= 0 && value < 1e12 &&
               set(&config, argv[i], (size_t)(equals - argv[i]), value);
    }
    if (!good) {
        fputs(usage, stderr);
        return 2;
    }
    hyp_err err = HYP_ERR_NONE;
    if (synth_write(argv[1], &config, &err) == HYP_OK) return 0;
    hyp_err_print(&err, stderr);
    return 1;
}

#include "cli/faults.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

static bool set(hyp_io_faults *f, const char *key, const char *value) {
    if (strcmp(key, "random") == 0) return f->random_delay = true;
    if (strcmp(key, "class") == 0) {
        f->only_class = strcmp(value, "prefetch") == 0 ? HYP_IO_PREFETCH : HYP_IO_DEMAND;
        return strcmp(value, "prefetch") == 0 || strcmp(value, "demand") == 0;
    }
    if (strcmp(key, "source") == 0) {
        f->sources = strcmp(value, "primary") == 0 ? 1 : strcmp(value, "mirror") == 0 ? ~1u : 0;
        return f->sources != 0 || strcmp(value, "any") == 0;
    }
    if (strcmp(key, "rate") == 0) return hyp_text_parse_size(value, &f->bytes_per_s) == HYP_OK;
    char *end;
    uint64_t n = strtoull(value, &end, 10);
    if (end == value || *end != '\0') return false;
    if (strcmp(key, "fail") == 0)
        f->fail_every = n;
    else if (strcmp(key, "short") == 0)
        f->short_every = n;
    else if (strcmp(key, "truncate") == 0)
        f->truncate_every = n;
    else if (strcmp(key, "delay") == 0)
        f->delay_every = n;
    else if (strcmp(key, "die") == 0)
        f->die_after = n;
    else if (strcmp(key, "us") == 0)
        f->delay_us = (uint32_t)n;
    else if (strcmp(key, "seed") == 0)
        f->seed = n;
    else
        return false;
    return true;
}

static int parse_rule(char *text, hyp_io_faults *ret, hyp_err *err) {
    *ret = (hyp_io_faults){.only_class = -1};
    char *rest = text;
    for (char *item = strsep(&rest, ","); item != NULL; item = strsep(&rest, ",")) {
        char *value = item;
        const char *key = strsep(&value, "=");
        if (!set(ret, key, value != NULL ? value : ""))
            return hyp_err_set(err, HYP_EINVAL, "--io-faults does not understand \"%s\"", key);
    }
    return HYP_OK;
}

int hyp_faults_parse(const char *text, hyp_faults *ret, hyp_err *err) {
    char copy[512], *rest = copy;
    if (snprintf(copy, sizeof copy, "%s", text) >= (int)sizeof copy)
        return hyp_err_set(err, HYP_EINVAL, "--io-faults is too long");
    size_t n = 0;
    for (char *rule = strsep(&rest, ";"); rule != NULL; rule = strsep(&rest, ";"), n++) {
        if (n == HYP_FAULTS_MAX)
            return hyp_err_set(err, HYP_EINVAL, "--io-faults takes at most %d rules", HYP_FAULTS_MAX);
        int r = parse_rule(rule, &ret->items[n], err);
        if (r != HYP_OK) return r;
        if (n > 0) ret->items[n - 1].next = &ret->items[n];
    }
    return HYP_OK;
}

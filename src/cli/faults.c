#include "cli/faults.h"

#include <stdlib.h>
#include <string.h>

static bool set(hyp_io_faults *f, const char *key, const char *value) {
    if (strcmp(key, "random") == 0) return f->random_delay = true;
    if (strcmp(key, "class") == 0) {
        f->only_class = strcmp(value, "prefetch") == 0 ? HYP_IO_PREFETCH : HYP_IO_DEMAND;
        return strcmp(value, "prefetch") == 0 || strcmp(value, "demand") == 0;
    }
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
    else if (strcmp(key, "us") == 0)
        f->delay_us = (uint32_t)n;
    else if (strcmp(key, "seed") == 0)
        f->seed = n;
    else
        return false;
    return true;
}

int hyp_faults_parse(const char *text, hyp_io_faults *ret, hyp_err *err) {
    hyp_io_faults faults = {.only_class = -1};
    char copy[256], *rest = copy;
    if (snprintf(copy, sizeof copy, "%s", text) >= (int)sizeof copy)
        return hyp_err_set(err, HYP_EINVAL, "--io-faults is too long");
    for (char *item = strsep(&rest, ","); item != NULL; item = strsep(&rest, ",")) {
        char *value = item;
        const char *key = strsep(&value, "=");
        if (!set(&faults, key, value != NULL ? value : ""))
            return hyp_err_set(err, HYP_EINVAL, "--io-faults does not understand \"%s\"", key);
    }
    *ret = faults;
    return HYP_OK;
}

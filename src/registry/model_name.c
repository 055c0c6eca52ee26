#include "registry/model_name.h"

#include "base/mem.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static const char default_host[] = "registry.ollama.ai", default_space[] = "library";

static bool valid_part(const char *text, size_t n, size_t max, const char *also) {
    if (n == 0 || n > max) return false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        bool good = isalnum((unsigned char)c) || c == '_' || (i > 0 && (c == '.' || c == '-')) ||
                    (i > 0 && strchr(also, c) != NULL && c != '\0');
        if (!good || !isascii((unsigned char)c)) return false;
    }
    return true;
}

static void copy(char *to, const char *text, size_t n) {
    memcpy(to, text, n);
    to[n] = '\0';
}

static int invalid(const char *text, hyp_err *err) {
    return hyp_err_set(err, HYP_EINVAL, "invalid model name \"%.100s\"", text);
}

int hyp_name_parse(const char *text, hyp_name *ret, hyp_err *err) {
    hyp_name name = {0};
    const char *parts[3];
    size_t lengths[3], n = 0;
    if (strlen(text) >= HYP_NAME_MAX) return invalid(text, err);
    const char *rest = strstr(text, "://") != NULL ? strstr(text, "://") + 3 : text;
    for (const char *p = rest;; p++) {
        size_t len = strcspn(p, "/");
        if (n == 3) return invalid(text, err);
        parts[n] = p;
        lengths[n++] = len;
        p += len;
        if (*p == '\0') break;
    }
    const char *model = parts[n - 1], *colon = memchr(model, ':', lengths[n - 1]);
    size_t model_n = colon != NULL ? (size_t)(colon - model) : lengths[n - 1];
    if (!valid_part(model, model_n, HYP_NAME_PART_MAX, "")) return invalid(text, err);
    copy(name.model, model, model_n);
    if (colon != NULL) {
        size_t tag_n = lengths[n - 1] - model_n - 1;
        if (!valid_part(colon + 1, tag_n, HYP_NAME_PART_MAX, "")) return invalid(text, err);
        copy(name.tag, colon + 1, tag_n);
        name.tagged = true;
    } else
        copy(name.tag, "latest", 6);
    if (n >= 2) {
        if (!valid_part(parts[n - 2], lengths[n - 2], HYP_NAME_PART_MAX, "")) return invalid(text, err);
        copy(name.space, parts[n - 2], lengths[n - 2]);
    }
    if (n == 3) {
        if (!valid_part(parts[0], lengths[0], sizeof name.host - 1, ":")) return invalid(text, err);
        copy(name.host, parts[0], lengths[0]);
    }
    if (strcasecmp(name.host, default_host) == 0) name.host[0] = '\0';
    if (name.host[0] == '\0' && strcasecmp(name.space, default_space) == 0) name.space[0] = '\0';
    *ret = name;
    return HYP_OK;
}

const char *hyp_name_format(const hyp_name *name, char *buf, size_t size) {
    snprintf(buf, size, "%s%s%s%s%s:%s", name->host, name->host[0] != '\0' ? "/" : "", name->space,
             name->space[0] != '\0' ? "/" : "", name->model, name->tag);
    return buf;
}

bool hyp_name_same_model(const hyp_name *a, const hyp_name *b) {
    return strcasecmp(a->host, b->host) == 0 && strcasecmp(a->space, b->space) == 0 &&
           strcasecmp(a->model, b->model) == 0;
}

bool hyp_name_equal(const hyp_name *a, const hyp_name *b) {
    return hyp_name_same_model(a, b) && strcasecmp(a->tag, b->tag) == 0;
}

void hyp_name_sanitize(const char *text, size_t n, char ret[HYP_NAME_PART_MAX + 1]) {
    size_t out = 0;
    for (size_t i = 0; i < n && out < HYP_NAME_PART_MAX; i++) {
        char c = text[i];
        bool plain = isascii((unsigned char)c) && (isalnum((unsigned char)c) || c == '_');
        if (!plain && !((c == '.' || c == '-') && out > 0)) c = out > 0 ? '-' : '_';
        ret[out++] = c;
    }
    if (out == 0) ret[out++] = '_';
    ret[out] = '\0';
}

size_t hyp_name_quant_suffix(const char *stem) {
    static const char *const heads[] = {"IQ", "TQ", "Q", "BF16", "FP16", "F16", "F32", "MXFP4"};
    for (size_t i = strlen(stem); i > 1; i--) {
        if (stem[i - 1] != '-' && stem[i - 1] != '.') continue;
        const char *word = stem + i;
        for (size_t h = 0; h < HYP_ARRAY_LEN(heads); h++) {
            size_t n = strlen(heads[h]);
            if (strncasecmp(word, heads[h], n) != 0) continue;
            bool whole = word[n] == '\0' || word[n] == '_';
            bool quant = h < 3 && isdigit((unsigned char)word[n]) && (word[n + 1] == '_' || word[n + 1] == '\0');
            if (whole || quant)
                return strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == strlen(word)
                           ? i
                           : 0;
        }
        return 0; /* only the last word counts */
    }
    return 0;
}

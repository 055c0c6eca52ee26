#include "registry/params.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

typedef enum kind { INTEGER, NUMBER, STRINGS, BOOLEAN, IGNORED_INTEGER } kind;

static const struct row {
    const char *name;
    kind kind;
    size_t offset;
    double initial, min, max; /* values beyond are clamped: what no sampler could use is nobody's wish */
} rows[] = {
    {"num_ctx", INTEGER, offsetof(hyp_params, num_ctx), 0, 0, 1 << 30},
    {"num_predict", INTEGER, offsetof(hyp_params, num_predict), -1, -2, INT32_MAX},
    {"temperature", NUMBER, offsetof(hyp_params, temperature), 0.8, 0, 100},
    {"top_k", INTEGER, offsetof(hyp_params, top_k), 40, 0, INT32_MAX},
    {"top_p", NUMBER, offsetof(hyp_params, top_p), 0.9, 0, 1},
    {"min_p", NUMBER, offsetof(hyp_params, min_p), 0, 0, 1},
    {"typical_p", NUMBER, offsetof(hyp_params, typical_p), 1, 0, 1},
    {"repeat_penalty", NUMBER, offsetof(hyp_params, repeat_penalty), 1, 0.01, 100},
    {"repeat_last_n", INTEGER, offsetof(hyp_params, repeat_last_n), 64, -1, INT32_MAX},
    {"presence_penalty", NUMBER, offsetof(hyp_params, presence_penalty), 0, -100, 100},
    {"frequency_penalty", NUMBER, offsetof(hyp_params, frequency_penalty), 0, -100, 100},
    {"seed", INTEGER, offsetof(hyp_params, seed), -1, -1, 9e15},
    {"num_keep", INTEGER, offsetof(hyp_params, num_keep), 4, -1, INT32_MAX},
    {"num_batch", INTEGER, offsetof(hyp_params, num_batch), 512, 0, INT32_MAX},
    {"stop", STRINGS, 0, 0, 0, 0},
    {"num_gpu", IGNORED_INTEGER, 0, 0, 0, 0},
    {"main_gpu", IGNORED_INTEGER, 0, 0, 0, 0},
    {"num_thread", IGNORED_INTEGER, 0, 0, 0, 0},
    {"draft_num_predict", IGNORED_INTEGER, 0, 0, 0, 0},
    {"use_mmap", BOOLEAN, 0, 0, 0, 0},
};

void hyp_params_init(hyp_params *params) {
    *params = (hyp_params){0};
    for (size_t i = 0; i < HYP_ARRAY_LEN(rows); i++) {
        void *field = (char *)params + rows[i].offset;
        if (rows[i].kind == INTEGER)
            *(int64_t *)field = (int64_t)rows[i].initial;
        else if (rows[i].kind == NUMBER)
            *(double *)field = rows[i].initial;
    }
}

static void clear_stops(hyp_params *params) {
    for (size_t i = 0; i < params->n_stop; i++)
        free(params->stop[i]);
    params->n_stop = 0;
}

void hyp_params_free(hyp_params *params) {
    if (params != NULL) clear_stops(params);
}

static int add_stop(hyp_params *params, const char *text, hyp_err *err) {
    if (text[0] == '\0') return HYP_OK; /* would stop everywhere */
    if (params->n_stop == HYP_PARAMS_MAX_STOPS)
        return hyp_err_set(err, HYP_ELIMIT, "option \"stop\" holds more than %d strings", HYP_PARAMS_MAX_STOPS);
    char *copy = strdup(text);
    if (copy == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    params->stop[params->n_stop++] = copy;
    return HYP_OK;
}

int hyp_params_copy(hyp_params *ret, const hyp_params *from, hyp_err *err) {
    *ret = *from;
    ret->n_stop = 0;
    for (size_t i = 0; i < from->n_stop; i++)
        if (add_stop(ret, from->stop[i], err) != HYP_OK) {
            hyp_params_free(ret);
            return HYP_ENOMEM;
        }
    return HYP_OK;
}

int hyp_params_set_stop(hyp_params *params, yyjson_val *stop, hyp_err *err) {
    if (stop == NULL || yyjson_is_null(stop)) return HYP_OK;
    clear_stops(params);
    if (yyjson_is_str(stop)) return add_stop(params, yyjson_get_str(stop), err);
    if (!yyjson_is_arr(stop)) return hyp_err_set(err, HYP_EFORMAT, "option \"stop\" must be of type array");
    size_t i, n;
    yyjson_val *item;
    yyjson_arr_foreach(stop, i, n, item) {
        if (!yyjson_is_str(item))
            return hyp_err_set(err, HYP_EFORMAT, "option \"stop\" must be of an array of strings");
        int r = add_stop(params, yyjson_get_str(item), err);
        if (r != HYP_OK) return r;
    }
    return HYP_OK;
}

static int apply_row(hyp_params *params, const struct row *row, yyjson_val *value, hyp_err *err) {
    double number = yyjson_get_num(value);
    bool integer = yyjson_is_num(value) && number == floor(number);
    void *field = (char *)params + row->offset;
    switch (row->kind) {
    case STRINGS: return hyp_params_set_stop(params, value, err);
    case BOOLEAN:
        return yyjson_is_bool(value)
                   ? HYP_OK
                   : hyp_err_set(err, HYP_EFORMAT, "option \"%s\" must be of type boolean", row->name);
    case IGNORED_INTEGER:
    case INTEGER:
        if (!integer) return hyp_err_set(err, HYP_EFORMAT, "option \"%s\" must be of type integer", row->name);
        if (row->kind == INTEGER) *(int64_t *)field = (int64_t)fmin(fmax(number, row->min), row->max);
        return HYP_OK;
    case NUMBER:
        if (!yyjson_is_num(value))
            return hyp_err_set(err, HYP_EFORMAT, "option \"%s\" must be of type float32", row->name);
        *(double *)field = fmin(fmax(number, row->min), row->max);
        return HYP_OK;
    }
    return HYP_OK;
}

int hyp_params_apply(hyp_params *params, yyjson_val *options, hyp_err *err) {
    if (options == NULL || yyjson_is_null(options)) return HYP_OK;
    for (size_t i = 0; i < HYP_ARRAY_LEN(rows); i++) {
        yyjson_val *value = yyjson_obj_get(options, rows[i].name);
        if (value == NULL || yyjson_is_null(value)) continue;
        int r = apply_row(params, &rows[i], value, err);
        if (r != HYP_OK) return r;
    }
    return HYP_OK;
}

static void put_quoted(hyp_str *out, const char *text) {
    hyp_json j = {out, false};
    hyp_json_str(&j, text);
}

void hyp_params_describe(const hyp_params *params, int64_t num_ctx, hyp_str *out) {
    hyp_str_printf(out, "%-30s %lld", "num_ctx", (long long)num_ctx);
    for (size_t i = 1; i < HYP_ARRAY_LEN(rows); i++) {
        const void *field = (const char *)params + rows[i].offset;
        if (rows[i].kind == INTEGER && *(const int64_t *)field != (int64_t)rows[i].initial)
            hyp_str_printf(out, "\n%-30s %lld", rows[i].name, (long long)*(const int64_t *)field);
        if (rows[i].kind == NUMBER && *(const double *)field != rows[i].initial)
            hyp_str_printf(out, "\n%-30s %g", rows[i].name, *(const double *)field);
    }
    for (size_t i = 0; i < params->n_stop; i++) {
        hyp_str_printf(out, "\n%-30s ", "stop");
        put_quoted(out, params->stop[i]);
    }
}

#include "registry/params.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

typedef enum kind { INTEGER, STRINGS, BOOLEAN, IGNORED_INTEGER } kind;

/* What is not base/sampling.h's. */
static const struct row {
    const char *name;
    kind kind;
    size_t offset;
    double initial, min, max; /* values beyond are clamped: what no sampler could use is nobody's wish */
} rows[] = {
    {"num_ctx", INTEGER, offsetof(hyp_params, num_ctx), 0, 0, 1 << 30},
    {"num_predict", INTEGER, offsetof(hyp_params, num_predict), -1, -2, INT32_MAX},
    {"num_keep", INTEGER, offsetof(hyp_params, num_keep), 4, -1, INT32_MAX},
    {"num_batch", INTEGER, offsetof(hyp_params, num_batch), 512, 0, INT32_MAX},
    {"stop", STRINGS, 0, 0, 0, 0},
    {"num_gpu", IGNORED_INTEGER, 0, 0, 0, 0},
    {"main_gpu", IGNORED_INTEGER, 0, 0, 0, 0},
    {"num_thread", IGNORED_INTEGER, 0, 0, 0, 0},
    {"draft_num_predict", IGNORED_INTEGER, 0, 0, 0, 0},
    {"use_mmap", BOOLEAN, 0, 0, 0, 0},
};
enum { CONTEXT_ROW, FIRST_BEHIND_SAMPLING = 2 }; /* the sampling parameters are told of before this row */

void hyp_params_init(hyp_params *params) {
    *params = (hyp_params){0};
    hyp_sampling_set_defaults(&params->sampling, HYP_SAMPLING_OLLAMA);
    for (size_t i = 0; i < HYP_ARRAY_LEN(rows); i++)
        if (rows[i].kind == INTEGER) *(int64_t *)((char *)params + rows[i].offset) = (int64_t)rows[i].initial;
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

/* Errors: HYP_EFORMAT when `value` is no number, or not a whole one where that is needed. */
static int read_number(const char *name, bool whole, yyjson_val *value, double *ret, hyp_err *err) {
    *ret = yyjson_get_num(value);
    if (yyjson_is_num(value) && (!whole || *ret == floor(*ret))) return HYP_OK;
    return hyp_err_set(err, HYP_EFORMAT, "option \"%s\" must be of type %s", name, whole ? "integer" : "float32");
}

static int apply_row(hyp_params *params, const struct row *row, yyjson_val *value, hyp_err *err) {
    double number = 0;
    int r = HYP_OK;
    switch (row->kind) {
    case STRINGS: return hyp_params_set_stop(params, value, err);
    case BOOLEAN:
        return yyjson_is_bool(value)
                   ? HYP_OK
                   : hyp_err_set(err, HYP_EFORMAT, "option \"%s\" must be of type boolean", row->name);
    case IGNORED_INTEGER: return read_number(row->name, true, value, &number, err);
    case INTEGER:
        r = read_number(row->name, true, value, &number, err);
        if (r == HYP_OK) *(int64_t *)((char *)params + row->offset) = (int64_t)fmin(fmax(number, row->min), row->max);
        return r;
    }
    return r;
}

/* The option `name`, or NULL where it is not there or null. */
static yyjson_val *find_option(yyjson_val *options, const char *name) {
    yyjson_val *value = yyjson_obj_get(options, name);
    return yyjson_is_null(value) ? NULL : value;
}

static int apply_sampling(hyp_sampling_params *params, yyjson_val *options, hyp_err *err) {
    int r = HYP_OK;
    for (size_t i = 0; r == HYP_OK && i < hyp_sampling_n_rows; i++) {
        const hyp_sampling_row *row = &hyp_sampling_rows[i];
        yyjson_val *value = find_option(options, row->name);
        double number = 0;
        if (value == NULL) continue;
        r = read_number(row->name, row->kind != HYP_SAMPLING_REAL, value, &number, err);
        if (r == HYP_OK) hyp_sampling_set(params, row, fmin(fmax(number, row->least), row->request_most));
    }
    return r;
}

int hyp_params_apply(hyp_params *params, yyjson_val *options, hyp_err *err) {
    int r = HYP_OK;
    for (size_t i = 0; r == HYP_OK && i < HYP_ARRAY_LEN(rows); i++) {
        yyjson_val *value = find_option(options, rows[i].name);
        if (i == FIRST_BEHIND_SAMPLING) r = apply_sampling(&params->sampling, options, err);
        if (r == HYP_OK && value != NULL) r = apply_row(params, &rows[i], value, err);
    }
    return r;
}

static void put_quoted(hyp_str *out, const char *text) {
    hyp_json j = {out, false};
    hyp_json_str(&j, text);
}

static void describe_row(const hyp_params *params, const struct row *row, hyp_str *out) {
    int64_t value = row->kind == INTEGER ? *(const int64_t *)((const char *)params + row->offset) : 0;
    if (row->kind == INTEGER && value != (int64_t)row->initial)
        hyp_str_printf(out, "\n%-30s %lld", row->name, (long long)value);
}

static void describe_sampling(const hyp_sampling_params *params, hyp_str *out) {
    for (size_t i = 0; i < hyp_sampling_n_rows; i++) {
        const hyp_sampling_row *row = &hyp_sampling_rows[i];
        double value = hyp_sampling_get(params, row);
        if (value == row->defaults[HYP_SAMPLING_OLLAMA]) continue;
        if (row->kind == HYP_SAMPLING_REAL)
            hyp_str_printf(out, "\n%-30s %g", row->name, value);
        else
            hyp_str_printf(out, "\n%-30s %lld", row->name, (long long)value);
    }
}

void hyp_params_describe(const hyp_params *params, int64_t num_ctx, hyp_str *out) {
    hyp_str_printf(out, "%-30s %lld", rows[CONTEXT_ROW].name, (long long)num_ctx);
    for (size_t i = CONTEXT_ROW + 1; i < HYP_ARRAY_LEN(rows); i++) {
        if (i == FIRST_BEHIND_SAMPLING) describe_sampling(&params->sampling, out);
        describe_row(params, &rows[i], out);
    }
    for (size_t i = 0; i < params->n_stop; i++) {
        hyp_str_printf(out, "\n%-30s ", "stop");
        put_quoted(out, params->stop[i]);
    }
}

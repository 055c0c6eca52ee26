#include "base/json.h"

#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Brackets outside strings. A malformed document may be miscounted; the parser then refuses it anyway. */
static bool too_deep(const char *data, size_t n) {
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < n; i++) {
        char c = data[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"')
            in_string = true;
        else if (c == '{' || c == '[') {
            if (++depth > HYP_JSON_MAX_DEPTH) return true;
        } else if ((c == '}' || c == ']') && depth > 0)
            depth--;
    }
    return false;
}

static bool surrogate_escape(const char *p, const char *end, bool low) {
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u' || (p[2] | 0x20) != 'd') return false;
    return low ? strchr("cdefCDEF", p[3]) != NULL : strchr("89abAB", p[3]) != NULL;
}

/* Stray bytes, and halves of surrogate pairs that a client cut off: replaced by U+FFFD, as Go's decoder does. */
static yyjson_doc *parse_repaired(const char *data, size_t n, yyjson_read_err *why) {
    hyp_str text = {0}, whole = {0};
    hyp_utf8_repair(&text, data, n);
    const char *end = text.data + text.length;
    for (const char *p = text.data; p != NULL && p < end;) {
        size_t len = 1;
        if (surrogate_escape(p, end, false) && surrogate_escape(p + 6, end, true))
            len = 12;
        else if (surrogate_escape(p, end, false) || surrogate_escape(p, end, true)) {
            hyp_str_puts(&whole, "\xef\xbf\xbd");
            p += 6;
            continue;
        } else if (*p == '\\' && p + 1 < end)
            len = 2;
        hyp_str_append(&whole, p, len);
        p += len;
    }
    yyjson_doc *doc = whole.failed || whole.data == NULL
                          ? NULL
                          : yyjson_read_opts(whole.data, whole.length, YYJSON_READ_NOFLAG, NULL, why);
    hyp_str_free(&text);
    hyp_str_free(&whole);
    return doc;
}

int hyp_json_parse(const char *data, size_t n, yyjson_doc **ret, hyp_err *err) {
    size_t blanks = 0;
    while (blanks < n && strchr(" \t\r\n", data[blanks]) != NULL && data[blanks] != '\0')
        blanks++;
    if (blanks == n) return hyp_err_set(err, HYP_EFORMAT, "missing request body");
    if (too_deep(data, n))
        return hyp_err_set(err, HYP_ELIMIT, "JSON is nested more than %d levels deep", HYP_JSON_MAX_DEPTH);
    yyjson_read_err why;
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)data, n, YYJSON_READ_NOFLAG, NULL, &why);
    if (doc == NULL && why.code == YYJSON_READ_ERROR_INVALID_STRING) doc = parse_repaired(data, n, &why);
    if (doc == NULL && why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    if (doc == NULL) return hyp_err_set(err, HYP_EFORMAT, "invalid JSON at byte %zu: %s", why.pos, why.msg);
    *ret = doc;
    return HYP_OK;
}

const char *hyp_json_kind(yyjson_val *value) {
    switch (yyjson_get_type(value)) {
    case YYJSON_TYPE_STR: return "string";
    case YYJSON_TYPE_NUM: return "number";
    case YYJSON_TYPE_BOOL: return "bool";
    case YYJSON_TYPE_ARR: return "array";
    case YYJSON_TYPE_OBJ: return "object";
    default: return "null";
    }
}

yyjson_val *hyp_field(const hyp_fields *f, const char *key) {
    yyjson_val *value = f->object != NULL ? yyjson_obj_get(f->object, key) : NULL;
    return value == NULL || yyjson_is_null(value) ? NULL : value;
}

static void wrong_type(const hyp_fields *f, const char *key, yyjson_val *value, const char *type) {
    hyp_err_set(f->err, HYP_EFORMAT, "json: cannot unmarshal %s into Go struct field %s.%s of type %s",
                hyp_json_kind(value), f->name, key, type);
}

const char *hyp_field_str(const hyp_fields *f, const char *key, const char *fallback) {
    yyjson_val *value = hyp_field(f, key);
    if (value == NULL) return fallback;
    if (!yyjson_is_str(value)) {
        wrong_type(f, key, value, "string");
        return fallback;
    }
    return yyjson_get_str(value);
}

bool hyp_field_bool(const hyp_fields *f, const char *key, bool fallback) {
    yyjson_val *value = hyp_field(f, key);
    if (value == NULL) return fallback;
    if (!yyjson_is_bool(value)) {
        wrong_type(f, key, value, "bool");
        return fallback;
    }
    return yyjson_get_bool(value);
}

int64_t hyp_field_int(const hyp_fields *f, const char *key, int64_t fallback) {
    yyjson_val *value = hyp_field(f, key);
    if (value == NULL) return fallback;
    double number = yyjson_get_num(value);
    if (!yyjson_is_num(value) || number != floor(number) || fabs(number) > 9e18) {
        wrong_type(f, key, value, "int");
        return fallback;
    }
    return yyjson_is_int(value) ? yyjson_get_sint(value) : (int64_t)number;
}

double hyp_field_real(const hyp_fields *f, const char *key, double fallback) {
    yyjson_val *value = hyp_field(f, key);
    if (value == NULL) return fallback;
    if (!yyjson_is_num(value)) {
        wrong_type(f, key, value, "float64");
        return fallback;
    }
    return yyjson_get_num(value);
}

yyjson_val *hyp_field_array(const hyp_fields *f, const char *key) {
    yyjson_val *value = hyp_field(f, key);
    if (value != NULL && !yyjson_is_arr(value)) {
        wrong_type(f, key, value, "[]");
        return NULL;
    }
    return value;
}

yyjson_val *hyp_field_object(const hyp_fields *f, const char *key) {
    yyjson_val *value = hyp_field(f, key);
    if (value != NULL && !yyjson_is_obj(value)) {
        wrong_type(f, key, value, "map[string]interface {}");
        return NULL;
    }
    return value;
}

static void separate(hyp_json *j) {
    if (j->comma) hyp_str_append(j->out, ",", 1);
    j->comma = true;
}

void hyp_json_open(hyp_json *j, char bracket) {
    separate(j);
    hyp_str_append(j->out, &bracket, 1);
    j->comma = false;
}

void hyp_json_close(hyp_json *j, char bracket) {
    hyp_str_append(j->out, &bracket, 1);
    j->comma = true;
}

static void put_string(hyp_str *out, const char *text, size_t n) {
    hyp_str_append(out, "\"", 1);
    size_t from = 0;
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)text[i];
        size_t len = hyp_utf8_length(text + i, n - i);
        if (len > 0 && c >= ' ' && c != '"' && c != '\\') {
            i += len;
            continue;
        }
        hyp_str_append(out, text + from, i - from);
        if (len == 0)
            hyp_str_puts(out, "\xef\xbf\xbd");
        else if (c == '"' || c == '\\')
            hyp_str_printf(out, "\\%c", c);
        else if (c == '\n')
            hyp_str_puts(out, "\\n");
        else if (c == '\t')
            hyp_str_puts(out, "\\t");
        else if (c == '\r')
            hyp_str_puts(out, "\\r");
        else
            hyp_str_printf(out, "\\u%04x", c);
        from = ++i;
    }
    hyp_str_append(out, text + from, n - from);
    hyp_str_append(out, "\"", 1);
}

void hyp_json_key(hyp_json *j, const char *key) {
    separate(j);
    put_string(j->out, key, strlen(key));
    hyp_str_append(j->out, ":", 1);
    j->comma = false;
}

void hyp_json_strn(hyp_json *j, const char *text, size_t n) {
    separate(j);
    put_string(j->out, text, n);
}

void hyp_json_str(hyp_json *j, const char *text) {
    if (text == NULL)
        hyp_json_null(j);
    else
        hyp_json_strn(j, text, strlen(text));
}

void hyp_json_int(hyp_json *j, int64_t value) {
    separate(j);
    hyp_str_printf(j->out, "%lld", (long long)value);
}

void hyp_json_real(hyp_json *j, double value) {
    if (!isfinite(value)) {
        hyp_json_null(j);
        return;
    }
    char text[40];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtof(text, NULL) == (float)value) break;
    }
    separate(j);
    hyp_str_puts(j->out, text);
}

void hyp_json_bool(hyp_json *j, bool value) {
    separate(j);
    hyp_str_puts(j->out, value ? "true" : "false");
}

void hyp_json_null(hyp_json *j) {
    separate(j);
    hyp_str_puts(j->out, "null");
}

void hyp_json_raw(hyp_json *j, const char *json, size_t n) {
    separate(j);
    hyp_str_append(j->out, json, n);
}

void hyp_json_kv_str(hyp_json *j, const char *key, const char *text) {
    hyp_json_key(j, key);
    hyp_json_str(j, text);
}

void hyp_json_kv_int(hyp_json *j, const char *key, int64_t value) {
    hyp_json_key(j, key);
    hyp_json_int(j, value);
}

void hyp_json_kv_bool(hyp_json *j, const char *key, bool value) {
    hyp_json_key(j, key);
    hyp_json_bool(j, value);
}

void hyp_json_kv_real(hyp_json *j, const char *key, double value) {
    hyp_json_key(j, key);
    hyp_json_real(j, value);
}

void hyp_json_kv_null(hyp_json *j, const char *key) {
    hyp_json_key(j, key);
    hyp_json_null(j);
}

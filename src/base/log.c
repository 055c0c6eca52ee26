#include "base/log.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/times.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

/* A line is one write(2), so that lines of several threads and processes do not mix; longer ones are cut. */
enum { LINE_MAX_BYTES = 4096 };

atomic_uchar hyp_log_levels[HYP_N_LOG_CATEGORIES];
static atomic_int sink = STDERR_FILENO;
static atomic_bool as_json;

static const char *const LEVELS[HYP_N_LOG_LEVELS] = {"off", "error", "warn", "info", "debug", "trace"};
static const char *const CATEGORIES[HYP_N_LOG_CATEGORIES] = {"io",      "pager", "plan", "stream",
                                                             "session", "http",  "llama"};

/* The index of the `n` bytes at `word` among `names`, or `n_names`. */
static size_t find(const char *word, size_t n, const char *const *names, size_t n_names) {
    size_t i = 0;
    while (i < n_names && (strlen(names[i]) != n || memcmp(names[i], word, n) != 0))
        i++;
    return i;
}

/* `n` names, separated by commas. */
static void put_names(hyp_str *out, const char *const *names, size_t n) {
    for (size_t i = 0; i < n; i++)
        hyp_str_printf(out, "%s%s", i > 0 ? ", " : "", names[i]);
}

static int unknown(const char *what, const char *word, size_t n, hyp_err *err) {
    hyp_str hint = {0};
    hyp_err_set(err, HYP_EINVAL, "there is no log %s \"%.*s\"", what, (int)n, word);
    hyp_str_puts(&hint, "write LEVEL or CATEGORY:LEVEL, separated by commas; levels are ");
    put_names(&hint, LEVELS, HYP_N_LOG_LEVELS);
    hyp_str_puts(&hint, "; categories ");
    put_names(&hint, CATEGORIES, HYP_N_LOG_CATEGORIES);
    if (!hint.failed) hyp_err_hint(err, "%s", hint.data);
    hyp_str_free(&hint);
    return HYP_EINVAL;
}

int hyp_log_set_levels(const char *spec, hyp_err *err) {
    unsigned char levels[HYP_N_LOG_CATEGORIES];
    for (size_t c = 0; c < HYP_N_LOG_CATEGORIES; c++)
        levels[c] = atomic_load(&hyp_log_levels[c]);
    for (const char *at = spec; *at != '\0';) {
        size_t n = strcspn(at, ","), head = strcspn(at, ":,");
        const char *word = head < n ? at + head + 1 : at;
        size_t n_word = (size_t)(at + n - word), level = find(word, n_word, LEVELS, HYP_N_LOG_LEVELS);
        size_t category = find(at, head, CATEGORIES, HYP_N_LOG_CATEGORIES);
        if (head < n && category == HYP_N_LOG_CATEGORIES) return unknown("category", at, head, err);
        if (level == HYP_N_LOG_LEVELS) return unknown("level", word, n_word, err);
        for (size_t c = 0; c < HYP_N_LOG_CATEGORIES; c++)
            if (head == n || c == category) levels[c] = (unsigned char)level;
        at += n + (at[n] == ',');
    }
    for (size_t c = 0; c < HYP_N_LOG_CATEGORIES; c++)
        atomic_store(&hyp_log_levels[c], levels[c]);
    return HYP_OK;
}

int hyp_log_open(const char *path, bool json, hyp_err *err) {
    int fd = path == NULL ? STDERR_FILENO : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot write the log %s", path);
    int old = atomic_exchange(&sink, fd);
    if (old != STDERR_FILENO) close(old);
    atomic_store(&as_json, json);
    return HYP_OK;
}

void hyp_log_close(void) {
    for (size_t c = 0; c < HYP_N_LOG_CATEGORIES; c++)
        atomic_store(&hyp_log_levels[c], HYP_LOG_OFF);
    int old = atomic_exchange(&sink, STDERR_FILENO);
    if (old != STDERR_FILENO) close(old);
}

/* Now, to the millisecond: "2026-11-30T07:00:00.123Z". Returns `buf`. */
static const char *now_text(char buf[HYP_TIMESTAMP_SIZE]) {
    enum { UP_TO_MILLISECONDS = sizeof "2026-11-30T07:00:00.123" - 1 };
    hyp_timestamp(hyp_wall_ns(), buf);
    memcpy(buf + UP_TO_MILLISECONDS, "Z", sizeof "Z");
    return buf;
}

/* What a line is about may come from a client or a file: a terminal must not obey it, and one event stays one line. */
static void put_plain(hyp_str *out, const char *text) {
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7f)
            hyp_str_printf(out, "\\x%02x", c);
        else
            hyp_str_append(out, text, 1);
    }
}

static bool is_text(const hyp_log_field *f) {
    return f->kind == HYP_LOG_FIELD_TEXT || f->kind == HYP_LOG_FIELD_WHOLE;
}

static bool is_left_out(const hyp_log_field *f) {
    return (is_text(f) && f->text == NULL) || (f->kind == HYP_LOG_FIELD_REAL && !isfinite(f->real));
}

static void put_text_line(hyp_str *out, hyp_log_category category, hyp_log_level level, const char *message,
                          const hyp_log_field *fields, size_t n) {
    char when[HYP_TIMESTAMP_SIZE];
    hyp_str_printf(out, "%s %s %s: ", now_text(when), LEVELS[level], CATEGORIES[category]);
    put_plain(out, message);
    bool whole = false;
    for (size_t i = 0; i < n; i++) {
        const hyp_log_field *f = &fields[i];
        if (is_left_out(f)) continue;
        hyp_str_printf(out, " %s=", f->name);
        whole |= f->kind == HYP_LOG_FIELD_WHOLE;
        if (is_text(f))
            put_plain(out, f->text);
        else if (f->kind == HYP_LOG_FIELD_INT)
            hyp_str_printf(out, "%lld", (long long)f->integer);
        else
            hyp_str_printf(out, "%.4g", f->real);
    }
    if (!whole && out->length > LINE_MAX_BYTES - 1) out->length = LINE_MAX_BYTES - 1;
}

static void put_json_line(hyp_str *out, hyp_log_category category, hyp_log_level level, const char *message,
                          const hyp_log_field *fields, size_t n) {
    hyp_json j = {.out = out};
    char when[HYP_TIMESTAMP_SIZE];
    hyp_json_open(&j, '{');
    hyp_json_kv_str(&j, "time", now_text(when));
    hyp_json_kv_str(&j, "level", LEVELS[level]);
    hyp_json_kv_str(&j, "category", CATEGORIES[category]);
    hyp_json_key(&j, "message");
    hyp_json_strn(&j, message, strnlen(message, LINE_MAX_BYTES / 8)); /* a byte may take six */
    for (size_t i = 0; i < n; i++) {
        const hyp_log_field *f = &fields[i];
        if (is_left_out(f)) continue;
        hyp_json_key(&j, f->name);
        if (is_text(f))
            hyp_json_strn(&j, f->text,
                          f->kind == HYP_LOG_FIELD_WHOLE ? strlen(f->text) : strnlen(f->text, LINE_MAX_BYTES / 8));
        else if (f->kind == HYP_LOG_FIELD_INT)
            hyp_json_int(&j, f->integer);
        else
            hyp_json_real(&j, f->real);
    }
    hyp_json_close(&j, '}');
}

void hyp_log_event(hyp_log_category category, hyp_log_level level, const char *message, const hyp_log_field *fields,
                   size_t n) {
    hyp_str line = {0};
    int before = errno; /* a report changes nothing */
    if (atomic_load(&as_json))
        put_json_line(&line, category, level, message, fields, n);
    else
        put_text_line(&line, category, level, message, fields, n);
    hyp_str_append(&line, "\n", 1);
    /* A log that cannot be written, or a line without memory, must not stop the work. */
    ssize_t written = line.failed ? 0 : write(atomic_load(&sink), line.data, line.length);
    (void)written;
    hyp_str_free(&line);
    errno = before;
}

void hyp_log_write(hyp_log_category category, hyp_log_level level, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    hyp_log_event(category, level, text, NULL, 0);
}

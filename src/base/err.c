#include "base/err.h"

#include "base/platform.h"

#include <string.h>

/* The functions themselves, not the macros that the analyzer sees. */
#undef hyp_err_set
#undef hyp_err_set_sys

static void fill(hyp_err *err, int code, int sys, const char *format, va_list args) {
    err->code = code;
    err->sys = sys;
    int n = vsnprintf(err->message, sizeof err->message, format, args);
    if (sys != 0 && n >= 0 && (size_t)n < sizeof err->message) {
        char text[96];
        const char *reason = hyp_platform_error_text(sys, text, sizeof text);
        snprintf(err->message + n, sizeof err->message - (size_t)n, ": %s", reason);
    }
    /* What names a file or quotes its content must not break the line. */
    for (char *c = err->message; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f) *c = '?';
}

/* The first failure wins; from then on hints belong to one that is not kept. */
static bool is_closed(hyp_err *err) {
    err->closed = err->code != 0;
    return err->closed;
}

int hyp_err_set(hyp_err *err, int code, const char *format, ...) {
    if (err == NULL || is_closed(err)) return code;
    va_list args;
    va_start(args, format);
    fill(err, code, 0, format, args);
    va_end(args);
    return code;
}

int hyp_err_set_sys(hyp_err *err, int code, int sys, const char *format, ...) {
    if (err == NULL || is_closed(err)) return code;
    va_list args;
    va_start(args, format);
    fill(err, code, sys, format, args);
    va_end(args);
    return code;
}

void hyp_err_hint(hyp_err *err, const char *format, ...) {
    if (err == NULL || err->code == 0 || err->closed) return;
    va_list args;
    va_start(args, format);
    vsnprintf(err->hint, sizeof err->hint, format, args);
    va_end(args);
}

int hyp_err_pass(hyp_err *err, const hyp_err *failure) {
    if (failure->code == 0) return HYP_OK;
    if (err != NULL && !is_closed(err)) *err = *failure;
    return failure->code;
}

void hyp_err_print(const hyp_err *err, FILE *out) {
    fprintf(out, "hypura: %s\n", err->message);
    if (err->hint[0] != '\0') fprintf(out, "hint: %s\n", err->hint);
}

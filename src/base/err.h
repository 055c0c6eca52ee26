/* err.h - how a failure travels: a negative code as the return value, and its story in a caller-owned hyp_err.
 *
 * A function that can fail returns 0 (or a count) on success and a negative `HYP_E...` code on failure. Where the
 * caller passes an `hyp_err`, the failing function fills it once, at the place that knows most: what was being done,
 * with what, the system's reason, and a hint about what the user can do. Callers above pass it on untouched. Library
 * code never prints; only the program does, with hyp_err_print(). */
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define HYP_NODISCARD __attribute__((warn_unused_result))
#define HYP_NONNULL(...) __attribute__((nonnull(__VA_ARGS__)))
#define HYP_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

enum {
    HYP_OK = 0,
    HYP_EINVAL = -1,    /* the caller's or the user's argument is wrong */
    HYP_ENOMEM = -2,    /* memory, or a budget, does not suffice */
    HYP_EIO = -3,       /* the system refused or failed an operation */
    HYP_EFORMAT = -4,   /* a file's or a message's content is not what it must be */
    HYP_ENOTFOUND = -5, /* what was named does not exist */
    HYP_EUNSUPPORTED = -6,
    HYP_ECANCELED = -7, /* stopped on request */
    HYP_ENOFRAME = -8,  /* every frame of the pager is pinned */
    HYP_EBUSY = -9,     /* a bounded queue is full */
    HYP_ELIMIT = -10,   /* a limit on untrusted input was exceeded */
    HYP_EENGINE = -11,  /* libllama reported a failure */
    HYP_ETOOLONG = -12, /* a prompt does not fit the context */
};

typedef struct hyp_err {
    int code;          /* HYP_E..., 0 while nothing failed */
    int sys;           /* errno, or 0 */
    char message[320]; /* one line, no full stop, names the object */
    char hint[200];    /* what to do about it, or empty */
    bool closed;       /* a later failure was left out: so are its hints */
} hyp_err;

#define HYP_ERR_NONE ((hyp_err){0})

/* Fill `err` (may be NULL) with `code` and a formatted message, and return `code`. The first failure wins: a filled
 * `err` is left alone. Thread-safe on distinct objects. */
int hyp_err_set(hyp_err *err, int code, const char *format, ...) HYP_PRINTF(3, 4);

/* The same, with the system's reason: `sys` is an errno value, whose text is appended to the message. */
int hyp_err_set_sys(hyp_err *err, int code, int sys, const char *format, ...) HYP_PRINTF(4, 5);

#ifdef __clang_analyzer__
/* The analyzer sees one file at a time: tell it that these return `code`, or it takes every failure for a success. */
#define hyp_err_set(err, code, ...) ((void)(hyp_err_set)(err, code, __VA_ARGS__), (code))
#define hyp_err_set_sys(err, code, ...) ((void)(hyp_err_set_sys)(err, code, __VA_ARGS__), (code))
#endif

/* Add what the user can do about the failure that was set last; when that was left out because `err` was filled
 * already, or `err` is NULL or holds no failure, nothing happens. It returns nothing, so that nobody takes what it
 * would find in a caller's `err` (NULL perhaps) for the result of what failed. */
void hyp_err_hint(hyp_err *err, const char *format, ...) HYP_PRINTF(2, 3);

/* Pass on a failure that was gathered apart: copied into `err` (may be NULL) unless that is filled. Returns the code of
 * `failure`, 0 when it holds none. */
int hyp_err_pass(hyp_err *err, const hyp_err *failure);

/* Print "hypura: message" and, if there is one, "hint: ..." to `out`, a line each. */
void hyp_err_print(const hyp_err *err, FILE *out);

/* log.h - what the program does, for those who watch it: levels, categories, one line an event.
 *
 * Library code reports through HYP_LOG() and never prints; the program chooses what is kept and where it goes. Nothing
 * is until it does: then a report costs one load and a branch, and its arguments are not evaluated.
 *
 * Threads: settings are made before others start; reporting is for any thread, async-signal-unsafe. */
#pragma once
#include "base/err.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

typedef enum hyp_log_level {
    HYP_LOG_OFF,
    HYP_LOG_ERROR,
    HYP_LOG_WARN,
    HYP_LOG_INFO,
    HYP_LOG_DEBUG,
    HYP_LOG_TRACE,
    HYP_N_LOG_LEVELS
} hyp_log_level;

typedef enum hyp_log_category {
    HYP_LOG_IO,
    HYP_LOG_PAGER,
    HYP_LOG_PLAN,
    HYP_LOG_STREAM,
    HYP_LOG_SESSION,
    HYP_LOG_HTTP,
    HYP_LOG_LLAMA,
    HYP_N_LOG_CATEGORIES
} hyp_log_category;

extern atomic_uchar hyp_log_levels[HYP_N_LOG_CATEGORIES]; /* private to hyp_log_is_on() */

/* Is anything of this category and level kept? Any thread. */
static inline bool hyp_log_is_on(hyp_log_category category, hyp_log_level level) {
    return __builtin_expect(atomic_load_explicit(&hyp_log_levels[category], memory_order_relaxed) >= level, 0);
}

/* The same with short names: HYP_LOG_ON(PAGER, DEBUG). */
#define HYP_LOG_ON(category, level) hyp_log_is_on(HYP_LOG_##category, HYP_LOG_##level)

/* Report one line, without its end: HYP_LOG(PAGER, DEBUG, "evicted unit %u", u). */
#define HYP_LOG(category, level, ...)                                                                                  \
    do {                                                                                                               \
        if (HYP_LOG_ON(category, level)) hyp_log_write(HYP_LOG_##category, HYP_LOG_##level, __VA_ARGS__);              \
    } while (0)

/* The same, whatever the levels are: for a level that is known only at run time, after hyp_log_is_on(). */
void hyp_log_write(hyp_log_category category, hyp_log_level level, const char *format, ...) HYP_PRINTF(3, 4);

/* An event with named values: "name=value ..." as text, members of the object as JSON. */
typedef struct hyp_log_field {
    const char *name;
    enum { HYP_LOG_FIELD_TEXT, HYP_LOG_FIELD_WHOLE, HYP_LOG_FIELD_INT, HYP_LOG_FIELD_REAL } kind;
    /* TEXT: cut so that the line is written as one piece; WHOLE: never cut, so that on a pipe it may be torn by others.
     * NULL leaves the field out. */
    const char *text;
    int64_t integer;
    double real; /* REAL: not finite leaves it out */
} hyp_log_field;

static inline hyp_log_field hyp_log_text(const char *name, const char *text) {
    return (hyp_log_field){.name = name, .kind = HYP_LOG_FIELD_TEXT, .text = text};
}

/* A text that is never cut. */
static inline hyp_log_field hyp_log_whole(const char *name, const char *text) {
    return (hyp_log_field){.name = name, .kind = HYP_LOG_FIELD_WHOLE, .text = text};
}

static inline hyp_log_field hyp_log_int(const char *name, int64_t value) {
    return (hyp_log_field){.name = name, .kind = HYP_LOG_FIELD_INT, .integer = value};
}

static inline hyp_log_field hyp_log_real(const char *name, double value) {
    return (hyp_log_field){.name = name, .kind = HYP_LOG_FIELD_REAL, .real = value};
}

/* Write one event, whatever the levels are: ask HYP_LOG_ON() before. `message` says what happened. */
void hyp_log_event(hyp_log_category category, hyp_log_level level, const char *message, const hyp_log_field *fields,
                   size_t n);

/* Keep what `spec` says: "LEVEL" for all categories, "CATEGORY:LEVEL" for one, separated by commas, from left to right.
 * What it does not name stays. Nothing changes on failure. Errors: HYP_EINVAL (an unknown word; the hint lists them).
 */
HYP_NODISCARD int hyp_log_set_levels(const char *spec, hyp_err *err);

/* Where lines go: appended to the file `path`, or to standard error (NULL); as JSON objects or as text. Closes an
 * earlier file. Errors: HYP_EIO. */
HYP_NODISCARD int hyp_log_open(const char *path, bool json, hyp_err *err);

/* Keep nothing any more and close the file. */
void hyp_log_close(void);

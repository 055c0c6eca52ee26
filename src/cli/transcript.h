/* transcript.h - a conversation as it is kept between turns and saved to a file: messages, in order, as JSON.
 *
 * The file is one JSON object, {"model": ..., "messages": [{"role", "content", "thinking"?}, ...]}, the body of a
 * request to /api/chat. Pure: no engine, no terminal. One thread at a time. */
#pragma once
#include "base/err.h"
#include "base/text.h"

typedef struct hyp_said {
    char *role, *content; /* never NULL */
    char *thinking;       /* or NULL */
} hyp_said;

typedef struct hyp_transcript {
    hyp_said *items;
    size_t n, capacity;
} hyp_transcript;

/* Append a message; the strings are copied, `thinking` may be NULL. Errors: HYP_ENOMEM (nothing changed). */
HYP_NODISCARD int hyp_transcript_add(hyp_transcript *t, const char *role, const char *content, const char *thinking,
                                     hyp_err *err);

/* Forget the messages from index `n` on. */
void hyp_transcript_cut(hyp_transcript *t, size_t n);

/* Make the first message the system message `text`; NULL or "" removes it. Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_transcript_set_system(hyp_transcript *t, const char *text, hyp_err *err);

/* The system message's text, or NULL. Belongs to the transcript. */
const char *hyp_transcript_system(const hyp_transcript *t);

/* Append the messages as a JSON array, without the `n_dropped` oldest that are not the system message. Bytes that are
 * not UTF-8 become U+FFFD. Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_transcript_write(const hyp_transcript *t, size_t n_dropped, hyp_str *out, hyp_err *err);

/* Save to `path` (replaced as a whole), `model` beside the messages. Errors: HYP_EIO, HYP_ENOMEM. */
HYP_NODISCARD int hyp_transcript_save(const hyp_transcript *t, const char *model, const char *path, hyp_err *err);

/* Read a saved file into `*ret` (untouched on failure; the old content is not freed).
 * Errors: HYP_EIO, HYP_ELIMIT (beyond 64 MB), HYP_EFORMAT, HYP_ENOMEM. */
HYP_NODISCARD int hyp_transcript_load(const char *path, hyp_transcript *ret, hyp_err *err);

void hyp_transcript_free(hyp_transcript *t);

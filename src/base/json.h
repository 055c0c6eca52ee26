/* json.h - reading untrusted JSON with Go's leniency, and writing JSON into a string.
 *
 * Reading: yyjson parses; the depth is checked before, since yyjson has no limit of its own. hyp_fields gives typed
 * access to an object as Go's decoder does: a missing key and null are unset, another type is an error in Go's words.
 * Writing: a cursor that places the commas; text that is not UTF-8 is repaired with U+FFFD.
 *
 * Why a writer of our own stands beside yyjson's documents, and when to use which:
 * - hyp_json is for what leaves as one line, once, in order: replies, the events of a stream, log lines, the registry's
 *   cache. It appends to text that is already there (behind "data: ", behind the items of an answer that is still
 *   growing), needs no clean-up, and one flag in hyp_str instead of a test after each call tells that memory ran out.
 * - A yyjson_mut_doc is for what is edited, or printed indented: schemas, `--json` reports, the profile.
 * yyjson cannot take over the first: its writer refuses text that is not UTF-8, or passes the bytes on, where clients
 * must get U+FFFD; and it prints the float 1 as 1.0, which clients have always read as 1. Speed decides nothing:
 * OpenAI's event for one token, 205 bytes, takes 0.9 us here and 0.15 us as a document (10^6 events, median of three,
 * -O2, on an AMD EPYC), beside the token's milliseconds. */
#pragma once
#include "base/text.h"

#include <yyjson.h>

enum { HYP_JSON_MAX_DEPTH = 128 };

/* Parse `n` bytes (any Content-Type) into a document to be freed with yyjson_doc_free().
 * Errors: HYP_EFORMAT ("missing request body", or the parser's words and position), HYP_ELIMIT (nested too deeply),
 * HYP_ENOMEM. */
HYP_NODISCARD int hyp_json_parse(const char *data, size_t n, yyjson_doc **ret, hyp_err *err);

/* --- typed fields of an object; the first failure is kept in `err` and later calls return "unset" --- */
typedef struct hyp_fields {
    yyjson_val *object; /* may be NULL: everything is unset */
    const char *name;   /* of the object, for messages: "ChatRequest" */
    hyp_err *err;       /* not NULL: later calls look there */
} hyp_fields;

yyjson_val *hyp_field(const hyp_fields *f, const char *key); /* NULL when missing or null */
const char *hyp_field_str(const hyp_fields *f, const char *key, const char *fallback);
bool hyp_field_bool(const hyp_fields *f, const char *key, bool fallback);
int64_t hyp_field_int(const hyp_fields *f, const char *key, int64_t fallback);
double hyp_field_real(const hyp_fields *f, const char *key, double fallback);
yyjson_val *hyp_field_array(const hyp_fields *f, const char *key);
yyjson_val *hyp_field_object(const hyp_fields *f, const char *key);

/* "string", "number", "bool", "array", "object", "null". */
const char *hyp_json_kind(yyjson_val *value);

/* --- writing --- */
typedef struct hyp_json {
    hyp_str *out;
    bool comma; /* a value stands before the cursor */
} hyp_json;

void hyp_json_open(hyp_json *j, char bracket);  /* { or [ */
void hyp_json_close(hyp_json *j, char bracket); /* } or ] */
void hyp_json_key(hyp_json *j, const char *key);
void hyp_json_strn(hyp_json *j, const char *text, size_t n);
void hyp_json_str(hyp_json *j, const char *text); /* NULL writes null */
void hyp_json_int(hyp_json *j, int64_t value);
void hyp_json_real(hyp_json *j, double value); /* shortest form that reads back as the same float; not finite: null */
void hyp_json_bool(hyp_json *j, bool value);
void hyp_json_null(hyp_json *j);
void hyp_json_raw(hyp_json *j, const char *json, size_t n); /* a value already written */

/* key and value in one. */
void hyp_json_kv_str(hyp_json *j, const char *key, const char *text);
void hyp_json_kv_int(hyp_json *j, const char *key, int64_t value);
void hyp_json_kv_bool(hyp_json *j, const char *key, bool value);
void hyp_json_kv_real(hyp_json *j, const char *key, double value);
void hyp_json_kv_null(hyp_json *j, const char *key);

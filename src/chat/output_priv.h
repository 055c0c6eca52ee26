/* output_priv.h - shared by output.c (the stream), output_calls.c (the inside of calls) and output_format.c. */
#pragma once
#include "base/text.h"
#include "chat/output.h"
#include "chat/scan_priv.h"

/* Calls found in one body: (name, arguments, id) strings owned by the list. */
typedef struct hyp_call_list {
    struct {
        char *name, *arguments, *id;
    } * items;
    size_t len, cap;
    bool failed; /* out of memory */
} hyp_call_list;

void hyp_call_list_clear(hyp_call_list *list);

/* Read the inside of a call, which starts at `s` just after the opening marker. HYP_CALL_DONE: the calls are appended
 * to `list` and `*ret_used` bytes belong to them, closing marker included when it is there already. HYP_CALL_MORE: the
 * end is not in sight; the answer for a longer text will not contradict. Depends on the text alone. */
hyp_call_status hyp_call_parse(hyp_tool_format format, const char *s, size_t n, yyjson_val *tools, hyp_call_list *list,
                               size_t *ret_used);

/* A bare {"name":..,"parameters" or "arguments":..} at `s`, whose name must be one of `tools`. */
hyp_call_status hyp_call_parse_bare(const char *s, size_t n, yyjson_val *tools, hyp_call_list *list, size_t *ret_used);

/* The arguments of a call to `name`, alone. */
hyp_call_status hyp_call_parse_arguments(const char *s, size_t n, const char *name, size_t name_len,
                                         hyp_call_list *list, size_t *ret_used);

/* Markers of a format, each list NULL-ended. */
typedef struct hyp_marker_set {
    const char *const *open;  /* a call starts */
    const char *const *close; /* may follow a call, after white space; dropped there */
    const char *const *drop;  /* means nothing by itself; dropped in content */
} hyp_marker_set;

const hyp_marker_set *hyp_output_markers(hyp_tool_format format);

typedef struct hyp_think_markers {
    const char *open, *close; /* NULL: none */
} hyp_think_markers;

hyp_think_markers hyp_output_think_markers(hyp_think_format format);

/* output_priv.h - shared by output.c (the stream) and output_calls.c (the inside of calls). */
#pragma once
#include "base/text.h"
#include "chat/family_priv.h"
#include "chat/output.h"

void hyp_call_list_clear(hyp_call_list *list);

/* A bare {"name":..,"parameters" or "arguments":..} at `s`, whose name must be one of `tools`. */
hyp_call_status hyp_call_parse_bare(const char *s, size_t n, yyjson_val *tools, hyp_call_list *list, size_t *ret_used);

/* The arguments of a call to `name`, alone. */
hyp_call_status hyp_call_parse_arguments(const char *s, size_t n, const char *name, size_t name_len,
                                         hyp_call_list *list, size_t *ret_used);

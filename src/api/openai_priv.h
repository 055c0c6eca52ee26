/* openai_priv.h - what the text routes of OpenAI's /v1 share. Private to src/api. */
#pragma once
#include "api/api_priv.h"

/* Sampling fields of a request, with OpenAI's defaults. False: answered. */
bool hyp_openai_read_sampling(api *a, hyp_job *job);
/* stream_options.include_usage */
bool hyp_openai_wants_usage(const api *a);
/* The form the answer is to have: `format` holds its type, `schema` a json_schema's schema, and `where` names that one
 * in messages. False: answered. */
bool hyp_openai_take_format(api *a, hyp_conversation *c, const hyp_fields *format, const hyp_fields *schema,
                            const char *where);
/* reasoning.effort of the body, or NULL; and how much a model that can is to reason (NULL: as it does by itself).
 * False: answered. */
yyjson_val *hyp_openai_reasoning_effort(const api *a);
bool hyp_openai_take_effort(api *a, hyp_conversation *c, yyjson_val *effort);
/* {"id":..,"object":..,"created":..,"model":..,"system_fingerprint":.. and leave the object open. */
void hyp_openai_put_head(hyp_json *j, const gen *g, const char *object);
void hyp_openai_put_usage(hyp_json *j, const hyp_stats *stats);
/* "logprobs":{"content":[...]} of one event or of all that were kept; left out when there are none. */
void hyp_openai_put_logprobs(hyp_json *j, const hyp_event *events, bool all);
/* A streamed chunk's frame. */
void hyp_openai_begin_data(hyp_str *out);
void hyp_openai_end_data(hyp_str *out);
/* After the last chunk: the usage, if asked for, and [DONE]. */
void hyp_openai_finish_stream(gen *g, const hyp_event *event, const char *object, hyp_str *out);

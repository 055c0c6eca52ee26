/* openai.h - what the two text routes of /v1 share. Private to src/server. */
#pragma once
#include "server/api.h"

/* Sampling fields of a chat or completion request, with OpenAI's defaults. False: answered. */
bool openai_read_sampling(api *a, hyp_job *job);
/* {"id":..,"object":..,"created":..,"model":..,"system_fingerprint":.. and leave the object open. */
void openai_put_head(hyp_json *j, const gen *g, const char *object);
void openai_put_usage(hyp_json *j, const hyp_stats *stats);
/* A streamed chunk's frame. */
void openai_begin_data(hyp_str *out);
void openai_end_data(hyp_str *out);
/* After the last chunk: the usage, if asked for, and [DONE]. */
void openai_finish_stream(gen *g, const hyp_event *event, const char *object, hyp_str *out);

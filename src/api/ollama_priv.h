/* ollama_priv.h - what the routes of Ollama's /api share that answer with work: objects of the same frame, one a line
 * in a stream. Private to src/api. */
#pragma once
#include "api/api_priv.h"

/* Without anything to do: is the model to be unloaded ("keep_alive": 0), or else loaded? */
bool hyp_ollama_wants_unload(const api *a, const hyp_job *job);

/* Durations and counts, those that are 0 left out. */
void hyp_ollama_put_stats(hyp_json *j, const hyp_stats *stats);

/* {"model":..,"created_at":.. and leave the object open. */
void hyp_ollama_begin_line(const gen *g, hyp_json *j);
/* `content` as `key`, "" for NULL; and reasoning, unless it is NULL. */
void hyp_ollama_put_text(hyp_json *j, const char *key, const char *content, const char *thinking);
/* The same of all that was gathered. */
void hyp_ollama_put_gathered(hyp_json *j, const char *key, const gen *g);
/* done and why, with the context and the counts. */
void hyp_ollama_put_done(hyp_json *j, const hyp_event *event);
/* Logprobs of one event or of all that were kept; the bracket, and in a stream the end of the line. */
void hyp_ollama_end_line(const gen *g, hyp_json *j, const hyp_event *events, bool all);

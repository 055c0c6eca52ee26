/* rewrite_priv.h - messages and tools in OpenAI's form, which conversations are read from, written by codecs whose own
 * form is another.
 *
 * A document holds one list. Values are copied into it, strings in C must outlive it unless said otherwise; without
 * memory what is written is incomplete, never wrong in shape. HTTP threads, each with documents of its own. Private to
 * src/api. */
#pragma once
#include "api/api_priv.h"

/* Begin a list, forgetting what `doc` held before. */
void hyp_rewrite_begin(yyjson_mut_doc *doc);

/* Append a message of `role` (copied) and return it, or a function's tool. A value that is NULL is left out. */
yyjson_mut_val *hyp_rewrite_add_message(yyjson_mut_doc *doc, const char *role);
void hyp_rewrite_add_tool(yyjson_mut_doc *doc, yyjson_val *name, yyjson_val *description, yyjson_val *parameters);
/* The result of a tool's call, a message of its own: return it without its content. */
yyjson_mut_val *hyp_rewrite_add_result(yyjson_mut_doc *doc, yyjson_val *call_id);

/* Append to a list of content's parts: a text, or the part by which a request with images is refused. */
void hyp_rewrite_add_text(yyjson_mut_doc *doc, yyjson_mut_val *parts, yyjson_val *text);
void hyp_rewrite_add_image(yyjson_mut_doc *doc, yyjson_mut_val *parts);
/* Append to a message's list of calls; `arguments` are an object or its text. */
void hyp_rewrite_add_call(yyjson_mut_doc *doc, yyjson_mut_val *calls, yyjson_val *id, yyjson_val *name,
                          yyjson_val *arguments);

/* Set a field to a copy of `value`; NULL: nothing is set. */
void hyp_rewrite_put(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, yyjson_val *value);

/* Hand the finished list to the conversation, as messages or as tools with the choice among them
 * (hyp_api_take_tools()). False: answered. */
bool hyp_rewrite_take_messages(api *a, hyp_conversation *c, yyjson_mut_doc *doc);
bool hyp_rewrite_take_tools(api *a, hyp_conversation *c, yyjson_mut_doc *doc, const char *choice, bool named);

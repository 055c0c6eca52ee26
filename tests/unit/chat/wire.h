/* wire.h - the tests' conversations, written as clients send them, as typed messages. The codecs' own readers, and what
 * they refuse, are tested in session-conversation. */
#pragma once
#include "chat/message.h"

#include <stdlib.h>
#include <string.h>

static inline char *wire_text(yyjson_val *value) {
    size_t i, n, length = 0;
    yyjson_val *part;
    if (!yyjson_is_arr(value)) return strdup(yyjson_is_str(value) ? yyjson_get_str(value) : "");
    char *text = calloc(1, 65536);
    yyjson_arr_foreach(value, i, n, part) {
        const char *piece = yyjson_get_str(yyjson_obj_get(part, "text"));
        if (piece == NULL) continue;
        strcpy(text + length, piece);
        length += strlen(piece);
    }
    return text;
}

static inline char *wire_field(yyjson_val *object, const char *a, const char *b) {
    yyjson_val *value = yyjson_obj_get(object, a);
    if (!yyjson_is_str(value)) value = yyjson_obj_get(object, b);
    return yyjson_is_str(value) ? strdup(yyjson_get_str(value)) : NULL;
}

static inline yyjson_doc *wire_arguments(yyjson_val *value) {
    size_t n = 0;
    char *text = yyjson_is_str(value) ? strdup(yyjson_get_str(value)) : yyjson_val_write(value, 0, &n);
    yyjson_doc *doc = text != NULL ? yyjson_read(text, strlen(text), 0) : NULL;
    free(text);
    return doc;
}

/* The caller frees each message and the array. */
static inline hyp_message *wire_messages(yyjson_val *json, size_t *ret_n) {
    size_t i, k, n, n_calls;
    yyjson_val *from, *call;
    hyp_message *all = calloc(yyjson_arr_size(json) + 1, sizeof *all);
    yyjson_arr_foreach(json, i, n, from) {
        yyjson_val *calls = yyjson_obj_get(from, "tool_calls");
        hyp_message *m = &all[i];
        *m = (hyp_message){.role = wire_field(from, "role", "role"),
                           .content = wire_text(yyjson_obj_get(from, "content")),
                           .thinking = wire_field(from, "thinking", "reasoning_content"),
                           .tool_name = wire_field(from, "tool_name", "name"),
                           .tool_call_id = wire_field(from, "tool_call_id", "tool_call_id"),
                           .calls = calloc(yyjson_arr_size(calls) + 1, sizeof *m->calls)};
        yyjson_arr_foreach(calls, k, n_calls, call) {
            yyjson_val *function = yyjson_obj_get(call, "function");
            char *id = wire_field(call, "id", "id");
            m->calls[m->n_calls++] =
                (hyp_message_call){.id = id != NULL ? id : strdup(""),
                                   .name = wire_field(function, "name", "name"),
                                   .arguments = wire_arguments(yyjson_obj_get(function, "arguments"))};
        }
    }
    *ret_n = yyjson_arr_size(json);
    return all;
}

static inline void wire_free(hyp_message *messages, size_t n) {
    for (size_t i = 0; i < n; i++)
        hyp_message_clear(&messages[i]);
    free(messages);
}

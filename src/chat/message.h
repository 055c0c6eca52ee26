/* message.h - the messages of a conversation: what every codec makes of its own form, and what templates are given.
 * Plain data; whoever makes one owns its strings. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include <yyjson.h>

typedef struct hyp_message_call {
    char *id, *name;       /* never NULL; an id may be empty */
    yyjson_doc *arguments; /* its root is an object; NULL: {} */
} hyp_message_call;

typedef struct hyp_message {
    char *role, *content;                      /* never NULL; valid UTF-8 */
    char *thinking, *tool_name, *tool_call_id; /* or NULL */
    hyp_message_call *calls;
    size_t n_calls;
    bool has_images;
} hyp_message;

/* Free what a message owns, not itself. Accepts one that is partly filled. */
void hyp_message_clear(hyp_message *message);

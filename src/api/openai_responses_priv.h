/* openai_responses_priv.h - POST /v1/responses: what the request (openai_responses.c) leaves for the answer
 * (openai_responses_out.c). Private to them. */
#pragma once
#include "api/api_priv.h"

/* An output item. Each has its own place, id and events. */
typedef enum response_item { RESPONSE_NOTHING, RESPONSE_REASONING, RESPONSE_MESSAGE, RESPONSE_CALL } response_item;

typedef struct response {
    hyp_str echo;   /* what every response object repeats of the request: members of an object */
    bool encrypted; /* reasoning is wanted in encrypted_content too */

    hyp_str items;      /* those that are finished, with commas between */
    size_t n_items;     /* in it */
    response_item open; /* what is being written now */
    char id[40];        /* its id */
    hyp_str text;       /* its text so far; a call's arguments */
    bool answered;      /* there was a message or a call */
    int64_t sequence;   /* of the next event */
} response;

/* Events into response objects and streams of them; g->own is a response. */
extern const gen_ops hyp_openai_responses_ops;

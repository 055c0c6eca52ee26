/* api_priv.h - what the codecs share: the server, a parsed request, replies, and answers that stream. Private to
 * src/api.
 *
 * A codec is one file: it turns a request into a job and the job's events into the protocol's bytes. */
#pragma once
#include "api/server.h"
#include "base/times.h"
#include "http/http.h"
#include "registry/registry.h"
#include "session/job.h"
#include "session/scheduler.h"

#define API_JSON "application/json; charset=utf-8"
#define V1_JSON "application/json"
#define NDJSON "application/x-ndjson"
#define EVENT_STREAM "text/event-stream"
#define OLLAMA_VERSION "0.33.0" /* what clients compare with; the API spoken is that version's */

struct hyp_server {
    hyp_server_config config;
    hyp_http_config http_config;
    hyp_registry *registry;
    hyp_scheduler *scheduler;
    hyp_http *http;
    int64_t started_ns;
};

/* Whose words errors and streams are in. */
typedef enum api_style { STYLE_OLLAMA, STYLE_OPENAI, STYLE_ANTHROPIC } api_style;

/* --- one request being read --- */
typedef struct api {
    hyp_server *server;
    hyp_request *request;
    yyjson_doc *doc;
    hyp_fields f; /* of the body */
    hyp_err err;
    const char *model; /* as the client spelled it */
    hyp_entry *entry;
    api_style style;
} api;

/* Answer with an error in the protocol's format. Returns false, for `return hyp_api_error(...)`. */
bool hyp_api_error(api *a, int status, const char *format, ...) HYP_PRINTF(3, 4);
/* The same from a->err: 400, or 500 when memory lacks. */
bool hyp_api_fail(api *a);
/* Write an error object. */
void hyp_api_put_error(api_style style, int status, const char *message, hyp_str *out);

/* Parse the body as an object called `name` in messages. False: answered. */
bool hyp_api_open(api *a, hyp_server *server, hyp_request *request, const char *name);
/* Find the model that the body names in `model` or else `name`. False: answered. */
bool hyp_api_find_model(api *a);
void hyp_api_close(api *a);
/* The three together: open, let `handle` answer, close. What `handle` returns is not asked for: it is there for
 * `return hyp_api_error(...)`. HTTP thread. */
void hyp_api_handle(hyp_request *request, hyp_server *server, const char *name, bool (*handle)(api *a));

/* Answer 200 with what was written. */
void hyp_api_reply(api *a, hyp_str *body);

/* A new job for a->entry with its parameters, keep_alive and `options` taken from the body. NULL: answered. */
hyp_job *hyp_api_new_job(api *a, hyp_job_kind kind);

/* Take `logprobs` and `top_logprobs`; and beside them Ollama's `truncate` and `shift`. False: answered. */
bool hyp_api_read_logprobs(api *a, hyp_job *job);
bool hyp_api_read_limits(api *a, hyp_job *job);
/* Take Ollama's `think`: unset means true where the model can. False: answered. */
bool hyp_api_read_think(api *a, hyp_conversation *c);

/* What every chat is checked for and given beside its messages. Each answers and returns false, or NULL, when it
 * refuses. */

/* An empty conversation for `job`, whose model must be one that chats. It belongs to the job. */
hyp_conversation *hyp_api_new_conversation(api *a, hyp_job *job);
/* The messages are read: refuse images, add the alias's system message where there is none, and its template. */
bool hyp_api_finish_messages(api *a, hyp_conversation *c);
/* Take tools in OpenAI's form (NULL or empty: none) and the choice among them: a tool's name if `named`, else "auto",
 * "none" or "required"; NULL: not chosen. */
bool hyp_api_take_tools(api *a, hyp_conversation *c, yyjson_val *tools, const char *choice, bool named);

/* --- an answer made from a job's events --- */
typedef struct gen gen;
typedef struct gen_ops {
    /* A streamed DELTA, TOOL_CALL: append what to send. */
    void (*chunk)(gen *g, const hyp_event *event, hyp_str *out);
    /* DONE of a stream: what ends it. */
    void (*end)(gen *g, const hyp_event *event, hyp_str *out);
    /* DONE otherwise: the whole object, from what was gathered. */
    void (*whole)(gen *g, const hyp_event *event, hyp_str *out);
    const char *stream_type, *plain_type;
    api_style style;
    /* ERROR within a stream. NULL: the style's error object. */
    void (*fail)(gen *g, const hyp_event *event, hyp_str *out);
    /* Free g->own, which may be NULL. NULL: there is none. */
    void (*free_own)(void *own);
} gen_ops;

struct gen {
    const gen_ops *ops;
    hyp_server *server;
    hyp_request *request;
    hyp_job *job;
    bool stream;
    bool started;                /* the status is sent */
    bool spoke;                  /* a chunk was made of an event */
    bool logged;                 /* its line in the log is written */
    int64_t last_sign_ns;        /* monotonic; when the client last got something */
    hyp_str content, thinking;   /* gathered when not streaming */
    hyp_event *kept, *kept_last; /* events with tool calls, logprobs or vectors, when not streaming */
    size_t n_calls;
    hyp_stats begun; /* the prompt's counts, once it is taken up */
    /* for codecs */
    void *own; /* a codec's own state */
    char id[40];
    int64_t created_s;
    bool include_usage, base64;
    int64_t dimensions;
    const char *block; /* the kind of content block that is open in a stream, or NULL */
    int n_blocks;      /* closed before it */
};

/* Submit `job` (taken) and let the request be answered by `ops`. False: answered with an error already. */
bool hyp_gen_start(api *a, hyp_job *job, const gen_ops *ops, bool stream);

/* A route that does nothing but turn its body into a job, and the job's events into an answer. */
typedef struct gen_route {
    const char *body;      /* its name in messages */
    const char *id_prefix; /* of the answer's id */
    hyp_job_kind kind;
    /* Fill g->job from the body, and what the codec keeps in `g`. False: answered. */
    bool (*fill)(api *a, gen *g);
    const gen_ops *ops; /* without `chunk` nothing is streamed */
} gen_route;

/* Handle a request of such a route. HTTP thread. */
void hyp_gen_handle(hyp_request *r, hyp_server *server, const gen_route *route);

/* An event of a stream whose events have names: "event: TYPE" and an object with its `type`, left open. */
void hyp_gen_begin_event(hyp_str *out, const char *type, hyp_json *ret);
void hyp_gen_end_event(hyp_json *j);

/* A list of logprobs, of one event or of all that were kept. */
void hyp_gen_put_logprobs(hyp_json *j, const hyp_event *events, bool all);
bool hyp_gen_has_logprobs(const hyp_event *events);
/* "tool_calls": [...] of one event or of all that were kept, each written by `put`; left out when there is none. */
void hyp_gen_put_calls(hyp_json *j, const hyp_event *events, bool all, void (*put)(hyp_json *j, const hyp_event *call));
/* "prefix" and 24 random hex digits. */
void hyp_gen_new_id(const char *prefix, char *ret, size_t size);

/* --- model descriptions (model_info.c) --- */
void hyp_modelinfo_put_details(hyp_json *j, const hyp_entry *entry, const hyp_server *server);
void hyp_modelinfo_put_capabilities(hyp_json *j, unsigned capabilities);
/* Answer with every model that is known, each written by `put`, in the list that the protocol has for them. */
void hyp_modelinfo_list(api *a, void (*put)(hyp_json *j, const hyp_entry *entry, const hyp_server *server));
/* The whole /api/show object. */
HYP_NODISCARD int hyp_modelinfo_show(const hyp_server *server, const hyp_entry *entry, bool verbose, hyp_str *out,
                                     hyp_err *err);

/* --- routes --- */

/* The files that answer routes. Each exports them as FILE_routes, ended by a row without a path; a new file is one line
 * here, and a new route of a file one row of its own. */
#define API_ROUTE_FILES(X)                                                                                             \
    X(anthropic)                                                                                                       \
    X(metrics)                                                                                                         \
    X(ollama_chat)                                                                                                     \
    X(ollama_embed)                                                                                                    \
    X(ollama_generate)                                                                                                 \
    X(ollama_manage)                                                                                                   \
    X(ollama_models)                                                                                                   \
    X(openai_chat)                                                                                                     \
    X(openai_completions)                                                                                              \
    X(openai_embeddings)                                                                                               \
    X(openai_models)                                                                                                   \
    X(openai_responses)                                                                                                \
    X(ui)
#define API_DECLARE_ROUTES(file) extern const hyp_route hyp_##file##_routes[];
API_ROUTE_FILES(API_DECLARE_ROUTES)

/* All of them, ended by NULL; what hyp_http_config wants. Handlers get the hyp_server as their context. */
extern const hyp_route *const hyp_api_routes[];

/* output.c - the stream: which part of the text is reasoning, answer or call.
 *
 * Text waits in `buf` from `at` on until it can be judged. Every step looks at what is there and either consumes some
 * of it or waits for more; its judgement never depends on where the text happens to end, so the pieces do not matter.
 * White space at the end of a part is held in `space`: it is dropped if the part ends there and given out if it goes
 * on. */
#include "chat/output_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

enum {
    MAX_CALL_BYTES = 1 << 20, /* a longer call is taken for text */
    SLACK_BYTES = 256,        /* waited for beyond these limits, so that the last marker can complete */
    MAX_HEADER_BYTES = 1024   /* of a channel */
};

typedef enum state { CONTENT, THINK, CALL, AFTER_CALL, HEADER, ARGUMENTS } state;

struct hyp_output {
    yyjson_val *tools; /* NULL: no calls */
    hyp_output_sink sink;
    const hyp_tool_family *family;
    const hyp_think_family *think;
    state state;
    hyp_str buf;
    size_t at;
    hyp_str space;
    bool skip_space;      /* at the start of a part that loses its leading white space */
    bool content_started; /* something other than white space since the start or the last call */
    bool braced, fenced;  /* the bare call stands in doubled braces, in a code fence: what closes them is dropped */
    size_t open_bytes;    /* in CALL: the opening marker at buf[at] */
    size_t body_offset;   /* in CALL: where its inside starts */
    char name[160];       /* in ARGUMENTS: the function */
    bool failed;          /* out of memory */
};

static const char *const harmony_ends[] = {"<|end|>", "<|return|>", "<|call|>", "<|start|>", "<|channel|>", NULL};

static const char *text(const hyp_output *o) {
    return o->buf.data + o->at;
}
static size_t left(const hyp_output *o) {
    return o->buf.length - o->at;
}

/* --- giving out --- */

static void deliver(hyp_output *o, const char *s, size_t n) {
    if (n == 0) return;
    if (o->state == THINK)
        o->sink.thinking(o->sink.arg, s, n);
    else
        o->sink.content(o->sink.arg, s, n);
}

static void give(hyp_output *o, const char *s, size_t n) {
    if (o->skip_space) {
        size_t skip = hyp_scan_skip_space(s, n, 0);
        s += skip;
        n -= skip;
    }
    if (n == 0) return;
    o->skip_space = false;
    size_t solid = n;
    while (solid > 0 && hyp_scan_is_space(s[solid - 1]))
        solid--;
    if (solid > 0) {
        if (o->state != THINK) o->content_started = true;
        deliver(o, o->space.data, o->space.length);
        o->space.length = 0;
        deliver(o, s, solid);
    }
    hyp_str_append(&o->space, s + solid, n - solid);
}

static void consume(hyp_output *o, size_t n) {
    o->at += n;
}

/* The current part ends here. */
static void enter(hyp_output *o, state next) {
    o->space.length = 0;
    o->skip_space = next == THINK || o->state == THINK || o->state == AFTER_CALL;
    o->state = next;
}

static void deliver_calls(hyp_output *o, hyp_call_list *list) {
    for (size_t i = 0; i < list->len && !list->failed; i++) {
        hyp_tool_call call = {list->items[i].name, list->items[i].arguments, list->items[i].id};
        o->sink.call(o->sink.arg, &call);
    }
    o->failed |= list->failed;
    o->content_started = false;
}

/* --- searching --- */

typedef struct hit {
    size_t at;          /* where it starts; the text's length if there is none */
    const char *marker; /* NULL: the text ends inside one that starts at `at`, or there is none */
    bool open;          /* it opens a call */
} hit;

static bool try_markers(const char *s, size_t n, size_t i, const char *const *list, bool open, hit *h) {
    for (; list != NULL && *list != NULL; list++) {
        int is = hyp_scan_at_word(s, n, i, *list);
        if (is == 0) continue;
        *h = (hit){.at = i, .marker = is > 0 ? *list : NULL, .open = open};
        return true;
    }
    return false;
}

/* The first marker that ends or interrupts the current part. */
static hit find_marker(const hyp_output *o) {
    const char *s = text(o);
    size_t n = left(o);
    const char *const close[] = {o->think->close, NULL};
    const char *const *ends = o->family->channels || o->think->channels ? harmony_ends : NULL;
    hit h = {.at = n};
    for (size_t i = 0; i < n; i++) {
        if (s[i] != '<' && s[i] != '[') continue; /* every marker starts with one of them */
        if (try_markers(s, n, i, ends, false, &h)) return h;
        if (o->state == THINK) {
            if (try_markers(s, n, i, close, false, &h)) return h;
            continue;
        }
        if (o->tools != NULL && try_markers(s, n, i, o->family->open, true, &h)) return h;
        if (try_markers(s, n, i, o->family->drop, false, &h)) return h;
    }
    return h;
}

/* Give out the text before a marker (or all that is whole); false if nothing could be. */
static bool give_until(hyp_output *o, const hit *h, bool final) {
    size_t n = h->at;
    bool no_marker = h->at == left(o);
    if (h->marker == NULL && final)
        n = left(o);
    else if (no_marker)
        n = hyp_utf8_whole(text(o), n);
    if (n == 0) return false;
    give(o, text(o), n);
    consume(o, n);
    return true;
}

/* --- the steps: true if something was consumed or the state changed --- */

static bool step_think(hyp_output *o, bool final) {
    hit h = find_marker(o);
    if (h.at > 0 || h.marker == NULL) return give_until(o, &h, final);
    if (!o->think->channels || strcmp(h.marker, "<|channel|>") != 0) consume(o, strlen(h.marker));
    enter(o, o->think->channels ? HEADER : CONTENT);
    return true;
}

/* Where the bare call would start: small models put it into a code fence, or copy the doubled braces of a template that
 * was meant to be formatted once more. SIZE_MAX: not yet known. */
static size_t bare_start(const hyp_output *o, size_t skip, bool *ret_braced, bool *ret_fenced) {
    static const char *const fences[] = {"```json\n", "```\n"};
    const char *s = text(o);
    size_t n = left(o);
    *ret_braced = *ret_fenced = false;
    if (!o->family->wrapped) return skip;
    for (size_t i = 0; i < HYP_ARRAY_LEN(fences) && !*ret_fenced; i++) {
        int is = hyp_scan_at_word(s, n, skip, fences[i]);
        if (is < 0) return SIZE_MAX;
        if (is == 0) continue;
        *ret_fenced = true;
        skip += strlen(fences[i]);
    }
    skip = hyp_scan_skip_space(s, n, skip);
    if (skip == n || (s[skip] == '{' && skip + 1 == n)) return SIZE_MAX;
    *ret_braced = s[skip] == '{' && s[skip + 1] == '{';
    return skip + *ret_braced;
}

/* A bare JSON call where an answer could begin: Llama 3's form, and what models that should use tags write instead.
 * 1: taken; -1: not yet known; 0: none. */
static int try_bare_call(hyp_output *o, bool final) {
    size_t skip = hyp_scan_skip_space(text(o), left(o), 0), used = 0;
    if (skip == left(o) || (text(o)[skip] != '{' && text(o)[skip] != '`')) return 0;
    bool braced, fenced;
    skip = bare_start(o, skip, &braced, &fenced);
    if (skip == SIZE_MAX) return final ? 0 : -1;
    if (text(o)[skip] != '{') return 0;
    hyp_call_list list = {0};
    hyp_call_status status = hyp_call_parse_bare(text(o) + skip, left(o) - skip, o->tools, &list, &used);
    if (status == HYP_CALL_DONE && used <= MAX_CALL_BYTES) {
        enter(o, AFTER_CALL);
        deliver_calls(o, &list);
        consume(o, skip + used);
        o->braced = braced;
        o->fenced = fenced;
    }
    hyp_call_list_clear(&list);
    if (status == HYP_CALL_DONE && used <= MAX_CALL_BYTES) return 1;
    if (status == HYP_CALL_MORE && !final && left(o) <= MAX_CALL_BYTES + SLACK_BYTES) return -1;
    give(o, text(o), skip + 1); /* text after all: past its bracket, so that it is not tried again */
    consume(o, skip + 1);
    return 1;
}

static bool step_content(hyp_output *o, bool final) {
    if (left(o) == 0) return false;
    if (!o->content_started && o->think->open != NULL) {
        size_t skip = hyp_scan_skip_space(text(o), left(o), 0);
        int is = hyp_scan_at_word(text(o), left(o), skip, o->think->open);
        if (is > 0) {
            consume(o, skip + strlen(o->think->open));
            enter(o, THINK);
            return true;
        }
        if (is < 0 && skip < left(o) && !final) return false;
    }
    if (!o->content_started && o->tools != NULL && o->family->bare) {
        int taken = try_bare_call(o, final);
        if (taken != 0) return taken > 0;
    }
    hit h = find_marker(o);
    if (!o->content_started && h.at > 0) { /* what follows leading white space is judged on its own, as above */
        size_t skip = hyp_scan_skip_space(text(o), h.at, 0);
        if (skip > 0) h = (hit){.at = skip, .marker = ""};
    }
    if (h.at > 0 || h.marker == NULL) return give_until(o, &h, final);
    if (h.open) {
        o->open_bytes = strlen(h.marker);
        o->body_offset = o->family->inside != NULL && strcmp(h.marker, o->family->inside) == 0 ? 0 : o->open_bytes;
        o->state = CALL;
        return true;
    }
    bool channel = strcmp(h.marker, "<|channel|>") == 0, end = false;
    for (size_t i = 0; harmony_ends[i] != NULL; i++)
        end |= strcmp(h.marker, harmony_ends[i]) == 0;
    if (!channel) consume(o, strlen(h.marker));
    if (end) enter(o, HEADER);
    return true;
}

/* What looked like a call is text: give its first `n` bytes out and go on behind them. */
static void back_to_text(hyp_output *o, size_t n) {
    o->state = CONTENT;
    give(o, text(o), n);
    consume(o, n);
}

/* The generation ended inside a call: perhaps only its closing marker is missing. */
static hyp_call_status parse_unclosed(hyp_output *o, hyp_call_list *list, size_t *ret_used) {
    hyp_str whole = {0};
    hyp_str_append(&whole, text(o) + o->body_offset, left(o) - o->body_offset);
    if (o->family->close[0] != NULL) hyp_str_puts(&whole, o->family->close[0]);
    hyp_call_status status = HYP_CALL_BAD;
    hyp_call_list_clear(list);
    if (!whole.failed && whole.data != NULL)
        status = o->family->parse(whole.data, whole.length, o->tools, list, ret_used);
    hyp_str_free(&whole);
    if (*ret_used > left(o) - o->body_offset) *ret_used = left(o) - o->body_offset;
    return status;
}

static bool step_call(hyp_output *o, bool final) {
    hyp_call_list list = {0};
    size_t used = 0;
    hyp_call_status status =
        o->family->parse(text(o) + o->body_offset, left(o) - o->body_offset, o->tools, &list, &used);
    bool too_long = left(o) > MAX_CALL_BYTES + SLACK_BYTES;
    if (status == HYP_CALL_MORE && final && !too_long) status = parse_unclosed(o, &list, &used);
    bool wait = status == HYP_CALL_MORE && !too_long && !final;
    if (status == HYP_CALL_DONE && used <= MAX_CALL_BYTES) {
        enter(o, AFTER_CALL);
        deliver_calls(o, &list);
        consume(o, o->body_offset + used);
    } else if (!wait) {
        back_to_text(o, o->open_bytes);
    }
    hyp_call_list_clear(&list);
    return !wait;
}

static bool step_after_call(hyp_output *o, bool final) {
    size_t skip = hyp_scan_skip_space(text(o), left(o), 0), n = left(o);
    if (skip == n) {
        if (final) consume(o, n);
        return false;
    }
    if (o->family->separator != '\0' && text(o)[skip] == o->family->separator) {
        consume(o, skip + 1);
        return true;
    }
    if (o->braced || o->fenced) { /* in this order, each at most once */
        int is = hyp_scan_at_word(text(o), n, skip, o->braced ? "}" : "```");
        if (is < 0 && !final) return false;
        if (is > 0) consume(o, skip + (o->braced ? 1 : 3));
        if (o->braced)
            o->braced = false;
        else
            o->fenced = false;
        return true;
    }
    hit h;
    if (try_markers(text(o), n, skip, o->family->close, false, &h)) {
        if (h.marker == NULL && !final) return false;
        if (h.marker != NULL) {
            consume(o, skip + strlen(h.marker));
            return true;
        }
    }
    consume(o, skip);
    enter(o, CONTENT);
    return true;
}

/* --- channels --- */

/* Could the text at s be a channel's header, "<|..." or "to=..." after an optional role? 1 yes, 0 no, -1 too short to
 * say. */
static int header_like(const char *s, size_t n) {
    static const char role[] = "assistant";
    size_t skip = hyp_scan_skip_space(s, n, 0);
    if (skip == n) return -1;
    int is_role = hyp_scan_at_word(s, n, skip, role);
    if (is_role < 0) return -1;
    if (is_role > 0) {
        skip += strlen(role);
        skip = hyp_scan_skip_space(s, n, skip);
        if (skip == n) return -1;
    }
    int channel = hyp_scan_at_word(s, n, skip, "<|"), to = hyp_scan_at_word(s, n, skip, "to=");
    return channel > 0 || to > 0 ? 1 : channel < 0 || to < 0 ? -1 : 0;
}

/* The function that a header addresses: "to=functions.NAME". */
static bool recipient(const char *s, size_t n, char *name, size_t size) {
    static const char to[] = "to=functions.";
    const char *at = memmem(s, n, to, strlen(to));
    if (at == NULL) return false;
    at += strlen(to);
    size_t len = 0;
    while (at + len < s + n && !hyp_scan_is_space(at[len]) && at[len] != '<')
        len++;
    if (len == 0 || len >= size) return false;
    memcpy(name, at, len);
    name[len] = '\0';
    return true;
}

static bool step_header(hyp_output *o, bool final) {
    static const char message[] = "<|message|>";
    const char *s = text(o), *end = left(o) > 0 ? memmem(s, left(o), message, strlen(message)) : NULL;
    size_t n = end != NULL ? (size_t)(end - s) : left(o);
    int like = header_like(s, left(o));
    if (like == 0 || n > MAX_HEADER_BYTES + (end != NULL ? 0 : strlen(message))) {
        if (like == 0)
            o->state = CONTENT;
        else
            back_to_text(o, 1);
        return true;
    }
    if (end == NULL) {
        if (!final) return false;
        consume(o, n); /* the rest of a header, such as <|call|> or <|return|>, says nothing */
        return false;
    }
    bool analysis = memmem(s, n, "<|channel|>analysis", strlen("<|channel|>analysis")) != NULL;
    bool call = o->tools != NULL && recipient(s, n, o->name, sizeof o->name);
    consume(o, n + strlen(message));
    enter(o, call ? ARGUMENTS : analysis ? THINK : CONTENT);
    return true;
}

static bool step_arguments(hyp_output *o, bool final) {
    hyp_call_list list = {0};
    size_t used = 0;
    hyp_call_status status = hyp_call_parse_arguments(text(o), left(o), o->name, strlen(o->name), &list, &used);
    bool wait = status == HYP_CALL_MORE && !final && left(o) <= MAX_CALL_BYTES + SLACK_BYTES;
    if (status == HYP_CALL_DONE && used <= MAX_CALL_BYTES) {
        enter(o, HEADER);
        deliver_calls(o, &list);
        consume(o, used);
    } else if (!wait) {
        o->state = CONTENT;
    }
    hyp_call_list_clear(&list);
    return !wait;
}

static bool step(hyp_output *o, bool final) {
    switch (o->state) {
    case CONTENT: return step_content(o, final);
    case THINK: return step_think(o, final);
    case CALL: return step_call(o, final);
    case AFTER_CALL: return step_after_call(o, final);
    case HEADER: return step_header(o, final);
    case ARGUMENTS: return step_arguments(o, final);
    }
    return false;
}

/* --- the outside --- */

bool hyp_output_prompt_thinks(hyp_think_format format, const char *prompt) {
    const char *open = hyp_think_family_of(format)->open;
    size_t n = prompt != NULL ? strlen(prompt) : 0, len = open != NULL ? strlen(open) : 0;
    while (n > 0 && hyp_scan_is_space(prompt[n - 1]))
        n--;
    return len > 0 && n >= len && memcmp(prompt + n - len, open, len) == 0;
}

/* The template may have opened the reasoning, or part of a channel's header, at the end of the prompt. */
static void start_from_prompt(hyp_output *o, const char *prompt) {
    if (o->think->channels) {
        static const char start[] = "<|start|>", message[] = "<|message|>";
        const char *last = NULL;
        for (const char *s = prompt; s != NULL && (s = strstr(s, start)) != NULL; s += strlen(start))
            last = s + strlen(start);
        o->state = HEADER;
        if (last == NULL || strstr(last, "<|") == NULL) return; /* nothing but the role */
        const char *body = strstr(last, message);
        hyp_str_append(&o->buf, last, body != NULL ? (size_t)(body - last) + strlen(message) : strlen(last));
        return;
    }
    if (hyp_output_prompt_thinks(o->think->format, prompt)) enter(o, THINK);
}

int hyp_output_new(hyp_output_format format, const char *prompt, yyjson_val *tools, hyp_output_sink sink,
                   hyp_output **ret, hyp_err *err) {
    hyp_output *o = calloc(1, sizeof *o);
    if (o == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    o->tools = yyjson_is_arr(tools) && yyjson_arr_size(tools) > 0 ? tools : NULL;
    o->sink = sink;
    o->family = hyp_tool_family_of(format.tools);
    o->think = hyp_think_family_of(format.think);
    start_from_prompt(o, prompt);
    *ret = o;
    return HYP_OK;
}

static int check(hyp_output *o, hyp_err *err) {
    if (!o->failed && !o->buf.failed && !o->space.failed) return HYP_OK;
    return hyp_err_set(err, HYP_ENOMEM, "out of memory");
}

int hyp_output_feed(hyp_output *o, const char *bytes, size_t n, hyp_err *err) {
    hyp_str_append(&o->buf, bytes, n);
    while (!o->buf.failed && o->buf.data != NULL && step(o, false)) {
    }
    if (o->at > 0 && o->buf.data != NULL) {
        memmove(o->buf.data, o->buf.data + o->at, left(o) + 1);
        o->buf.length -= o->at;
        o->at = 0;
    }
    return check(o, err);
}

int hyp_output_finish(hyp_output *o, hyp_err *err) {
    hyp_str_append(&o->buf, "", 0);
    while (!o->buf.failed && step(o, true)) {
    }
    if (o->state != THINK) deliver(o, o->space.data, o->space.length);
    o->space.length = 0;
    return check(o, err);
}

void hyp_output_free(hyp_output *o) {
    if (o == NULL) return;
    hyp_str_free(&o->buf);
    hyp_str_free(&o->space);
    free(o);
}

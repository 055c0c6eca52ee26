/* messages.c - a conversation bent to what a template takes. */
#include "chat/template_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

typedef struct norm {
    const hyp_template_caps *caps;
    const char *text; /* of the template */
    yyjson_mut_doc *doc;
    yyjson_mut_val *out;
    yyjson_mut_val *calls; /* of the last assistant message */
    size_t answered;       /* how many of them tool messages have answered */
    unsigned next_id;
    bool failed; /* out of memory */
} norm;

static void put(norm *n, yyjson_mut_val *obj, const char *name, yyjson_mut_val *val) {
    n->failed |= !yyjson_mut_obj_put(obj, yyjson_mut_str(n->doc, name), val);
}

static yyjson_mut_val *as_parts(norm *n, yyjson_mut_val *text) {
    yyjson_mut_val *parts = yyjson_mut_arr(n->doc), *part = yyjson_mut_obj(n->doc);
    put(n, part, "type", yyjson_mut_str(n->doc, "text"));
    put(n, part, "text", text);
    yyjson_mut_arr_append(parts, part);
    return parts;
}

/* --- calls --- */

/* Nine letters and digits that stay the same for the same id. */
static yyjson_mut_val *short_id(norm *n, const char *id) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    char text[10] = {0};
    bool fits = strlen(id) == 9;
    for (const char *c = id; *c != '\0' && fits; c++)
        fits = strchr(alphabet, *c) != NULL;
    if (fits) return yyjson_mut_strcpy(n->doc, id);
    uint64_t h = 1469598103934665603u;
    for (const char *c = id; *c != '\0'; c++)
        h = (h ^ (unsigned char)*c) * 1099511628211u;
    for (int i = 0; i < 9; i++, h /= 62)
        text[i] = alphabet[h % 62];
    return yyjson_mut_strcpy(n->doc, text);
}

static yyjson_mut_val *call_id(norm *n, const char *id) {
    char own[24];
    if (id[0] == '\0') {
        snprintf(own, sizeof own, "call%05u", ++n->next_id);
        id = own;
    }
    return n->caps->short_ids ? short_id(n, id) : yyjson_mut_strcpy(n->doc, id);
}

static yyjson_mut_val *arguments_of(norm *n, const hyp_message_call *call) {
    yyjson_val *arguments = yyjson_doc_get_root(call->arguments);
    if (n->caps->object_arguments)
        return arguments != NULL ? yyjson_val_mut_copy(n->doc, arguments) : yyjson_mut_obj(n->doc);
    size_t len = 0;
    char *json = arguments != NULL ? yyjson_val_write(arguments, 0, &len) : NULL;
    yyjson_mut_val *v = json != NULL ? yyjson_mut_strncpy(n->doc, json, len) : yyjson_mut_str(n->doc, "{}");
    free(json);
    return v;
}

static yyjson_mut_val *calls_of(norm *n, const hyp_message *from) {
    yyjson_mut_val *out = yyjson_mut_arr(n->doc);
    for (size_t i = 0; i < from->n_calls; i++) {
        const hyp_message_call *call = &from->calls[i];
        yyjson_mut_val *c = yyjson_mut_obj(n->doc), *f = yyjson_mut_obj(n->doc);
        put(n, c, "id", call_id(n, call->id));
        put(n, c, "type", yyjson_mut_str(n->doc, "function"));
        put(n, f, "name", yyjson_mut_strcpy(n->doc, call->name));
        put(n, f, "arguments", arguments_of(n, call));
        put(n, c, "function", f);
        n->failed |= !yyjson_mut_arr_append(out, c);
    }
    return out;
}

/* --- messages --- */

/* Give a tool's answer its name and id: its own, else those of the call that it answers, in order. */
static void complete_tool_message(norm *n, const hyp_message *from, yyjson_mut_val *m) {
    yyjson_mut_val *call = NULL, *c, *wanted = from->tool_call_id != NULL ? call_id(n, from->tool_call_id) : NULL;
    size_t i, max;
    if (n->calls != NULL)
        yyjson_mut_arr_foreach(n->calls, i, max, c)
            if (call == NULL &&
                (wanted != NULL ? yyjson_mut_equals(yyjson_mut_obj_get(c, "id"), wanted) : i == n->answered))
                call = c;
    n->answered++;
    if (wanted != NULL)
        put(n, m, "tool_call_id", wanted);
    else if (call != NULL)
        put(n, m, "tool_call_id", yyjson_mut_val_mut_copy(n->doc, yyjson_mut_obj_get(call, "id")));
    yyjson_mut_val *called = yyjson_mut_obj_get(yyjson_mut_obj_get(call, "function"), "name");
    if (from->tool_name != NULL)
        put(n, m, "name", yyjson_mut_strcpy(n->doc, from->tool_name));
    else if (called != NULL)
        put(n, m, "name", yyjson_mut_val_mut_copy(n->doc, called));
}

/* Reasoning under both names that templates read. */
static void copy_thinking(norm *n, const hyp_message *from, yyjson_mut_val *m) {
    if (from->thinking == NULL || from->thinking[0] == '\0') return;
    put(n, m, "thinking", yyjson_mut_strcpy(n->doc, from->thinking));
    put(n, m, "reasoning_content", yyjson_mut_strcpy(n->doc, from->thinking));
}

static const char *role_of(const norm *n, const char *role) {
    if (strcmp(role, "developer") == 0 && strstr(n->text, "developer") == NULL) return "system";
    if (strcmp(role, "function") == 0) role = "tool";
    if (strcmp(role, "tool") == 0 && !n->caps->tool_role) return "user";
    return role;
}

static yyjson_mut_val *one_message(norm *n, const hyp_message *from) {
    yyjson_mut_val *m = yyjson_mut_obj(n->doc), *content = yyjson_mut_strcpy(n->doc, from->content);
    put(n, m, "role", yyjson_mut_strcpy(n->doc, role_of(n, from->role)));
    yyjson_mut_val *calls = calls_of(n, from);
    if (from->n_calls > 0 && from->content[0] == '\0' && n->caps->null_content)
        content = yyjson_mut_null(n->doc);
    else if (n->caps->typed_content)
        content = as_parts(n, content);
    put(n, m, "content", content);
    copy_thinking(n, from, m);
    if (from->n_calls > 0) {
        put(n, m, "tool_calls", calls);
        n->calls = calls;
        n->answered = 0;
    }
    if (strcmp(from->role, "tool") == 0 || strcmp(from->role, "function") == 0) complete_tool_message(n, from, m);
    return m;
}

/* The text of a normalised content. */
static const char *text_of(yyjson_mut_val *m) {
    yyjson_mut_val *content = yyjson_mut_obj_get(m, "content");
    if (yyjson_mut_is_arr(content)) content = yyjson_mut_obj_get(yyjson_mut_arr_get_first(content), "text");
    return yyjson_mut_is_str(content) ? yyjson_mut_get_str(content) : "";
}

/* Put `before` and an empty line ahead of the message's own text. */
static void prepend(norm *n, yyjson_mut_val *m, const char *before) {
    const char *own = text_of(m);
    hyp_str text = {0};
    hyp_str_puts(&text, before);
    if (own[0] != '\0' && before[0] != '\0') hyp_str_puts(&text, "\n\n");
    hyp_str_puts(&text, own);
    n->failed |= text.failed;
    yyjson_mut_val *v = yyjson_mut_strncpy(n->doc, text.length > 0 ? text.data : "", text.length);
    hyp_str_free(&text);
    put(n, m, "content", n->caps->typed_content ? as_parts(n, v) : v);
}

static bool is_role(yyjson_mut_val *m, const char *role) {
    return yyjson_mut_equals_str(yyjson_mut_obj_get(m, "role"), role);
}

/* Without a system role: all system text goes to the front of the next user message. */
static void merge_system(norm *n) {
    yyjson_mut_val *out = yyjson_mut_arr(n->doc), *m, *pending = NULL;
    size_t i, max;
    yyjson_mut_val *all = n->out;
    yyjson_mut_arr_foreach(all, i, max, m) {
        yyjson_mut_val *copy = yyjson_mut_val_mut_copy(n->doc, m);
        if (is_role(m, "system")) {
            if (pending != NULL) prepend(n, copy, text_of(pending));
            pending = copy;
            continue;
        }
        if (pending != NULL && is_role(m, "user")) {
            prepend(n, copy, text_of(pending));
            pending = NULL;
        }
        n->failed |= !yyjson_mut_arr_append(out, copy);
    }
    if (pending != NULL) {
        put(n, pending, "role", yyjson_mut_str(n->doc, "user"));
        n->failed |= !yyjson_mut_arr_append(out, pending);
    }
    n->out = out;
}

static void join_neighbours(norm *n) {
    yyjson_mut_val *out = yyjson_mut_arr(n->doc), *m, *last = NULL, *all = n->out;
    size_t i, max;
    yyjson_mut_arr_foreach(all, i, max, m) {
        yyjson_mut_val *copy = yyjson_mut_val_mut_copy(n->doc, m);
        bool plain = yyjson_mut_obj_get(m, "tool_calls") == NULL && !is_role(m, "tool");
        if (last != NULL && plain && yyjson_mut_obj_get(last, "tool_calls") == NULL &&
            yyjson_mut_equals(yyjson_mut_obj_get(last, "role"), yyjson_mut_obj_get(m, "role"))) {
            prepend(n, copy, text_of(last));
            put(n, last, "content", yyjson_mut_val_mut_copy(n->doc, yyjson_mut_obj_get(copy, "content")));
            continue;
        }
        n->failed |= !yyjson_mut_arr_append(out, copy);
        last = copy;
    }
    n->out = out;
}

int hyp_messages_normalise(const hyp_template *tmpl, const hyp_chat_request *request, bool join, yyjson_mut_doc *doc,
                           yyjson_mut_val **ret, hyp_err *err) {
    norm n = {.caps = &tmpl->caps, .text = tmpl->text, .doc = doc, .out = yyjson_mut_arr(doc)};
    for (size_t i = 0; i < request->n_messages; i++)
        if (request->left_out == NULL || !request->left_out[i])
            n.failed |= !yyjson_mut_arr_append(n.out, one_message(&n, &request->messages[i]));
    if (!tmpl->caps.system_role) merge_system(&n);
    if (join) join_neighbours(&n);
    if (n.failed || n.out == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    *ret = n.out;
    return HYP_OK;
}

yyjson_mut_val *hyp_messages_tools(yyjson_val *tools, yyjson_mut_doc *doc) {
    if (!yyjson_is_arr(tools) || yyjson_arr_size(tools) == 0) return NULL;
    yyjson_mut_val *out = yyjson_mut_arr(doc);
    size_t i, max;
    yyjson_val *tool;
    yyjson_arr_foreach(tools, i, max, tool) {
        yyjson_mut_val *copy = yyjson_val_mut_copy(doc, tool);
        if (yyjson_obj_get(tool, "function") == NULL && yyjson_obj_get(tool, "name") != NULL) {
            yyjson_mut_val *wrapped = yyjson_mut_obj(doc);
            yyjson_mut_obj_add_str(doc, wrapped, "type", "function");
            yyjson_mut_obj_add_val(doc, wrapped, "function", copy);
            copy = wrapped;
        }
        yyjson_mut_arr_append(out, copy);
    }
    return out;
}

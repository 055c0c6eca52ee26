#include "cli/transcript.h"

#include "base/mem.h"
#include "base/paths.h"
#include "base/utf8.h"
#include "cli/save.h"

#include <string.h>
#include <yyjson.h>

enum { MAX_FILE_BYTES = 64 << 20 };

static void said_clear(hyp_said *s) {
    free(s->role);
    free(s->content);
    free(s->thinking);
    *s = (hyp_said){0};
}

static int insert(hyp_transcript *t, size_t at, const char *role, const char *content, const char *thinking,
                  hyp_err *err) {
    if (t->n == t->capacity) {
        size_t room = t->capacity == 0 ? 16 : t->capacity * 2;
        hyp_said *more = realloc(t->items, room * sizeof *more);
        if (more == NULL) return hyp_err_set(err, HYP_ENOMEM, "no memory for the conversation");
        t->items = more;
        t->capacity = room;
    }
    hyp_said said = {strdup(role), strdup(content), thinking != NULL ? strdup(thinking) : NULL};
    if (said.role == NULL || said.content == NULL || (thinking != NULL && said.thinking == NULL)) {
        said_clear(&said);
        return hyp_err_set(err, HYP_ENOMEM, "no memory for the conversation");
    }
    memmove(&t->items[at + 1], &t->items[at], (t->n - at) * sizeof *t->items);
    t->items[at] = said;
    t->n++;
    return HYP_OK;
}

int hyp_transcript_add(hyp_transcript *t, const char *role, const char *content, const char *thinking, hyp_err *err) {
    return insert(t, t->n, role, content, thinking, err);
}

void hyp_transcript_cut(hyp_transcript *t, size_t n) {
    while (t->n > n)
        said_clear(&t->items[--t->n]);
}

const char *hyp_transcript_system(const hyp_transcript *t) {
    return t->n > 0 && strcmp(t->items[0].role, "system") == 0 ? t->items[0].content : NULL;
}

int hyp_transcript_set_system(hyp_transcript *t, const char *text, hyp_err *err) {
    bool has = hyp_transcript_system(t) != NULL;
    if (text != NULL && text[0] != '\0') {
        int r = insert(t, 0, "system", text, NULL, err);
        if (r != HYP_OK || !has) return r;
        said_clear(&t->items[1]);
        memmove(&t->items[1], &t->items[2], (t->n - 2) * sizeof *t->items);
        t->n--;
    } else if (has) {
        said_clear(&t->items[0]);
        memmove(&t->items[0], &t->items[1], (t->n - 1) * sizeof *t->items);
        t->n--;
    }
    return HYP_OK;
}

void hyp_transcript_free(hyp_transcript *t) {
    hyp_transcript_cut(t, 0);
    free(t->items);
    *t = (hyp_transcript){0};
}

/* A copy of `text` in the document, made valid. */
static yyjson_mut_val *valid_text(yyjson_mut_doc *doc, const char *text) {
    hyp_str clean = {0};
    hyp_utf8_repair(&clean, text, strlen(text));
    yyjson_mut_val *v = clean.failed ? NULL : yyjson_mut_strncpy(doc, clean.length > 0 ? clean.data : "", clean.length);
    hyp_str_free(&clean);
    return v;
}

/* The messages as an array of `doc`, or NULL when memory ran out. */
static yyjson_mut_val *messages_of(const hyp_transcript *t, size_t n_dropped, yyjson_mut_doc *doc) {
    yyjson_mut_val *all = yyjson_mut_arr(doc);
    bool system = hyp_transcript_system(t) != NULL;
    for (size_t i = 0; all != NULL && i < t->n; i++) {
        const hyp_said *s = &t->items[i];
        if (i >= system && i < system + n_dropped) continue;
        yyjson_mut_val *one = yyjson_mut_arr_add_obj(doc, all);
        bool ok = yyjson_mut_obj_add_val(doc, one, "role", valid_text(doc, s->role)) &&
                  yyjson_mut_obj_add_val(doc, one, "content", valid_text(doc, s->content)) &&
                  (s->thinking == NULL || yyjson_mut_obj_add_val(doc, one, "thinking", valid_text(doc, s->thinking)));
        if (!ok) return NULL;
    }
    return all;
}

static int write_value(yyjson_mut_val *value, yyjson_write_flag flags, hyp_str *out, hyp_err *err) {
    size_t n = 0;
    HYP_AUTOFREE char *text = value != NULL ? yyjson_mut_val_write(value, flags, &n) : NULL;
    if (text != NULL) hyp_str_append(out, text, n);
    return text == NULL || out->failed ? hyp_err_set(err, HYP_ENOMEM, "no memory for the conversation") : HYP_OK;
}

int hyp_transcript_write(const hyp_transcript *t, size_t n_dropped, hyp_str *out, hyp_err *err) {
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    int r = write_value(doc != NULL ? messages_of(t, n_dropped, doc) : NULL, 0, out, err);
    yyjson_mut_doc_free(doc);
    return r;
}

int hyp_transcript_save(const hyp_transcript *t, const char *model, const char *path, hyp_err *err) {
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = doc != NULL ? yyjson_mut_obj(doc) : NULL;
    bool ok = root != NULL && yyjson_mut_obj_add_val(doc, root, "model", valid_text(doc, model)) &&
              yyjson_mut_obj_add_val(doc, root, "messages", messages_of(t, 0, doc));
    hyp_str text = {0};
    int r = write_value(ok ? root : NULL, YYJSON_WRITE_PRETTY_TWO_SPACES, &text, err);
    hyp_str_puts(&text, "\n");
    if (r == HYP_OK) r = hyp_save_text(path, &text, err);
    yyjson_mut_doc_free(doc);
    hyp_str_free(&text);
    return r;
}

static int add_parsed(hyp_transcript *t, yyjson_val *message, const char *path, hyp_err *err) {
    const char *role = yyjson_get_str(yyjson_obj_get(message, "role"));
    const char *content = yyjson_get_str(yyjson_obj_get(message, "content"));
    if (role == NULL || content == NULL)
        return hyp_err_set(err, HYP_EFORMAT, "%s: message %zu has no role or no content", path, t->n);
    return hyp_transcript_add(t, role, content, yyjson_get_str(yyjson_obj_get(message, "thinking")), err);
}

int hyp_transcript_load(const char *path, hyp_transcript *ret, hyp_err *err) {
    HYP_AUTOFREE char *text = NULL;
    size_t n = 0;
    int r = hyp_paths_read(path, MAX_FILE_BYTES, &text, &n, err);
    if (r != HYP_OK) return r;
    yyjson_doc *doc = yyjson_read(text, n, 0);
    yyjson_val *messages = yyjson_obj_get(yyjson_doc_get_root(doc), "messages"), *message;
    hyp_transcript t = {0};
    if (!yyjson_is_arr(messages)) {
        r = hyp_err_set(err, HYP_EFORMAT, "%s is not a saved conversation", path);
        hyp_err_hint(err, "/save FILE writes one");
    }
    size_t i, count;
    yyjson_arr_foreach(messages, i, count, message) {
        if (r == HYP_OK) r = add_parsed(&t, message, path, err);
    }
    yyjson_doc_free(doc);
    if (r == HYP_OK)
        *ret = t;
    else
        hyp_transcript_free(&t);
    return r;
}

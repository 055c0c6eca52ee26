#include "cli/transcript.h"

#include "base/mem.h"
#include "base/paths.h"
#include "cli/save.h"

#include <string.h>
#include <yyjson.h>

enum { MAX_FILE_BYTES = 64 << 20 };

int hyp_transcript_save(const hyp_conversation *c, const char *model, const char *path, hyp_err *err) {
    hyp_str messages HYP_CLEANUP(hyp_str_free) = {0};
    hyp_str text HYP_CLEANUP(hyp_str_free) = {0};
    hyp_conversation_write(c, NULL, &messages);
    yyjson_doc *read = yyjson_read(messages.data != NULL ? messages.data : "", messages.length, 0);
    yyjson_doc *tools = c->tools != NULL ? yyjson_read(c->tools, strlen(c->tools), 0) : NULL;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    bool ok = yyjson_mut_obj_add_strcpy(doc, root, "model", model) &&
              yyjson_mut_obj_add_val(doc, root, "messages", yyjson_val_mut_copy(doc, yyjson_doc_get_root(read)));
    if (tools != NULL)
        ok = ok && yyjson_mut_obj_add_val(doc, root, "tools", yyjson_val_mut_copy(doc, yyjson_doc_get_root(tools)));
    HYP_AUTOFREE char *json = ok ? yyjson_mut_write(doc, YYJSON_WRITE_PRETTY_TWO_SPACES, NULL) : NULL;
    yyjson_mut_doc_free(doc);
    yyjson_doc_free(tools);
    yyjson_doc_free(read);
    if (json == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    hyp_str_puts(&text, json);
    hyp_str_puts(&text, "\n");
    return hyp_save_text(path, &text, err);
}

/* Every message needs what the file is kept for. */
static int check_messages(yyjson_val *messages, const char *path, hyp_err *err) {
    size_t i, n;
    yyjson_val *m;
    yyjson_arr_foreach(messages, i, n, m) {
        bool calls = yyjson_arr_size(yyjson_obj_get(m, "tool_calls")) > 0;
        if (!yyjson_is_str(yyjson_obj_get(m, "role")) || (!calls && !yyjson_is_str(yyjson_obj_get(m, "content"))))
            return hyp_err_set(err, HYP_EFORMAT, "%s: message %zu has no role or no content", path, i);
    }
    return HYP_OK;
}

static int read_conversation(yyjson_val *root, const char *path, hyp_conversation *c, hyp_err *err) {
    yyjson_val *messages = yyjson_obj_get(root, "messages");
    if (!yyjson_is_arr(messages)) {
        hyp_err_set(err, HYP_EFORMAT, "%s is not a saved conversation", path);
        hyp_err_hint(err, "/save FILE writes one");
        return HYP_EFORMAT;
    }
    int r = check_messages(messages, path, err);
    hyp_err why = HYP_ERR_NONE;
    if (r == HYP_OK) r = hyp_conversation_add_ollama(c, messages, &why);
    if (r == HYP_OK) r = hyp_conversation_set_tools(c, yyjson_obj_get(root, "tools"), &why);
    if (why.code != 0) return hyp_err_set(err, why.code, "%s: %s", path, why.message);
    if (r == HYP_OK && hyp_conversation_has_images(c))
        return hyp_err_set(err, HYP_EFORMAT, "%s has images, which are not supported", path);
    return r;
}

int hyp_transcript_load(const char *path, hyp_conversation **ret, hyp_err *err) {
    HYP_AUTOFREE char *text = NULL;
    size_t n = 0;
    int r = hyp_paths_read(path, MAX_FILE_BYTES, &text, &n, err);
    if (r != HYP_OK) return r;
    hyp_conversation *c = hyp_conversation_new();
    if (c == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    yyjson_doc *doc = yyjson_read(text, n, 0);
    r = read_conversation(yyjson_doc_get_root(doc), path, c, err);
    yyjson_doc_free(doc);
    if (r == HYP_OK)
        *ret = HYP_TAKE(c);
    hyp_conversation_free(c);
    return r;
}

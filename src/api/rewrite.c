#include "api/rewrite_priv.h"

#include "base/mem.h"

void hyp_rewrite_begin(yyjson_mut_doc *doc) {
    yyjson_mut_doc_set_root(doc, yyjson_mut_arr(doc));
}

void hyp_rewrite_put(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, yyjson_val *value) {
    if (value != NULL) yyjson_mut_obj_add_val(doc, object, key, yyjson_val_mut_copy(doc, value));
}

yyjson_mut_val *hyp_rewrite_add_message(yyjson_mut_doc *doc, const char *role) {
    yyjson_mut_val *message = yyjson_mut_arr_add_obj(doc, yyjson_mut_doc_get_root(doc));
    yyjson_mut_obj_add_strcpy(doc, message, "role", role);
    return message;
}

void hyp_rewrite_add_tool(yyjson_mut_doc *doc, yyjson_val *name, yyjson_val *description, yyjson_val *parameters) {
    yyjson_mut_val *tool = yyjson_mut_arr_add_obj(doc, yyjson_mut_doc_get_root(doc));
    yyjson_mut_obj_add_str(doc, tool, "type", "function");
    yyjson_mut_val *function = yyjson_mut_obj_add_obj(doc, tool, "function");
    hyp_rewrite_put(doc, function, "name", name);
    hyp_rewrite_put(doc, function, "description", description);
    hyp_rewrite_put(doc, function, "parameters", parameters);
}

yyjson_mut_val *hyp_rewrite_add_result(yyjson_mut_doc *doc, yyjson_val *call_id) {
    yyjson_mut_val *message = hyp_rewrite_add_message(doc, "tool");
    hyp_rewrite_put(doc, message, "tool_call_id", call_id);
    return message;
}

void hyp_rewrite_add_text(yyjson_mut_doc *doc, yyjson_mut_val *parts, yyjson_val *text) {
    yyjson_mut_val *part = yyjson_mut_arr_add_obj(doc, parts);
    yyjson_mut_obj_add_str(doc, part, "type", "text");
    hyp_rewrite_put(doc, part, "text", text);
}

void hyp_rewrite_add_image(yyjson_mut_doc *doc, yyjson_mut_val *parts) {
    yyjson_mut_obj_add_str(doc, yyjson_mut_arr_add_obj(doc, parts), "type", "image_url");
}

void hyp_rewrite_add_call(yyjson_mut_doc *doc, yyjson_mut_val *calls, yyjson_val *id, yyjson_val *name,
                          yyjson_val *arguments) {
    yyjson_mut_val *call = yyjson_mut_arr_add_obj(doc, calls);
    hyp_rewrite_put(doc, call, "id", id);
    yyjson_mut_val *function = yyjson_mut_obj_add_obj(doc, call, "function");
    hyp_rewrite_put(doc, function, "name", name);
    hyp_rewrite_put(doc, function, "arguments", arguments);
}

/* An immutable copy, as readers want it. NULL: answered. */
static yyjson_doc *fix(api *a, yyjson_mut_doc *doc) {
    yyjson_doc *fixed = yyjson_mut_doc_imut_copy(doc, NULL);
    if (fixed == NULL) hyp_api_error(a, 500, "out of memory");
    return fixed;
}

bool hyp_rewrite_take_messages(api *a, hyp_conversation *c, yyjson_mut_doc *doc) {
    yyjson_doc *fixed = fix(a, doc);
    if (fixed == NULL) return false;
    int r = hyp_conversation_add_openai(c, yyjson_doc_get_root(fixed), &a->err);
    yyjson_doc_free(fixed);
    return r == HYP_OK ? hyp_api_finish_messages(a, c) : hyp_api_fail(a);
}

bool hyp_rewrite_take_tools(api *a, hyp_conversation *c, yyjson_mut_doc *doc, const char *choice, bool named) {
    yyjson_doc *fixed = fix(a, doc);
    if (fixed == NULL) return false;
    bool good = hyp_api_take_tools(a, c, yyjson_doc_get_root(fixed), choice, named);
    yyjson_doc_free(fixed);
    return good;
}

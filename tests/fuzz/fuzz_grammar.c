/* fuzz_grammar.c - any JSON as a schema, and as the parameters of a tool. */
#include "chat/grammar.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    yyjson_doc *doc = yyjson_read((const char *)data, size, 0);
    if (doc == NULL) return 0;
    hyp_err err = HYP_ERR_NONE;
    hyp_str out = {0};
    int rc = hyp_grammar_from_schema(yyjson_doc_get_root(doc), &out, &err);
    if (rc < 0 ? out.data != NULL || err.message[0] == '\0' : out.length == 0) abort();
    hyp_str_free(&out);
    yyjson_mut_doc *tools = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *list = yyjson_mut_arr(tools), *tool = yyjson_mut_arr_add_obj(tools, list);
    yyjson_mut_obj_add_str(tools, tool, "name", "f");
    yyjson_mut_obj_add_val(tools, tool, "parameters", yyjson_val_mut_copy(tools, yyjson_doc_get_root(doc)));
    yyjson_doc *fixed = yyjson_mut_val_imut_copy(list, NULL);
    hyp_tool_grammar grammar;
    static const char *const dialects[] = {NULL, "<function=", "<arg_key>"};
    for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++)
        if (hyp_grammar_for_tools(HYP_TOOLS_TAGS, dialects[i], yyjson_doc_get_root(fixed), 0, &grammar, &err) == HYP_OK)
            hyp_tool_grammar_clear(&grammar);
    yyjson_doc_free(fixed);
    yyjson_mut_doc_free(tools);
    yyjson_doc_free(doc);
    return 0;
}

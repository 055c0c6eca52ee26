/* probe.c - what does a template understand? Its text does not show that, so it is given tiny conversations with
 * recognisable words in them, and its output is searched for those words. */
#include "chat/template_priv.h"

#include <string.h>

/* Render the messages in `json` as they are; true if that works and every word of `want` (NULL-ended) comes out. */
static bool shows(const hyp_template *tmpl, const char *json, const char *tools_json, const char *const want[]) {
    yyjson_doc *parsed = yyjson_read(json, strlen(json), 0);
    yyjson_doc *tools = tools_json != NULL ? yyjson_read(tools_json, strlen(tools_json), 0) : NULL;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    hyp_str out = {0};
    bool ok = false;
    if (parsed != NULL && doc != NULL) {
        hyp_chat_request request = {.tools = yyjson_doc_get_root(tools),
                                    .bos_token = "<bos>",
                                    .eos_token = "<eos>",
                                    .add_generation_prompt = true};
        yyjson_mut_val *messages = yyjson_val_mut_copy(doc, yyjson_doc_get_root(parsed));
        ok = hyp_template_render_raw(tmpl, &request, doc, messages, &out, NULL) == HYP_OK && out.length > 0;
        for (size_t i = 0; ok && want[i] != NULL; i++)
            ok = strstr(out.data, want[i]) != NULL;
    }
    hyp_str_free(&out);
    yyjson_mut_doc_free(doc);
    yyjson_doc_free(tools);
    yyjson_doc_free(parsed);
    return ok;
}

#define USER "{\"role\":\"user\",\"content\":\"zqUser\"}"
#define CALL(content, arguments)                                                                                       \
    "[" USER ",{\"role\":\"assistant\",\"content\":" content ",\"tool_calls\":[{\"id\":\"zqCallId1\","                 \
    "\"type\":\"function\",\"function\":{\"name\":\"zqFunction\",\"arguments\":" arguments "}}]}"
#define ANSWER ",{\"role\":\"tool\",\"name\":\"zqFunction\",\"tool_call_id\":\"zqCallId1\",\"content\":\"zqResult\"}"
#define OBJECT "{\"zqKey\":\"zqValue\"}"
#define TEXT "\"{\\\"zqKey\\\":\\\"zqValue\\\"}\""

static void probe_calls(hyp_template *tmpl) {
    static const char *const want[] = {"zqFunction", "zqValue", NULL}, *const result[] = {"zqResult", NULL};
    static const struct {
        const char *json;
        bool object, null;
    } tries[] = {{CALL("\"\"", OBJECT) ANSWER "]", true, false},
                 {CALL("null", OBJECT) ANSWER "]", true, true},
                 {CALL("\"\"", TEXT) ANSWER "]", false, false},
                 {CALL("null", TEXT) ANSWER "]", false, true}};
    tmpl->caps.object_arguments = true;
    for (size_t i = 0; i < sizeof tries / sizeof *tries && !tmpl->caps.renders_calls; i++) {
        if (!shows(tmpl, tries[i].json, NULL, want)) continue;
        tmpl->caps.renders_calls = true;
        tmpl->caps.object_arguments = tries[i].object;
        tmpl->caps.null_content = tries[i].null;
        tmpl->caps.tool_role = shows(tmpl, tries[i].json, NULL, result);
    }
    if (!tmpl->caps.tool_role)
        tmpl->caps.tool_role =
            shows(tmpl, "[" USER ",{\"role\":\"assistant\",\"content\":\"x\"}" ANSWER "]", NULL, result);
}

int hyp_template_probe(hyp_template *tmpl, hyp_err *err) {
    static const char *const user[] = {"zqUser", NULL}, *const system[] = {"zqSystem", "zqUser", NULL},
                             *const tool[] = {"zqTool", NULL};
    static const char parts[] = "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"zqUser\"}]}]";
    bool plain = shows(tmpl, "[" USER "]", NULL, user);
    tmpl->caps.typed_content = !plain && shows(tmpl, parts, NULL, user);
    if (!plain && !tmpl->caps.typed_content) { /* say why, by rendering once more for the message */
        yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
        hyp_str out = {0};
        yyjson_doc *parsed = yyjson_read("[" USER "]", strlen("[" USER "]"), 0);
        hyp_chat_request request = {.add_generation_prompt = true};
        int rc = doc == NULL || parsed == NULL
                     ? hyp_err_set(err, HYP_ENOMEM, "out of memory")
                     : hyp_template_render_raw(tmpl, &request, doc,
                                               yyjson_val_mut_copy(doc, yyjson_doc_get_root(parsed)), &out, err);
        hyp_str_free(&out);
        yyjson_doc_free(parsed);
        yyjson_mut_doc_free(doc);
        return rc < 0 ? rc : hyp_err_set(err, HYP_EFORMAT, "the chat template does not show the user's message");
    }
    tmpl->caps.system_role =
        shows(tmpl,
              tmpl->caps.typed_content ? "[{\"role\":\"system\",\"content\":[{\"type\":\"text\",\"text\":\"zqSystem\"}]"
                                         "},{\"role\":\"user\",\"content\":"
                                         "[{\"type\":\"text\",\"text\":\"zqUser\"}]}]"
                                       : "[{\"role\":\"system\",\"content\":\"zqSystem\"}," USER "]",
              NULL, system);
    tmpl->caps.renders_tools =
        shows(tmpl, "[" USER "]",
              "[{\"type\":\"function\",\"function\":{\"name\":\"zqTool\",\"description\":\"d\",\"parameters\":{"
              "\"type\":\"object\","
              "\"properties\":{\"a\":{\"type\":\"string\",\"description\":\"e\"}},\"required\":[\"a\"]}}}]",
              tool);
    probe_calls(tmpl);
    tmpl->caps.short_ids = strstr(tmpl->text, "length != 9") != NULL || strstr(tmpl->text, "length == 9") != NULL;
    return HYP_OK;
}

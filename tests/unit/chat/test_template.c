/* Template capabilities, the bending of conversations to them, and the fallbacks. */
#include "../test.h"
#include "chat/template_priv.h"
#include "corpus.h"
#include "wire.h"

static hyp_template *load(const char *name) {
    char path[256];
    size_t n;
    snprintf(path, sizeof path, "templates/%s.jinja", name);
    char *text = corpus_read(path, &n);
    assert_non_null(text);
    hyp_template *tmpl = NULL;
    hyp_err err = HYP_ERR_NONE;
    int rc = hyp_template_compile(text, n, NULL, &tmpl, &err);
    if (rc < 0) print_error("%s: %s\n", name, err.message);
    assert_int_equal(rc, HYP_OK);
    free(text);
    return tmpl;
}

/* Render a conversation given as JSON; the caller frees the result. NULL with `err` filled on failure. */
static char *render(const hyp_template *tmpl, const char *messages, const char *tools, hyp_think think, hyp_err *err) {
    yyjson_doc *doc = yyjson_read(messages, strlen(messages), 0);
    yyjson_doc *tools_doc = tools != NULL ? yyjson_read(tools, strlen(tools), 0) : NULL;
    assert_non_null(doc);
    size_t n_messages;
    hyp_message *all = wire_messages(yyjson_doc_get_root(doc), &n_messages);
    hyp_chat_request request = {.messages = all,
                                .n_messages = n_messages,
                                .tools = yyjson_doc_get_root(tools_doc),
                                .bos_token = "<s>",
                                .eos_token = "</s>",
                                .think = think,
                                .add_generation_prompt = true,
                                .now_unix_s = CORPUS_NOW};
    hyp_str out = {0};
    int rc = hyp_template_render(tmpl, &request, &out, err);
    wire_free(all, n_messages);
    yyjson_doc_free(doc);
    yyjson_doc_free(tools_doc);
    if (rc == HYP_OK) return out.data;
    assert_null(out.data);
    return NULL;
}

static void check(const char *name, const char *messages, const char *tools, const char *const *want) {
    hyp_template *tmpl = load(name);
    hyp_err err = HYP_ERR_NONE;
    char *out = render(tmpl, messages, tools, HYP_THINK_UNSET, &err);
    if (out == NULL) print_error("%s: %s\n", name, err.message);
    assert_non_null(out);
    for (; *want != NULL; want++) {
        if (strstr(out, *want) == NULL) print_error("%s lacks \"%s\":\n%s\n", name, *want, out);
        assert_non_null(strstr(out, *want));
    }
    free(out);
    hyp_template_free(tmpl);
}
#define WANT(...) ((const char *const[]){__VA_ARGS__, NULL})

static void capabilities_are_found(void **state) {
    (void)state;
    static const struct {
        const char *name;
        bool tools, thinking, system, tool_role, renders_tools, renders_calls, typed, object, null, short_ids;
    } rows[] = {
        /*                   tools think  sys    role   rtools rcalls typed  object null   short */
        {"chatml", false, false, true, true, false, false, false, true, false, false},
        {"llama2", false, false, true, false, false, false, false, true, false, false},
        {"gemma2", false, false, false, false, false, false, false, true, false, false},
        {"gemma3_typed", false, false, true, false, false, false, true, true, false, false},
        {"qwen3", true, true, true, true, true, true, false, true, false, false},
        {"qwen3_coder", true, false, true, true, true, true, false, true, false, false},
        {"llama3_1_tools", true, false, true, true, true, true, false, true, false, false},
        {"mistral_v3_tools", true, false, true, true, true, true, false, true, false, true},
        {"deepseek_r1", true, true, true, true, false, true, false, false, false, false},
        {"deepseek_v3", true, false, true, true, false, true, false, true, true, false},
        {"gpt_oss", true, true, true, true, true, true, false, true, false, false},
        {"seed_oss", true, true, true, true, true, true, false, true, false, false},
        {"glm4_5", true, true, true, true, true, true, false, true, false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hyp_template *tmpl = load(rows[i].name);
        const hyp_template_caps *c = &tmpl->caps;
        bool same = c->tools == rows[i].tools && c->thinking == rows[i].thinking && c->system_role == rows[i].system &&
                    c->tool_role == rows[i].tool_role && c->renders_tools == rows[i].renders_tools &&
                    c->renders_calls == rows[i].renders_calls && c->typed_content == rows[i].typed &&
                    c->object_arguments == rows[i].object && c->null_content == rows[i].null &&
                    c->short_ids == rows[i].short_ids;
        if (!same)
            print_error("%s: tools %d thinking %d system %d tool_role %d rtools %d rcalls %d typed %d object %d null "
                        "%d short %d\n",
                        rows[i].name, c->tools, c->thinking, c->system_role, c->tool_role, c->renders_tools,
                        c->renders_calls, c->typed_content, c->object_arguments, c->null_content, c->short_ids);
        assert_true(same);
        hyp_template_free(tmpl);
    }
}

#define WEATHER                                                                                                        \
    "[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"description\":\"d\",\"parameters\":{\"type\":"   \
    "\"object\",\"properties\":{\"city\":{\"type\":\"string\",\"description\":\"c\"}},\"required\":[\"city\"]}}}]"

static void a_system_message_without_role_is_merged(void **state) {
    (void)state;
    check("gemma2", "[{\"role\":\"system\",\"content\":\"Be terse.\"},{\"role\":\"user\",\"content\":\"Hi\"}]", NULL,
          WANT("<s><start_of_turn>user\nBe terse.\n\nHi<end_of_turn>\n<start_of_turn>model\n"));
    check("gemma2", "[{\"role\":\"system\",\"content\":\"Only system\"}]", NULL,
          WANT("user\nOnly system<end_of_turn>"));
    check("mistral_v1",
          "[{\"role\":\"system\",\"content\":\"A\"},{\"role\":\"system\",\"content\":\"B\"},{\"role\":\"user\","
          "\"content\":"
          "\"C\"}]",
          NULL, WANT("[INST] A\n\nB\n\nC [/INST]"));
}

static void wire_calls_are_completed(void **state) {
    (void)state;
    /* Ollama: no ids, arguments as object, tool_name; content missing. */
    static const char ollama[] =
        "[{\"role\":\"user\",\"content\":\"W?\"},{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{"
        "\"name\":\"get_weather\",\"arguments\":{\"city\":\"Rome\"}}}]},{\"role\":\"tool\",\"tool_name\":"
        "\"get_weather\",\"content\":\"rain\"}]";
    /* OpenAI: ids, arguments as text, content null. */
    static const char openai[] =
        "[{\"role\":\"user\",\"content\":\"W?\"},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{"
        "\"id\":\"call_ab12cd34\",\"type\":\"function\",\"function\":{\"name\":\"get_weather\","
        "\"arguments\":\"{\\\"city\\\":\\\"Rome\\\"}\"}}]},{\"role\":\"tool\",\"tool_call_id\":"
        "\"call_ab12cd34\",\"content\":\"rain\"}]";
    static const char *const both[] = {ollama, openai};
    for (size_t i = 0; i < 2; i++) {
        check("qwen3", both[i], WEATHER,
              WANT("{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}", "rain"));
        check("llama3_1_tools", both[i], WEATHER,
              WANT("{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Rome\"}}", "rain"));
        check(
            "mistral_v3_tools", both[i], WEATHER,
            WANT("[TOOL_CALLS] [{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}, \"id\": \"", "rain"));
        check("deepseek_r1", both[i], NULL, WANT("get_weather\n```json\n{\"city\":\"Rome\"}\n```", "rain"));
        check("deepseek_v3", both[i], NULL, WANT("get_weather\n```json\n{\"city\": \"Rome\"}\n```", "rain"));
        check("qwen3_coder", both[i], WEATHER,
              WANT("<function=get_weather>\n<parameter=city>\nRome\n</parameter>", "rain"));
        check("gpt_oss", both[i], WEATHER,
              WANT("to=functions.get_weather<|channel|>commentary json<|message|>{\"city\": \"Rome\"}<|call|>",
                   "\"rain\""));
        check("glm4_5", both[i], WEATHER,
              WANT("<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Rome</arg_value>", "rain"));
        check("kimi_k2", both[i], WEATHER,
              WANT("functions.get_weather:0<|tool_call_argument_begin|>{\"city\": \"Rome\"}", "rain"));
    }
    /* The id that the answer names is the id of the call, also after shortening. */
    hyp_template *tmpl = load("mistral_v3_tools");
    hyp_err err = HYP_ERR_NONE;
    char *out = render(tmpl, openai, WEATHER, HYP_THINK_UNSET, &err);
    assert_non_null(out);
    const char *id = strstr(out, "\"id\": \"") + 7, *answer = strstr(out, "\"call_id\": \"") + 12;
    assert_memory_equal(id, answer, 10);
    assert_true(id[9] == '"');
    free(out);
    hyp_template_free(tmpl);
}

static void content_takes_every_form(void **state) {
    (void)state;
    check("chatml",
          "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"one "
          "\"},{\"type\":\"text\",\"text\":\"two\"}]}]",
          NULL, WANT("<|im_start|>user\none two<|im_end|>"));
    check("chatml", "[{\"role\":\"user\",\"content\":null},{\"role\":\"assistant\"}]", NULL,
          WANT("<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n<|im_end|>"));
    check("gemma3_typed", "[{\"role\":\"user\",\"content\":\"plain\"}]", NULL,
          WANT("<start_of_turn>user\nplain<end_of_turn>"));
    check("chatml", "[{\"role\":\"developer\",\"content\":\"d\"},{\"role\":\"user\",\"content\":\"u\"}]", NULL,
          WANT("<|im_start|>system\nd<|im_end|>"));
    check("gpt_oss", "[{\"role\":\"developer\",\"content\":\"d\"},{\"role\":\"user\",\"content\":\"u\"}]", NULL,
          WANT("# Instructions\n\nd"));
    check("llama2", "[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"user\",\"content\":\"b\"}]", NULL,
          WANT("[INST] a\n\nb [/INST]"));
}

static void thinking_is_passed_on(void **state) {
    (void)state;
    hyp_template *tmpl = load("qwen3");
    hyp_err err = HYP_ERR_NONE;
    char *out = render(tmpl, "[{\"role\":\"user\",\"content\":\"x\"}]", NULL, HYP_THINK_OFF, &err);
    assert_non_null(strstr(out, "<think>\n\n</think>\n\n"));
    free(out);
    out = render(tmpl, "[{\"role\":\"user\",\"content\":\"x\"}]", NULL, HYP_THINK_ON, &err);
    assert_null(strstr(out, "<think>"));
    free(out);
    hyp_template_free(tmpl);
    tmpl = load("deepseek_v3_1");
    out = render(tmpl, "[{\"role\":\"user\",\"content\":\"x\"}]", NULL, HYP_THINK_ON, &err);
    assert_non_null(strstr(out, "<think>"));
    free(out);
    hyp_template_free(tmpl);
    check(
        "qwen3",
        "[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"thinking\":\"zq hidden\",\"content\":\"y\"}]",
        NULL, WANT("<think>\nzq hidden\n</think>\n\ny"));
}

static void refusals_are_told(void **state) {
    (void)state;
    hyp_template *tmpl = load("mistral_v1");
    hyp_err err = HYP_ERR_NONE;
    assert_null(render(tmpl, "[{\"role\":\"assistant\",\"content\":\"x\"}]", NULL, HYP_THINK_UNSET, &err));
    assert_int_equal(err.code, HYP_EINVAL);
    assert_non_null(strstr(err.message, "alternate"));
    hyp_template_free(tmpl);
}

static void what_is_left_out_is_not_shown(void **state) {
    (void)state;
    hyp_template *tmpl = load("chatml");
    hyp_err err = HYP_ERR_NONE;
    hyp_message messages[] = {{.role = strdup("user"), .content = strdup("a")},
                              {.role = strdup("assistant"), .content = strdup("b")},
                              {.role = strdup("user"), .content = strdup("c")}};
    static const bool left_out[] = {true, true, false};
    hyp_chat_request request = {.messages = messages, .n_messages = 3, .left_out = left_out};
    hyp_str out = {0};
    assert_int_equal(hyp_template_render(tmpl, &request, &out, &err), HYP_OK);
    assert_string_equal(out.data, "<|im_start|>user\nc<|im_end|>\n");
    hyp_str_free(&out);
    for (size_t i = 0; i < 3; i++)
        hyp_message_clear(&messages[i]);
    hyp_template_free(tmpl);
}

static int builtin(void *arg, const char *text, const char *const *roles, const char *const *contents, size_t n,
                   bool add_generation_prompt, hyp_str *out) {
    (void)add_generation_prompt;
    if (strstr(text, (const char *)arg) == NULL) return -1;
    for (size_t i = 0; i < n; i++)
        hyp_str_printf(out, "%s=%s;", roles[i], contents[i]);
    return 0;
}

static void fallbacks_are_taken_in_order(void **state) {
    (void)state;
    hyp_template *tmpl = NULL;
    hyp_err err = HYP_ERR_NONE;
    const char *warning = "";
    static const char own[] = "{% for m in messages %}own {{ m.content }}{% endfor %}";
    static const char broken[] = "known {% include 'x' %}";
    static const char messages[] = "[{\"role\":\"user\",\"content\":\"hi\"}]";
    assert_int_equal(hyp_template_open(own, builtin, (void *)"known", &tmpl, &warning, &err), HYP_OK);
    assert_null(warning);
    char *out = render(tmpl, messages, NULL, HYP_THINK_UNSET, &err);
    assert_string_equal(out, "own hi");
    free(out);
    hyp_template_free(tmpl);
    assert_int_equal(hyp_template_open(broken, builtin, (void *)"known", &tmpl, &warning, &err), HYP_OK);
    assert_non_null(strstr(warning, "built-in"));
    out = render(tmpl, messages, NULL, HYP_THINK_UNSET, &err);
    assert_string_equal(out, "user=hi;");
    free(out);
    hyp_template_free(tmpl);
    static const char *const no_own[] = {"{% include 'x' %}", "", NULL};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(hyp_template_open(no_own[i], builtin, (void *)"known", &tmpl, &warning, &err), HYP_OK);
        assert_non_null(strstr(warning, "ChatML"));
        out = render(tmpl, messages, NULL, HYP_THINK_UNSET, &err);
        assert_string_equal(out, "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
        free(out);
        hyp_template_free(tmpl);
    }
}

static void every_template_takes_every_plain_conversation(void **state) {
    (void)state;
    /* What clients send must render with every family, whatever its template insists on. */
    static const char *const names[] = {"alpaca",
                                        "chatml",
                                        "command_r",
                                        "command_r7b_tools",
                                        "deepseek_r1",
                                        "deepseek_v2",
                                        "deepseek_v3",
                                        "deepseek_v3_1",
                                        "ernie4_5",
                                        "exaone",
                                        "falcon",
                                        "falcon3",
                                        "gemma2",
                                        "gemma3",
                                        "gemma3_typed",
                                        "glm4",
                                        "glm4_5",
                                        "gpt_oss",
                                        "granite3",
                                        "granite4",
                                        "hunyuan",
                                        "kimi_k2",
                                        "lfm2",
                                        "llama2",
                                        "llama3",
                                        "llama3_1_tools",
                                        "minimax_m2",
                                        "mistral_tekken_v7",
                                        "mistral_v1",
                                        "mistral_v3_tools",
                                        "mixtral",
                                        "nemotron",
                                        "olmo2",
                                        "phi3",
                                        "phi4_mini_tools",
                                        "qwen2_5",
                                        "qwen3",
                                        "qwen3_coder",
                                        "qwq",
                                        "seed_oss",
                                        "smollm2",
                                        "smollm3",
                                        "vicuna",
                                        "yi_orion",
                                        "zephyr"};
    static const char *const conversations[] = {
        "[{\"role\":\"user\",\"content\":\"zqA\"}]",
        "[{\"role\":\"system\",\"content\":\"zqS\"},{\"role\":\"user\",\"content\":\"zqA\"}]",
        ("[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":\"y\"},{\"role\":\"user\","
         "\"content\":\"zqA\"}]"),
        "[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"user\",\"content\":\"zqA\"}]",
        "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"zqA\"}]}]"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        hyp_template *tmpl = load(names[i]);
        for (size_t k = 0; k < sizeof conversations / sizeof *conversations; k++) {
            hyp_err err = HYP_ERR_NONE;
            char *out = render(tmpl, conversations[k], NULL, HYP_THINK_UNSET, &err);
            if (out == NULL || strstr(out, "zqA") == NULL) print_error("%s, %zu: %s\n", names[i], k, err.message);
            assert_non_null(out);
            assert_non_null(strstr(out, "zqA"));
            if (strstr(conversations[k], "zqS") != NULL) assert_non_null(strstr(out, "zqS"));
            free(out);
        }
        hyp_template_free(tmpl);
    }
}

int main(void) {
    setenv("TZ", "UTC", 1);
    const struct CMUnitTest tests[] = {cmocka_unit_test(capabilities_are_found),
                                       cmocka_unit_test(a_system_message_without_role_is_merged),
                                       cmocka_unit_test(wire_calls_are_completed),
                                       cmocka_unit_test(content_takes_every_form),
                                       cmocka_unit_test(thinking_is_passed_on),
                                       cmocka_unit_test(refusals_are_told),
                                       cmocka_unit_test(what_is_left_out_is_not_shown),
                                       cmocka_unit_test(fallbacks_are_taken_in_order),
                                       cmocka_unit_test(every_template_takes_every_plain_conversation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Schemas against libllama's grammar engine: valid documents pass, invalid ones do not. Needs the vocabulary of the
 * demo model (models/, see tools/fetch-model.sh); what needs it is skipped without. */
#include "../test.h"
#include "chat/grammar.h"
#include "corpus.h"

#include <llama.h>
#include <math.h>
#include <unistd.h>

static struct llama_model *model;

static void quiet(enum ggml_log_level level, const char *text, void *arg) {
    (void)level, (void)text, (void)arg;
}

static int load_vocabulary(void **state) {
    (void)state;
    char path[1024];
    const char *folder = getenv("HYPURA_MODELS"), *root = getenv("HYPURA_ROOT");
    if (folder != NULL)
        snprintf(path, sizeof path, "%s/smollm2-135m-instruct-q4_1.gguf", folder);
    else
        snprintf(path, sizeof path, "%s/models/smollm2-135m-instruct-q4_1.gguf", root != NULL ? root : ".");
    if (getenv("HYPURA_TEST_VOCAB") != NULL) snprintf(path, sizeof path, "%s", getenv("HYPURA_TEST_VOCAB"));
    if (access(path, R_OK) != 0) return 0;
    llama_log_set(quiet, NULL);
    struct llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    model = llama_model_load_from_file(path, params);
    return 0;
}

static int free_vocabulary(void **state) {
    (void)state;
    llama_model_free(model);
    return 0;
}

/* Does the sampler let `token` through? */
static bool allows(struct llama_sampler *sampler, llama_token token) {
    llama_token_data data = {.id = token, .logit = 1.0f};
    llama_token_data_array list = {.data = &data, .size = 1, .selected = -1};
    llama_sampler_apply(sampler, &list);
    return list.size == 1 && data.logit > -INFINITY;
}

/* 1: the grammar matches the whole text; 0: it does not; -1: the grammar itself is refused. */
static int matches(const char *gbnf, const char *text) {
    const struct llama_vocab *vocab = llama_model_get_vocab(model);
    struct llama_sampler *sampler = llama_sampler_init_grammar(vocab, gbnf, "root");
    if (sampler == NULL) return -1;
    llama_token tokens[1024];
    int n = llama_tokenize(vocab, text, (int)strlen(text), tokens, 1024, false, true), ok = n >= 0;
    for (int i = 0; i < n && ok; i++) {
        ok = allows(sampler, tokens[i]);
        if (ok) llama_sampler_accept(sampler, tokens[i]);
    }
    if (ok) ok = allows(sampler, llama_vocab_eos(vocab));
    llama_sampler_free(sampler);
    return ok;
}

static char *grammar_of(const char *schema, hyp_err *err, int *ret_rc) {
    yyjson_doc *doc = yyjson_read(schema, strlen(schema), 0);
    assert_non_null(doc);
    hyp_str out = {0};
    *ret_rc = hyp_grammar_from_schema(yyjson_doc_get_root(doc), &out, err);
    yyjson_doc_free(doc);
    return out.data;
}

typedef struct row {
    const char *schema;
    const char *valid[8], *invalid[8];
} row;

static const row rows[] = {
    {"{}", {"1", "\"a\"", "{\"a\": [1, null]}", "true"}, {"", "a", "{", "1 2"}},
    {"true", {"[]"}, {"nul"}},
    {"{\"type\":\"string\"}", {"\"\"", "\"a\\n\\u00e9\\\"\"", "\"Grüße 世界\""}, {"1", "\"", "\"a\nb\"", "\"\\x\""}},
    {"{\"type\":\"integer\"}", {"0", "-12", "900"}, {"1.5", "01", "\"1\"", "-"}},
    {"{\"type\":\"number\"}", {"0", "-1.5", "2e10", "1.25E-3"}, {".5", "1.", "NaN"}},
    {"{\"type\":\"boolean\"}", {"true", "false"}, {"True", "0"}},
    {"{\"type\":\"null\"}", {"null"}, {"0", "nul"}},
    {"{\"type\":[\"string\",\"null\"]}", {"\"x\"", "null"}, {"1", "true"}},
    {"{\"type\":\"integer\",\"nullable\":true}", {"1", "null"}, {"\"\""}},
    {"{\"enum\":[\"red\",\"gr\\\"een\",3,null,[1]]}",
     {"\"red\"", "\"gr\\\"een\"", "3", "null", "[1]"},
     {"\"blue\"", "4", "[2]"}},
    {"{\"const\":{\"a\":1}}", {"{\"a\":1}"}, {"{\"a\":2}", "{}"}},
    /* objects */
    {"{\"type\":\"object\"}", {"{}", "{\"a\": 1, \"b\": {}}"}, {"[]", "{\"a\"}", "{a:1}"}},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"string\"}},\"required\":["
     "\"a\",\"b\"]}",
     {"{\"a\": 1, \"b\": \"x\"}", "{\"a\":1,\"b\":\"\"}"},
     {"{}", "{\"a\": 1}", "{\"b\": \"x\", \"a\": 1}", "{\"a\": \"1\", \"b\": \"x\"}",
      "{\"a\": 1, \"b\": \"x\", \"c\": 1}"}},
    {"{\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"integer\"},\"c\":{\"type\":\"integer\"}},"
     "\"required\":[\"b\"]}",
     {"{\"b\": 1}", "{\"a\":1,\"b\":2}", "{\"b\":1,\"c\":2}", "{\"a\":1,\"b\":2,\"c\":3}"},
     {"{}", "{\"a\":1}", "{\"c\":1,\"b\":1}", "{\"a\":1,}", "{\"a\":1,\"c\":1}"}},
    {"{\"properties\":{\"a\":{},\"b\":{}}}",
     {"{}", "{\"a\":1}", "{\"b\":1}", "{\"a\":1, \"b\":2}"},
     {"{,}", "{\"b\":1,\"a\":1}"}},
    {"{\"type\":\"object\",\"properties\":{},\"required\":[\"x\"],\"additionalProperties\":false}",
     {"{\"x\": [1]}"},
     {"{}"}},
    {"{\"type\":\"object\",\"additionalProperties\":false}", {"{}"}, {"{\"a\":1}"}},
    {"{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"}}",
     {"{}", "{\"a\":1}", "{\"a\":1, \"\":2}"},
     {"{\"a\":\"x\"}"}},
    {"{\"properties\":{\"ab\":{\"type\":\"integer\"},\"ac\":{\"type\":\"integer\"}},\"additionalProperties\":{\"type\":"
     "\"string\"}}",
     {"{\"ab\":1}", "{\"ab\":1, \"x\":\"y\"}", "{\"a\":\"y\"}", "{\"abc\":\"y\"}", "{\"\":\"y\"}",
      "{\"ac\":2, \"ad\":\"\"}"},
     {"{\"ab\":\"x\"}", "{\"x\":1}", "{\"ac\":\"x\"}"}},
    {"{\"properties\":{\"città\":{\"type\":\"string\"}},\"required\":[\"città\"],\"additionalProperties\":true}",
     {"{\"città\":\"Roma\"}", "{\"città\":\"Roma\",\"città2\":[1]}"},
     {"{\"citta\":\"Roma\"}"}},
    /* arrays */
    {"{\"type\":\"array\"}", {"[]", "[1, \"a\", []]"}, {"[", "[1,]", "{}"}},
    {"{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"minItems\":2,\"maxItems\":3}",
     {"[1,2]", "[1, 2, 3]"},
     {"[]", "[1]", "[1,2,3,4]", "[1,\"2\"]"}},
    {"{\"items\":{\"type\":\"string\"},\"maxItems\":1}", {"[]", "[\"a\"]"}, {"[\"a\",\"b\"]", "[1]"}},
    {"{\"type\":\"array\",\"maxItems\":0}", {"[]"}, {"[1]"}},
    {"{\"prefixItems\":[{\"type\":\"integer\"},{\"type\":\"string\"}],\"items\":false,\"minItems\":1}",
     {"[1]", "[1, \"a\"]"},
     {"[]", "[\"a\"]", "[1,\"a\",2]"}},
    {"{\"prefixItems\":[{\"type\":\"integer\"}],\"items\":{\"type\":\"string\"},\"minItems\":2}",
     {"[1,\"a\"]", "[1,\"a\",\"b\"]"},
     {"[1]", "[1,2]"}},
    /* combinations */
    {"{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"string\",\"maxLength\":2}]}",
     {"5", "\"ab\""},
     {"\"abc\"", "null"}},
    {"{\"oneOf\":[{\"const\":\"a\"},{\"const\":\"b\"}]}", {"\"a\"", "\"b\""}, {"\"c\""}},
    {"{\"type\":\"object\",\"properties\":{\"k\":{\"type\":\"string\"}},\"anyOf\":[{\"properties\":{\"x\":{\"type\":"
     "\"integer\"}},\"required\":[\"x\"]},{\"required\":[\"k\"]}]}",
     {"{\"x\": 1}", "{\"k\": \"a\"}", "{\"k\": \"a\", \"x\": 1}"},
     {"{}", "{\"x\": \"a\"}"}},
    {"{\"allOf\":[{\"properties\":{\"a\":{\"type\":\"integer\"}},\"required\":[\"a\"]},{\"properties\":{\"b\":{"
     "\"type\":\"integer\"}},\"required\":[\"b\"]}]}",
     {"{\"a\":1,\"b\":2}"},
     {"{\"a\":1}", "{\"b\":1}", "{}"}},
    {"{\"$defs\":{\"n\":{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"integer\"},\"next\":{\"anyOf\":[{\"$"
     "ref\":\"#/$defs/n\"},{\"type\":\"null\"}]}},\"required\":[\"v\",\"next\"]}},\"$ref\":\"#/$defs/n\"}",
     {"{\"v\":1,\"next\":null}", "{\"v\":1,\"next\":{\"v\":2,\"next\":null}}"},
     {"{\"v\":1}", "{\"v\":1,\"next\":{}}"}},
    {"{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}}", {"[]", "[[],[[]]]"}, {"[1]"}},
    {"{\"definitions\":{\"e\":{\"enum\":[\"x\",\"y\"]}},\"properties\":{\"a\":{\"allOf\":[{\"$ref\":\"#/definitions/"
     "e\"}],\"description\":\"d\"}},\"required\":[\"a\"]}",
     {"{\"a\":\"x\"}"},
     {"{\"a\":\"z\"}"}},
    /* strings */
    {"{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}",
     {"\"ab\"", "\"abc\"", "\"世界\"", "\"\\n\\n\""},
     {"\"a\"", "\"abcd\""}},
    {"{\"type\":\"string\",\"minLength\":1}", {"\"a\"", "\"abcdef\""}, {"\"\""}},
    {"{\"type\":\"string\",\"pattern\":\"^[a-z]{2,3}-\\\\d+$\"}",
     {"\"ab-1\"", "\"abc-123\""},
     {"\"a-1\"", "\"ab-\"", "\"AB-1\"", "\"xabc-1\""}},
    {"{\"type\":\"string\",\"pattern\":\"^(foo|ba[rz])?x\\\\.y$\"}",
     {"\"foox.y\"", "\"bazx.y\"", "\"x.y\""},
     {"\"foox-y\"", "\"bax.y\""}},
    {"{\"type\":\"string\",\"pattern\":\"mid\"}", {"\"mid\"", "\"amidst\""}, {"\"mad\""}},
    {"{\"type\":\"string\",\"pattern\":\"^[^a]*\\\"$\"}",
     {"\"\\\"\"", "\"bc\\\"\"", "\"\\\\\\\"\""},
     {"\"a\\\"\"", "\"b\""}},
    {"{\"type\":\"string\",\"pattern\":\"^\\\\w+@\\\\S+$\"}", {"\"ab_1@x.y\""}, {"\"@x\"", "\"a@ b\""}},
    {"{\"type\":\"string\",\"pattern\":\"^\\\\u00e9+$\"}", {"\"éé\""}, {"\"e\""}},
    {"{\"type\":\"string\",\"format\":\"date\"}",
     {"\"2024-02-29\""},
     {"\"2024-13-01\"", "\"24-01-01\"", "\"2024-01-32\""}},
    {"{\"type\":\"string\",\"format\":\"date-time\"}",
     {"\"2024-02-29T12:30:00Z\"", "\"2024-02-29T23:59:59.123+02:00\""},
     {"\"2024-02-29\"", "\"2024-02-29T25:00:00Z\""}},
    {"{\"type\":\"string\",\"format\":\"time\"}", {"\"12:30:00Z\""}, {"\"12:30\""}},
    {"{\"type\":\"string\",\"format\":\"uuid\"}", {"\"123e4567-e89b-12d3-a456-426614174000\""}, {"\"123e4567\""}},
    {"{\"type\":\"string\",\"format\":\"ipv4\"}",
     {"\"127.0.0.1\"", "\"255.255.255.255\""},
     {"\"256.0.0.1\"", "\"1.2.3\""}},
    {"{\"type\":\"string\",\"format\":\"email\"}", {"\"anything\""}, {"1"}},
    /* numbers */
    {"{\"type\":\"integer\",\"minimum\":0}", {"0", "7", "12345"}, {"-1", "1.0"}},
    {"{\"type\":\"integer\",\"minimum\":5,\"maximum\":123}",
     {"5", "9", "10", "99", "100", "123"},
     {"4", "124", "0", "1000", "-5"}},
    {"{\"type\":\"integer\",\"minimum\":-12,\"maximum\":7}", {"-12", "-1", "0", "7", "-9"}, {"-13", "8", "-0", "10"}},
    {"{\"type\":\"integer\",\"maximum\":-3}", {"-3", "-4", "-100"}, {"-2", "0", "3"}},
    {"{\"type\":\"integer\",\"exclusiveMinimum\":0,\"exclusiveMaximum\":10}", {"1", "9"}, {"0", "10"}},
    {"{\"type\":\"integer\",\"minimum\":1.5,\"maximum\":3.5}", {"2", "3"}, {"1", "4"}},
    {"{\"type\":\"integer\",\"minimum\":198,\"maximum\":2003}",
     {"198", "199", "200", "999", "1000", "1999", "2003"},
     {"197", "2004", "100", "3000", "99"}},
    {"{\"type\":\"number\",\"minimum\":0,\"maximum\":1}", {"0", "0.5", "1", "1.0"}, {"1.5", "-0.5", "2"}},
    {"{\"type\":\"number\",\"exclusiveMinimum\":0}", {"0.1", "1", "25.5"}, {"0", "0.0", "-1"}},
    {"{\"type\":\"number\",\"minimum\":-2,\"maximum\":10}",
     {"-2", "-1.5", "0", "9.9", "10.0"},
     {"-2.5", "10.1", "11", "-3"}},
};

static void documents_are_judged_as_the_schema_says(void **state) {
    (void)state;
    if (model == NULL) {
        print_message("no demo model: skipped\n");
        skip();
    }
    int bad = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hyp_err err = HYP_ERR_NONE;
        int rc;
        char *gbnf = grammar_of(rows[i].schema, &err, &rc);
        if (rc < 0) print_error("%s: %s\n", rows[i].schema, err.message);
        assert_int_equal(rc, HYP_OK);
        for (size_t k = 0; k < 8; k++) {
            int valid = rows[i].valid[k] != NULL ? matches(gbnf, rows[i].valid[k]) : 1;
            int invalid = rows[i].invalid[k] != NULL ? matches(gbnf, rows[i].invalid[k]) : 0;
            if (valid != 1) print_error("%s refuses %s (%d)\n%s\n", rows[i].schema, rows[i].valid[k], valid, gbnf);
            if (invalid != 0)
                print_error("%s accepts %s (%d)\n%s\n", rows[i].schema, rows[i].invalid[k], invalid, gbnf);
            bad += valid != 1 || invalid != 0;
        }
        free(gbnf);
    }
    assert_int_equal(bad, 0);
}

static void any_json_is_an_object(void **state) {
    (void)state;
    if (model == NULL) skip();
    assert_int_equal(matches(hyp_grammar_json(), "{\"a\": [1, {\"b\": null}], \"c\": \"\\u00e9\"}"), 1);
    assert_int_equal(matches(hyp_grammar_json(), "{}"), 1);
    assert_int_equal(matches(hyp_grammar_json(), "[1]"), 0);
    assert_int_equal(matches(hyp_grammar_json(), "{\"a\": }"), 0);
}

static void what_is_unsupported_is_named_with_its_path(void **state) {
    (void)state;
    static const struct {
        const char *schema, *says;
        int code;
    } bad[] = {
        {"{\"properties\":{\"a\":{\"not\":{}}}}", "#/a: \"not\"", HYP_EUNSUPPORTED},
        {"{\"items\":{\"properties\":{\"x\":{\"patternProperties\":{}}}}}", "#/items/x: \"patternProperties\"",
         HYP_EUNSUPPORTED},
        {"{\"uniqueItems\":true,\"type\":\"array\"}", "uniqueItems", HYP_EUNSUPPORTED},
        {"{\"anyOf\":[{\"type\":\"string\"},{\"if\":{}}]}", "#/anyOf/1: \"if\"", HYP_EUNSUPPORTED},
        {"{\"type\":\"string\",\"pattern\":\"(?=x)\"}", "look-around", HYP_EUNSUPPORTED},
        {"{\"type\":\"string\",\"pattern\":\"(a)\\\\1\"}", "\\1", HYP_EUNSUPPORTED},
        {"{\"type\":\"string\",\"pattern\":\"(a\"}", "parenthesis", HYP_EINVAL},
        {"{\"type\":\"string\",\"pattern\":\"a)\"}", "parenthesis", HYP_EINVAL},
        {"{\"type\":\"string\",\"pattern\":\"[a\"}", "bracket", HYP_EINVAL},
        {"{\"type\":\"number\",\"minimum\":0.5}", "whole", HYP_EUNSUPPORTED},
        {"{\"type\":\"integer\",\"minimum\":5,\"maximum\":4}", "bounds", HYP_EINVAL},
        {"{\"type\":\"frog\"}", "frog", HYP_EINVAL},
        {"{\"$ref\":\"#/$defs/none\"}", "nowhere", HYP_EINVAL},
        {"{\"$ref\":\"other.json\"}", "another document", HYP_EUNSUPPORTED},
        {"{\"$ref\":\"#\"}", "itself", HYP_EINVAL},
        {"{\"enum\":[]}", "enum", HYP_EINVAL},
        {"{\"type\":\"array\",\"minItems\":100000}", "minItems", HYP_EUNSUPPORTED},
        {"false", "nothing can match", HYP_EINVAL},
        {"[1]", "object", HYP_EINVAL},
        {"\"json\"", "object", HYP_EINVAL},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        hyp_err err = HYP_ERR_NONE;
        int rc;
        char *gbnf = grammar_of(bad[i].schema, &err, &rc);
        if (rc != bad[i].code || strstr(err.message, bad[i].says) == NULL)
            print_error("%s: %d %s\n", bad[i].schema, rc, err.message);
        assert_null(gbnf);
        assert_int_equal(rc, bad[i].code);
        assert_non_null(strstr(err.message, bad[i].says));
    }
}

static void deep_schemas_are_refused(void **state) {
    (void)state;
    hyp_str s = {0};
    for (int i = 0; i < 500; i++)
        hyp_str_puts(&s, "{\"items\":");
    hyp_str_puts(&s, "{}");
    for (int i = 0; i < 500; i++)
        hyp_str_puts(&s, "}");
    hyp_err err = HYP_ERR_NONE;
    int rc;
    assert_null(grammar_of(s.data, &err, &rc));
    assert_int_equal(rc, HYP_ELIMIT);
    hyp_str_free(&s);
    err = HYP_ERR_NONE; /* a recursion that merging unrolls */
    assert_null(grammar_of(
        "{\"$defs\":{\"a\":{\"properties\":{\"x\":{\"allOf\":[{\"$ref\":\"#/$defs/a\"},{\"type\":\"object\"}]}}}},"
        "\"$ref\":\"#/$defs/a\"}",
        &err, &rc));
    assert_int_equal(rc, HYP_ELIMIT);
}

static const char tools_json[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"parameters\":{\"type\":\"object\",\"properties\":"
    "{"
    "\"city\":{\"type\":\"string\"},\"days\":{\"type\":\"integer\"}},\"required\":[\"city\"]}}},"
    "{\"type\":\"function\",\"function\":{\"name\":\"odd\",\"parameters\":{\"type\":\"object\",\"not\":{}}}},"
    "{\"type\":\"function\",\"function\":{\"name\":\"bare\"}}]";

static const struct {
    hyp_tool_format format;
    const char *text; /* of the template */
    const char *valid[4], *invalid[4];
} bound_calls[] = {
    {HYP_TOOLS_TAGS,
     "<tool_call>",
     {"<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>",
      "<tool_call>\n{\"name\": \"odd\", \"arguments\": {\"any\": 1}}\n</tool_call>\n<tool_call>\n{\"name\": "
      "\"bare\", \"arguments\": {}}\n</tool_call>"},
     {"<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {}}\n</tool_call>",
      "<tool_call>\n{\"name\": \"unknown\", \"arguments\": {}}\n</tool_call>", "text"}},
    {HYP_TOOLS_LLAMA3,
     "<|python_tag|>",
     {"{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Rome\", \"days\": 2}}"},
     {"{\"name\": \"get_weather\", \"parameters\": {\"days\": 2}}"}},
    {HYP_TOOLS_MISTRAL,
     "[TOOL_CALLS]",
     {"[TOOL_CALLS] [{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}, \"id\": \"abcDEF123\"}, "
      "{\"name\": \"bare\", \"arguments\": {}}]"},
     {"[TOOL_CALLS] [{\"name\": \"get_weather\", \"arguments\": {\"city\": 1}}]"}},
    {HYP_TOOLS_MISTRAL,
     "[TOOL_CALLS] [ARGS]",
     {"[TOOL_CALLS]get_weather[ARGS]{\"city\": \"Rome\"}[TOOL_CALLS]bare[ARGS]{}"},
     {"[TOOL_CALLS]nope[ARGS]{}"}},
    {HYP_TOOLS_DEEPSEEK,
     "```json",
     {"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{\"city\": "
      "\"Rome\"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"},
     {"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>x\n```json\n{}\n```<｜tool▁call▁end｜>"}},
    {HYP_TOOLS_DEEPSEEK,
     "",
     {"<｜tool▁call▁begin｜>bare<｜tool▁sep｜>{}<｜tool▁call▁end｜>"},
     {"<｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{}<｜tool▁call▁end｜>"}},
    {HYP_TOOLS_GRANITE, "", {"<|tool_call|>[{\"name\": \"bare\", \"arguments\": {}}]"}, {"<|tool_call|>[]"}},
    {HYP_TOOLS_COMMAND,
     "",
     {"<|START_ACTION|>[\n{\"tool_call_id\": \"0\", \"tool_name\": \"bare\", \"parameters\": {}}]<|END_ACTION|>"},
     {"<|START_ACTION|>[]<|END_ACTION|>"}},
    {HYP_TOOLS_KIMI,
     "",
     {"<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{\"city\":"
      " \"x\"}<|tool_call_end|><|tool_calls_section_end|>"},
     {"<|tool_call_begin|>functions.bare<|tool_call_end|>"}},
    {HYP_TOOLS_TAGS,
     "<tool_call> <function=",
     {"<tool_call>\n<function=get_weather>\n<parameter=city>\nRome </param> & "
      "<b>\n</parameter>\n<parameter=days>\n2\n"
      "</parameter>\n</function>\n</tool_call>",
      "<tool_call>\n<function=odd>\n<parameter=x>\n1\n</parameter>\n</function>\n</"
      "tool_call>\n<tool_call>\n<function="
      "bare>\n</function>\n</tool_call>",
      "<function=get_weather>\n<parameter=city>\nRome\n</parameter>\n</function>"},
     {"<tool_call>\n<function=get_weather>\n<parameter=days>\n2\n</parameter>\n</function>\n</tool_call>",
      "<tool_call>\n<function=get_weather>\n<parameter=city>\nx\n</parameter>\n<parameter=days>\ntwo\n</"
      "parameter>\n"
      "</function>\n</tool_call>",
      "<tool_call>\n<function=nope>\n</function>\n</tool_call>",
      "<tool_call>\n<function=get_weather>\n<parameter=town>\nx\n</parameter>\n</function>\n</tool_call>"}},
    {HYP_TOOLS_TAGS,
     "<tool_call> <arg_key>",
     {"<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Rome</arg_value>\n<arg_key>days</"
      "arg_key>\n<arg_value>3"
      "</arg_value>\n</tool_call>",
      "<tool_call>bare\n</tool_call>\n<tool_call>bare\n</tool_call>"},
     {"<tool_call>get_weather\n</tool_call>", "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>x</"
                                              "arg_value>\n<arg_key>days</arg_key>\n<arg_value>x"
                                              "</arg_value>\n</tool_call>"}},
    {HYP_TOOLS_SEED,
     "",
     {"<seed:tool_call>\n<function=get_weather>\n<parameter=city>Rome</parameter>\n</function>\n</seed:tool_call>"},
     {"<seed:tool_call>\n<function=get_weather>\n</function>\n</seed:tool_call>"}},
    {HYP_TOOLS_MINIMAX,
     "",
     {"<minimax:tool_call>\n<invoke name=\"get_weather\">\n<parameter "
      "name=\"city\">Rome</parameter>\n</invoke>\n<invoke "
      "name=\"bare\">\n</invoke>\n</minimax:tool_call>"},
     {"<minimax:tool_call>\n<invoke name=\"get_weather\">\n</invoke>\n</minimax:tool_call>",
      "<minimax:tool_call>\n</minimax:tool_call>"}},
    {HYP_TOOLS_HARMONY,
     "",
     {"<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{\"city\": \"Rome\"}<|call|>",
      "<|channel|>commentary to=functions.bare json<|message|>{}",
      " to=functions.get_weather<|channel|>commentary <|constrain|>json<|message|>{\"city\":\"Rome\",\"days\":1}",
      "assistant to=functions.odd<|channel|>analysis<|message|>{\"a\": [1]}"},
     {"<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{\"days\": 1}",
      "<|channel|>commentary to=functions.nope<|message|>{}", "<|channel|>final<|message|>text"}},
    {HYP_TOOLS_NEMOTRON,
     "",
     {"<TOOLCALL>[{\"name\": \"bare\", \"arguments\": {}}]</TOOLCALL>"},
     {"<TOOLCALL>[]</TOOLCALL>"}},
};

static void tool_calls_are_bound(void **state) {
    (void)state;
    yyjson_doc *tools = yyjson_read(tools_json, strlen(tools_json), 0);
    int bad = 0;
    for (size_t i = 0; i < sizeof bound_calls / sizeof *bound_calls; i++) {
        hyp_tool_grammar g;
        hyp_err err = HYP_ERR_NONE;
        int rc =
            hyp_grammar_for_tools(bound_calls[i].format, bound_calls[i].text, yyjson_doc_get_root(tools), 0, &g, &err);
        if (rc < 0) print_error("%zu: %s\n", i, err.message);
        assert_int_equal(rc, HYP_OK);
        assert_true(g.n_triggers > 0 && g.gbnf != NULL);
        for (size_t k = 0; model != NULL && k < 4; k++) {
            int valid = bound_calls[i].valid[k] != NULL ? matches(g.gbnf, bound_calls[i].valid[k]) : 1;
            int invalid = bound_calls[i].invalid[k] != NULL ? matches(g.gbnf, bound_calls[i].invalid[k]) : 0;
            if (valid != 1) print_error("refuses %s (%d)\n%s\n", bound_calls[i].valid[k], valid, g.gbnf);
            if (invalid != 0) print_error("accepts %s (%d)\n%s\n", bound_calls[i].invalid[k], invalid, g.gbnf);
            bad += valid != 1 || invalid != 0;
        }
        hyp_tool_grammar_clear(&g);
        assert_int_equal(hyp_grammar_for_tools(bound_calls[i].format, bound_calls[i].text, yyjson_doc_get_root(tools),
                                               HYP_CALLS_REQUIRED, &g, &err),
                         HYP_OK);
        assert_int_equal(g.n_triggers, 0);
        hyp_tool_grammar_clear(&g);
    }
    hyp_tool_grammar none;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_grammar_for_tools(HYP_TOOLS_NONE, "", yyjson_doc_get_root(tools), 0, &none, &err),
                     HYP_EUNSUPPORTED);
    err = HYP_ERR_NONE;
    assert_int_equal(hyp_grammar_for_tools(HYP_TOOLS_TAGS, "", NULL, 0, &none, &err), HYP_EINVAL);
    yyjson_doc_free(tools);
    assert_int_equal(bad, 0);
}

static void one_call_is_one_call(void **state) {
    (void)state;
    if (model == NULL) skip();
    static const char call[] = "<tool_call>\n{\"name\": \"bare\", \"arguments\": {}}\n</tool_call>";
    char two[2 * sizeof call];
    snprintf(two, sizeof two, "%s\n%s", call, call);
    yyjson_doc *tools = yyjson_read(tools_json, strlen(tools_json), 0);
    static const unsigned flags[] = {HYP_CALLS_REQUIRED, HYP_CALLS_REQUIRED | HYP_CALLS_ONE};
    for (size_t i = 0; i < 2; i++) {
        hyp_tool_grammar g;
        hyp_err err = HYP_ERR_NONE;
        assert_int_equal(hyp_grammar_for_tools(HYP_TOOLS_TAGS, "", yyjson_doc_get_root(tools), flags[i], &g, &err),
                         HYP_OK);
        assert_int_equal(matches(g.gbnf, call), 1);
        assert_int_equal(matches(g.gbnf, two), i == 0);
        hyp_tool_grammar_clear(&g);
    }
    yyjson_doc_free(tools);
}

/* Where a call is required, gpt-oss may think before it, unless it is told not to, and nothing else. */
static void a_required_call_may_follow_thoughts(void **state) {
    (void)state;
    if (model == NULL) skip();
#define THOUGHT "<|channel|>analysis<|message|>A <| b <|en.<|end|><|start|>assistant"
#define CALL "<|channel|>commentary to=functions.bare <|constrain|>json<|message|>{}<|call|>"
    yyjson_doc *tools = yyjson_read(tools_json, strlen(tools_json), 0);
    static const unsigned flags[] = {HYP_CALLS_REQUIRED, HYP_CALLS_REQUIRED | HYP_CALLS_AT_ONCE};
    for (size_t i = 0; i < 2; i++) {
        hyp_tool_grammar g;
        hyp_err err = HYP_ERR_NONE;
        assert_int_equal(hyp_grammar_for_tools(HYP_TOOLS_HARMONY, "", yyjson_doc_get_root(tools), flags[i], &g, &err),
                         HYP_OK);
        assert_int_equal(matches(g.gbnf, CALL), 1);
        assert_int_equal(matches(g.gbnf, THOUGHT CALL), i == 0);
        assert_int_equal(matches(g.gbnf, "<|channel|>analysis<|message|>A<|end|>"), 0);
        assert_int_equal(matches(g.gbnf, "<|channel|>final<|message|>A"), 0);
        hyp_tool_grammar_clear(&g);
    }
    yyjson_doc_free(tools);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(documents_are_judged_as_the_schema_says),
                                       cmocka_unit_test(any_json_is_an_object),
                                       cmocka_unit_test(what_is_unsupported_is_named_with_its_path),
                                       cmocka_unit_test(deep_schemas_are_refused),
                                       cmocka_unit_test(tool_calls_are_bound),
                                       cmocka_unit_test(one_call_is_one_call),
                                       cmocka_unit_test(a_required_call_may_follow_thoughts)};
    return cmocka_run_group_tests(tests, load_vocabulary, free_vocabulary);
}

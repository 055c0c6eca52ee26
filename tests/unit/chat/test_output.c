/* Sorting of model output: every format, every chunking, and what is not quite a call. */
#include "../test.h"
#include "base/text.h"
#include "base/utf8.h"
#include "chat/output.h"
#include "corpus.h"

/* What came out, as one text: C<content> T<thinking> F<name|arguments>, runs of one kind joined. */
typedef struct record {
    hyp_str text;
    char kind;
    bool broken_utf8;
} record;

static void add(record *r, char kind, const char *s, size_t n) {
    if (hyp_utf8_whole(s, n) != n) r->broken_utf8 = true;
    if (r->kind != kind) {
        if (r->kind != '\0') hyp_str_puts(&r->text, ">");
        hyp_str_printf(&r->text, "%c<", kind);
        r->kind = kind;
    }
    hyp_str_append(&r->text, s, n);
}
static void on_content(void *arg, const char *s, size_t n) {
    add(arg, 'C', s, n);
}
static void on_thinking(void *arg, const char *s, size_t n) {
    add(arg, 'T', s, n);
}
static void on_call(void *arg, const hyp_tool_call *call) {
    record *r = arg;
    if (r->kind != '\0') hyp_str_puts(&r->text, ">");
    r->kind = '\0';
    yyjson_doc *doc = yyjson_read(call->arguments, strlen(call->arguments), 0);
    assert_true(yyjson_is_obj(yyjson_doc_get_root(doc)));
    yyjson_doc_free(doc);
    hyp_str_printf(&r->text, "F<%s|%s%s%s>", call->name, call->arguments, call->id != NULL ? "|" : "",
                   call->id != NULL ? call->id : "");
}

static const char tools_json[] = "[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"parameters\":{"
                                 "\"type\":\"object\",\"properties\":{"
                                 "\"city\":{\"type\":\"string\"},\"days\":{\"type\":\"integer\"},\"opts\":{\"type\":"
                                 "\"object\"},\"on\":{\"type\":\"boolean\"}}}}},"
                                 "{\"type\":\"function\",\"function\":{\"name\":\"search\",\"parameters\":{\"type\":"
                                 "\"object\",\"properties\":{}}}}]";

/* Sort `text`, cut into pieces whose sizes `seed` draws (0: one piece; 1: byte by byte). The caller frees. */
static char *sort(hyp_output_format f, const char *prompt, bool with_tools, const char *text, unsigned seed) {
    yyjson_doc *tools = yyjson_read(tools_json, strlen(tools_json), 0);
    record r = {0};
    hyp_output *o = NULL;
    hyp_err err = HYP_ERR_NONE;
    hyp_output_sink sink = {&r, on_content, on_thinking, on_call};
    assert_int_equal(hyp_output_new(f, prompt, with_tools ? yyjson_doc_get_root(tools) : NULL, sink, &o, &err), HYP_OK);
    size_t n = strlen(text);
    for (size_t i = 0; i < n;) {
        size_t take = seed == 0 ? n : seed == 1 ? 1 : (seed = seed * 1103515245u + 12345u, 1 + (seed >> 16) % 9);
        if (take > n - i) take = n - i;
        char *piece = malloc(take); /* exactly as long as it is: a reader past its end is seen */
        memcpy(piece, text + i, take);
        assert_int_equal(hyp_output_feed(o, piece, take, &err), HYP_OK);
        free(piece);
        i += take;
    }
    assert_int_equal(hyp_output_finish(o, &err), HYP_OK);
    hyp_output_free(o);
    yyjson_doc_free(tools);
    if (r.kind != '\0') hyp_str_puts(&r.text, ">");
    assert_false(r.broken_utf8);
    return r.text.data != NULL ? r.text.data : strdup("");
}

typedef struct sample {
    hyp_tool_format tools;
    hyp_think_format think;
    const char *prompt, *text, *want;
} sample;

#define J "{\"city\":\"Rome\"}"
static const sample samples[] = {
    /* plain */
    {HYP_TOOLS_NONE, HYP_THINK_NONE, "", "Hello <b>world</b> \n", "C<Hello <b>world</b> \n>"},
    {HYP_TOOLS_TAGS, HYP_THINK_NONE, "", "Grüße 世界 🙂 <tool", "C<Grüße 世界 🙂 <tool>"},
    {HYP_TOOLS_TAGS, HYP_THINK_TAGS, "", "", ""},
    {HYP_TOOLS_TAGS, HYP_THINK_TAGS, "", "  x", "C<  x>"},
    /* reasoning */
    {HYP_TOOLS_NONE, HYP_THINK_TAGS, "", "<think>\nhm 🙂\n</think>\n\nYes.", "T<hm 🙂>C<Yes.>"},
    {HYP_TOOLS_NONE, HYP_THINK_TAGS, "<|im_start|>assistant\n<think>\n", "hm\n</think>\nYes", "T<hm>C<Yes>"},
    {HYP_TOOLS_NONE, HYP_THINK_TAGS, "<think>\n\n</think>\n\n", "Yes", "C<Yes>"},
    {HYP_TOOLS_NONE, HYP_THINK_TAGS, "", "\n<think></think>Yes", "C<Yes>"},
    {HYP_TOOLS_NONE, HYP_THINK_TAGS, "", "The <think> tag", "C<The <think> tag>"},
    {HYP_TOOLS_NONE, HYP_THINK_TAGS, "", "<think>unfinished", "T<unfinished>"},
    {HYP_TOOLS_NONE, HYP_THINK_TAGS, "", "<think>a </thin b</think>c", "T<a </thin b>C<c>"},
    {HYP_TOOLS_NONE, HYP_THINK_NONE, "", "<think>a</think>", "C<<think>a</think>>"},
    {HYP_TOOLS_SEED, HYP_THINK_SEED, "", "<seed:think>a</seed:think>b", "T<a>C<b>"},
    {HYP_TOOLS_MISTRAL, HYP_THINK_MISTRAL, "", "[THINK]a[/THINK]b", "T<a>C<b>"},
    {HYP_TOOLS_COMMAND, HYP_THINK_COMMAND, "", "<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>b<|END_RESPONSE|>",
     "T<a>C<b>"},
    /* Hermes and Qwen */
    {HYP_TOOLS_TAGS, HYP_THINK_NONE, "",
     "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>",
     "F<get_weather|" J ">"},
    {HYP_TOOLS_TAGS, HYP_THINK_TAGS, "",
     "<think>t</think>\n\nLet me see.\n<tool_call>\n{\"name\":\"get_weather\",\"arguments\":" J
     "}\n</tool_call>\n<tool_call>\n{\"name\":\"search\",\"arguments\":{}}\n</tool_call>",
     "T<t>C<Let me see.>F<get_weather|" J ">F<search|{}>"},
    {HYP_TOOLS_TAGS, HYP_THINK_NONE, "",
     "<tool_call>{\"name\":\"a.b-c\",\"arguments\":\"{\\\"x\\\":1}\"}</tool_call> done", "F<a.b-c|{\"x\":1}>C<done>"},
    {HYP_TOOLS_TAGS, HYP_THINK_NONE, "",
     "<tool_call>{\"name\":\"search\",\"arguments\":{\"q\":\"</tool_call> } \\\" {\"}}</tool_call>",
     "F<search|{\"q\":\"</tool_call> } \\\" {\"}>"},
    {HYP_TOOLS_TAGS, HYP_THINK_NONE, "", "<tool_call>{\"name\":\"search\",\"arguments\":{\"q\":\"a\nb\"}}",
     "F<search|{\"q\":\"a\\nb\"}>"},
    {HYP_TOOLS_TAGS, HYP_THINK_NONE, "", "<tool_call>[{\"name\":\"a\",\"arguments\":{}},{\"name\":\"b\"}]</tool_call>",
     "F<a|{}>F<b|{}>"},
    {HYP_TOOLS_TAGS, HYP_THINK_NONE, "", "<tool_call>{\"name\": bad}</tool_call>",
     "C<<tool_call>{\"name\": bad}</tool_call>>"},
    {HYP_TOOLS_TAGS, HYP_THINK_NONE, "", "x <tool_call>{\"name\":\"a\",\"argum",
     "C<x <tool_call>{\"name\":\"a\",\"argum>"},
    {HYP_TOOLS_TAGS, HYP_THINK_NONE, "", "<tool_call>{\"name\":\"a\",\"arguments\":[1]}</tool_call>",
     "C<<tool_call>{\"name\":\"a\",\"arguments\":[1]}</tool_call>>"},
    {HYP_TOOLS_TAGS, HYP_THINK_NONE, "",
     "<tool_call>{\"nom\":\"a\"}</tool_call>\n<tool_call>{\"name\":\"search\"}</tool_call>",
     "C<<tool_call>{\"nom\":\"a\"}</tool_call>>F<search|{}>"},
    /* what Qwen2.5-Coder writes instead of its tags */
    {HYP_TOOLS_TAGS, HYP_THINK_NONE, "", "{\"name\": \"get_weather\", \"arguments\": " J "}", "F<get_weather|" J ">"},
    {HYP_TOOLS_TAGS, HYP_THINK_NONE, "",
     "```json\n{\n  \"name\": \"get_weather\",\n  \"arguments\": {\n    \"city\": \"Rome\"\n  }\n}\n```",
     "F<get_weather|" J ">"},
    {HYP_TOOLS_TAGS, HYP_THINK_NONE, "", "```\n{\"name\": \"search\", \"arguments\": {}}\n``` Done.",
     "F<search|{}>C<Done.>"},
    {HYP_TOOLS_TAGS, HYP_THINK_NONE, "", "{{\"name\": \"get_weather\", \"arguments\": " J "}}", "F<get_weather|" J ">"},
    {HYP_TOOLS_TAGS, HYP_THINK_NONE, "",
     "```json\n{{\"name\": \"search\", \"arguments\": {}}}\n```\n<tool_call>{\"name\":"
     "\"search\"}</tool_call>",
     "F<search|{}>F<search|{}>"},
    {HYP_TOOLS_TAGS, HYP_THINK_TAGS, "",
     "<think>t</think>\n{\"name\": \"search\", \"arguments\": {}}\n{\"name\": \"search\"}",
     "T<t>F<search|{}>F<search|{}>"},
    {HYP_TOOLS_TAGS, HYP_THINK_NONE, "", "{\"name\": \"Ada\", \"age\": 36}", "C<{\"name\": \"Ada\", \"age\": 36}>"},
    {HYP_TOOLS_TAGS, HYP_THINK_NONE, "", "```json\n{\"name\": \"Ada\"}\n```", "C<```json\n{\"name\": \"Ada\"}\n```>"},
    {HYP_TOOLS_TAGS, HYP_THINK_NONE, "", "```python\n{{x}}\n```", "C<```python\n{{x}}\n```>"},
    {HYP_TOOLS_TAGS, HYP_THINK_NONE, "", "{{\"a\": 1}}", "C<{{\"a\": 1}}>"},
    {HYP_TOOLS_TAGS, HYP_THINK_NONE, "", "{", "C<{>"},
    {HYP_TOOLS_TAGS, HYP_THINK_NONE, "", "```js", "C<```js>"},
    {HYP_TOOLS_TAGS, HYP_THINK_NONE, "", "See {\"name\": \"search\"}", "C<See {\"name\": \"search\"}>"},
    /* Qwen3-Coder */
    {HYP_TOOLS_TAGS, HYP_THINK_NONE, "",
     "I "
     "look.\n\n<tool_call>\n<function=get_weather>\n<parameter=city>\nNew\nYork\n</parameter>\n<parameter=days>\n3\n</"
     "parameter>\n<parameter=opts>\n{\"a\": "
     "[1]}\n</parameter>\n<parameter=on>True</parameter>\n</function>\n</tool_call>",
     "C<I look.>F<get_weather|{\"city\":\"New\\nYork\",\"days\":3,\"opts\":{\"a\":[1]},\"on\":true}>"},
    {HYP_TOOLS_TAGS, HYP_THINK_NONE, "", "<function=search>\n</function>", "F<search|{}>"},
    {HYP_TOOLS_TAGS, HYP_THINK_NONE, "",
     "<tool_call><function=get_weather><parameter=city>12</parameter></function></tool_call>",
     "F<get_weather|{\"city\":\"12\"}>"},
    {HYP_TOOLS_TAGS, HYP_THINK_NONE, "", "<tool_call><function=get_weather>junk</function></tool_call>",
     "C<<tool_call>>C"},
    /* GLM */
    {HYP_TOOLS_TAGS, HYP_THINK_TAGS, "",
     "\n<think>t</think>\n<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Rome</arg_value>\n<arg_key>days</"
     "arg_key>\n<arg_value>2</arg_value>\n</tool_call>",
     "T<t>F<get_weather|{\"city\":\"Rome\",\"days\":2}>"},
    {HYP_TOOLS_TAGS, HYP_THINK_NONE, "", "<tool_call>search\n</tool_call>\n<tool_call>search</tool_call>",
     "F<search|{}>F<search|{}>"},
    /* Llama 3 */
    {HYP_TOOLS_LLAMA3, HYP_THINK_NONE, "", "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Rome\"}}",
     "F<get_weather|" J ">"},
    {HYP_TOOLS_LLAMA3, HYP_THINK_NONE, "",
     "<|python_tag|>{\"type\": \"function\", \"name\": \"get_weather\", \"parameters\": " J "}<|eom_id|>",
     "F<get_weather|" J ">"},
    {HYP_TOOLS_LLAMA3, HYP_THINK_NONE, "",
     "{\"name\":\"search\",\"parameters\":{}}; {\"name\":\"search\",\"parameters\":{\"a\":1}}",
     "F<search|{}>F<search|{\"a\":1}>"},
    {HYP_TOOLS_LLAMA3, HYP_THINK_NONE, "", "{\"name\": \"unknown\", \"parameters\": {}}",
     "C<{\"name\": \"unknown\", \"parameters\": {}}>"},
    {HYP_TOOLS_LLAMA3, HYP_THINK_NONE, "", "{\"answer\": 42}", "C<{\"answer\": 42}>"},
    {HYP_TOOLS_LLAMA3, HYP_THINK_NONE, "", "See {\"name\":\"search\",\"parameters\":{}}",
     "C<See {\"name\":\"search\",\"parameters\":{}}>"},
    /* Mistral */
    {HYP_TOOLS_MISTRAL, HYP_THINK_NONE, "",
     "[TOOL_CALLS] [{\"name\": \"get_weather\", \"arguments\": " J
     ", \"id\": \"abcDEF123\"}, {\"name\":\"search\",\"arguments\":{}}]",
     "F<get_weather|" J "|abcDEF123>F<search|{}>"},
    {HYP_TOOLS_MISTRAL, HYP_THINK_NONE, "", "ok [TOOL_CALLS]get_weather[ARGS]" J "[TOOL_CALLS]search{}",
     "C<ok>F<get_weather|" J ">F<search|{}>"},
    {HYP_TOOLS_MISTRAL, HYP_THINK_NONE, "", "[TOOL_CALLS]get_weather[CALL_ID]123456789[ARGS]" J,
     "F<get_weather|" J "|123456789>"},
    {HYP_TOOLS_MISTRAL, HYP_THINK_NONE, "", "[TOOL_CALLS] not a call {", "C<[TOOL_CALLS] not a call {>"},
    {HYP_TOOLS_MISTRAL, HYP_THINK_NONE, "", "list [1, 2] and [TOOL", "C<list [1, 2] and [TOOL>"},
    /* DeepSeek */
    {HYP_TOOLS_DEEPSEEK, HYP_THINK_TAGS, "<think>\n",
     "t</think>\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n" J
     "\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>search\n```json\n{}\n```<｜tool▁call▁end｜><"
     "｜tool▁calls▁end｜>",
     "T<t>F<get_weather|" J ">F<search|{}>"},
    {HYP_TOOLS_DEEPSEEK, HYP_THINK_NONE, "",
     "Hm.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>" J
     "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
     "C<Hm.>F<get_weather|" J ">"},
    {HYP_TOOLS_DEEPSEEK, HYP_THINK_NONE, "", "<｜tool▁call▁begin｜>x<｜tool▁sep｜>{]",
     "C<<｜tool▁call▁begin｜>x<｜tool▁sep｜>{]>"},
    /* gpt-oss */
    {HYP_TOOLS_HARMONY, HYP_THINK_HARMONY, "<|start|>assistant",
     "<|channel|>analysis<|message|>Need data.<|end|><|start|>assistant<|channel|>final<|message|>It rains.<|return|>",
     "T<Need data.>C<It rains.>"},
    {HYP_TOOLS_HARMONY, HYP_THINK_HARMONY, "<|start|>assistant",
     "<|channel|>analysis<|message|>t<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather "
     "<|constrain|>json<|message|>" J "<|call|>",
     "T<t>F<get_weather|" J ">"},
    {HYP_TOOLS_HARMONY, HYP_THINK_HARMONY, "<|start|>assistant",
     " to=functions.get_weather<|channel|>commentary json<|message|>" J, "F<get_weather|" J ">"},
    {HYP_TOOLS_HARMONY, HYP_THINK_HARMONY, "<|start|>assistant",
     "<|channel|>commentary<|message|>I will look.<|end|><|start|>assistant<|channel|>commentary "
     "to=functions.search<|message|>{}<|call|>",
     "C<I will look.>F<search|{}>"},
    {HYP_TOOLS_HARMONY, HYP_THINK_HARMONY, "<|start|>assistant", "plain text", "C<plain text>"},
    {HYP_TOOLS_HARMONY, HYP_THINK_HARMONY, "<|start|>assistant<|channel|>final<|message|>", "x<|return|>", "C<x>"},
    {HYP_TOOLS_HARMONY, HYP_THINK_HARMONY, "<|start|>assistant",
     "<|channel|>commentary to=functions.search<|message|>oops<|call|>", "C<oops>"},
    /* Granite, Command R, Kimi, Seed, MiniMax, Nemotron */
    {HYP_TOOLS_GRANITE, HYP_THINK_NONE, "", "<|tool_call|>[{\"name\":\"get_weather\",\"arguments\":" J "}]",
     "F<get_weather|" J ">"},
    {HYP_TOOLS_COMMAND, HYP_THINK_COMMAND, "",
     "<|START_THINKING|>p<|END_THINKING|><|START_ACTION|>[\n {\"tool_call_id\": \"0\", \"tool_name\": \"get_weather\", "
     "\"parameters\": " J "}\n]<|END_ACTION|>",
     "T<p>F<get_weather|" J "|0>"},
    {HYP_TOOLS_KIMI, HYP_THINK_NONE, "",
     "ok<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>" J
     "<|tool_call_end|><|tool_call_begin|>functions.search:1<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_"
     "calls_section_end|>",
     "C<ok>F<get_weather|" J "|functions.get_weather:0>F<search|{}|functions.search:1>"},
    {HYP_TOOLS_SEED, HYP_THINK_SEED, "",
     "<seed:tool_call>\n<function=get_weather>\n<parameter=city>Rome</parameter>\n</function>\n</seed:tool_call>",
     "F<get_weather|" J ">"},
    {HYP_TOOLS_MINIMAX, HYP_THINK_TAGS, "]~b]ai\n<think>\n",
     "t</think>\n<minimax:tool_call>\n<invoke name=\"get_weather\">\n<parameter "
     "name=\"city\">Rome</parameter>\n</invoke>\n<invoke name=\"search\">\n</invoke>\n</minimax:tool_call>",
     "T<t>F<get_weather|" J ">F<search|{}>"},
    {HYP_TOOLS_MINIMAX, HYP_THINK_NONE, "", "<minimax:tool_call><invoke name=\"search\"></invoke>", "F<search|{}>"},
    {HYP_TOOLS_NEMOTRON, HYP_THINK_NONE, "", "<TOOLCALL>[{\"name\": \"search\", \"arguments\": {}}]</TOOLCALL>",
     "F<search|{}>"},
};

static void samples_are_sorted_however_they_are_cut(void **state) {
    (void)state;
    int bad = 0;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        const sample *s = &samples[i];
        hyp_output_format f = {s->tools, s->think};
        char *whole = sort(f, s->prompt, true, s->text, 0);
        bool any = strcmp(s->want + (strlen(s->want) > 2 ? strlen(s->want) - 2 : 0), ">C") == 0;
        if (!any && strcmp(whole, s->want) != 0) {
            print_error("sample %zu\n  text: %s\n  want: %s\n  got:  %s\n", i, s->text, s->want, whole);
            bad++;
        }
        for (unsigned seed = 1; seed < 60; seed++) {
            char *cut = sort(f, s->prompt, true, s->text, seed);
            if (strcmp(cut, whole) != 0) {
                print_error("sample %zu, cut %u\n  text:  %s\n  whole: %s\n  cut:   %s\n", i, seed, s->text, whole,
                            cut);
                bad++;
            }
            free(cut);
        }
        free(whole);
    }
    assert_int_equal(bad, 0);
}

static void without_tools_nothing_is_a_call(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        char *out =
            sort((hyp_output_format){samples[i].tools, samples[i].think}, samples[i].prompt, false, samples[i].text, 0);
        assert_null(strstr(out, "F<"));
        free(out);
    }
}

/* Random splices of all samples' parts: any cut gives what the whole gives, in every format. */
static void random_texts_do_not_depend_on_the_cut(void **state) {
    (void)state;
    unsigned r = 12345;
    for (int round = 0; round < 3000; round++) {
        hyp_str text = {0};
        for (int parts = 0; parts < 4; parts++) {
            r = r * 1103515245u + 12345u;
            const char *from = samples[(r >> 8) % (sizeof samples / sizeof *samples)].text;
            size_t n = strlen(from), a, b;
            r = r * 1103515245u + 12345u;
            a = n > 0 ? (r >> 8) % n : 0;
            r = r * 1103515245u + 12345u;
            b = a + (n > a ? (r >> 8) % (n - a) : 0);
            hyp_str_append(&text, from + a, b - a);
        }
        hyp_output_format f = {(hyp_tool_format)(round % (HYP_TOOLS_NEMOTRON + 1)),
                               (hyp_think_format)((round / 12) % 5)};
        if (f.tools == HYP_TOOLS_HARMONY) f.think = HYP_THINK_HARMONY;
        yyjson_doc *probe = NULL;
        (void)probe;
        const char *s = text.length > 0 ? text.data : "";
        yyjson_doc *tools = yyjson_read(tools_json, strlen(tools_json), 0);
        record all[3] = {0};
        for (unsigned way = 0; way < 3; way++) {
            hyp_output *o = NULL;
            hyp_output_sink sink = {&all[way], on_content, on_thinking, on_call};
            assert_int_equal(hyp_output_new(f, "", yyjson_doc_get_root(tools), sink, &o, NULL), HYP_OK);
            size_t n = strlen(s), step = way == 0 ? n : way == 1 ? 1 : 7;
            for (size_t i = 0; i < n; i += step)
                assert_int_equal(hyp_output_feed(o, s + i, step < n - i ? step : n - i, NULL), HYP_OK);
            assert_int_equal(hyp_output_finish(o, NULL), HYP_OK);
            hyp_output_free(o);
        }
        for (int way = 1; way < 3; way++) {
            const char *a = all[0].text.length > 0 ? all[0].text.data : "",
                       *b = all[way].text.length > 0 ? all[way].text.data : "";
            if (strcmp(a, b) != 0)
                print_error("format %d/%d\n  text:  %s\n  whole: %s\n  cut:   %s\n", f.tools, f.think, s, a, b);
            assert_string_equal(a, b);
        }
        for (int way = 0; way < 3; way++)
            hyp_str_free(&all[way].text);
        yyjson_doc_free(tools);
        hyp_str_free(&text);
    }
}

static void formats_are_read_from_templates(void **state) {
    (void)state;
    static const struct {
        const char *name;
        hyp_tool_format tools;
        hyp_think_format think;
    } rows[] = {{"chatml", HYP_TOOLS_NONE, HYP_THINK_NONE},
                {"qwen3", HYP_TOOLS_TAGS, HYP_THINK_TAGS},
                {"qwen2_5", HYP_TOOLS_TAGS, HYP_THINK_NONE},
                {"qwen3_coder", HYP_TOOLS_TAGS, HYP_THINK_NONE},
                {"hermes_tool_use", HYP_TOOLS_TAGS, HYP_THINK_NONE},
                {"llama3_1_tools", HYP_TOOLS_LLAMA3, HYP_THINK_NONE},
                {"mistral_v3_tools", HYP_TOOLS_MISTRAL, HYP_THINK_NONE},
                {"mistral_tekken_v7", HYP_TOOLS_MISTRAL, HYP_THINK_NONE},
                {"deepseek_r1", HYP_TOOLS_DEEPSEEK, HYP_THINK_TAGS},
                {"deepseek_v3_1", HYP_TOOLS_DEEPSEEK, HYP_THINK_TAGS},
                {"gpt_oss", HYP_TOOLS_HARMONY, HYP_THINK_HARMONY},
                {"glm4_5", HYP_TOOLS_TAGS, HYP_THINK_TAGS},
                {"granite3", HYP_TOOLS_GRANITE, HYP_THINK_TAGS},
                {"granite4", HYP_TOOLS_TAGS, HYP_THINK_NONE},
                {"command_r7b_tools", HYP_TOOLS_COMMAND, HYP_THINK_COMMAND},
                {"kimi_k2", HYP_TOOLS_KIMI, HYP_THINK_NONE},
                {"seed_oss", HYP_TOOLS_SEED, HYP_THINK_SEED},
                {"minimax_m2", HYP_TOOLS_MINIMAX, HYP_THINK_TAGS},
                {"nemotron", HYP_TOOLS_NEMOTRON, HYP_THINK_TAGS}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char path[128];
        snprintf(path, sizeof path, "templates/%s.jinja", rows[i].name);
        char *text = corpus_read(path, NULL);
        hyp_output_format f = hyp_output_format_detect(text);
        if (f.tools != rows[i].tools || f.think != rows[i].think)
            print_error("%s: %d %d\n", rows[i].name, f.tools, f.think);
        assert_int_equal(f.tools, rows[i].tools);
        assert_int_equal(f.think, rows[i].think);
        free(text);
    }
    assert_int_equal(hyp_output_format_detect(NULL).tools, HYP_TOOLS_NONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_are_sorted_however_they_are_cut), cmocka_unit_test(without_tools_nothing_is_a_call),
        cmocka_unit_test(random_texts_do_not_depend_on_the_cut), cmocka_unit_test(formats_are_read_from_templates)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

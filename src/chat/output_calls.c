/* output_calls.c - the inside of tool calls: the parsers that the rows of family.c name. Each reader sees a text that
 * may be cut off anywhere and says whether it is a call, cannot become one, or needs more. */
#include "chat/output_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { MAX_NAME = 128 };

void hyp_call_list_clear(hyp_call_list *list) {
    for (size_t i = 0; i < list->len; i++) {
        free(list->items[i].name);
        free(list->items[i].arguments);
        free(list->items[i].id);
    }
    free(list->items);
    *list = (hyp_call_list){0};
}

static char *copy(const char *s, size_t n) {
    char *c = malloc(n + 1);
    if (c == NULL) return NULL;
    memcpy(c, s, n);
    c[n] = '\0';
    return c;
}

/* Takes `arguments` (malloc'd). */
static void push(hyp_call_list *list, const char *name, size_t name_len, char *arguments, const char *id,
                 size_t id_len) {
    if (list->len == list->cap) {
        size_t cap = list->cap == 0 ? 4 : list->cap * 2;
        void *items = realloc(list->items, cap * sizeof *list->items);
        if (items == NULL) {
            list->failed = true;
            free(arguments);
            return;
        }
        list->items = items;
        list->cap = cap;
    }
    char *n = copy(name, name_len), *i = id != NULL && id_len > 0 ? copy(id, id_len) : NULL;
    list->failed |= n == NULL || arguments == NULL;
    list->items[list->len].name = n;
    list->items[list->len].arguments = arguments;
    list->items[list->len++].id = i;
}

/* --- small readers: the position after something, or why not --- */

/* Where `word` starts at or after `i`, or NULL. */
static const char *find(const char *s, size_t n, size_t i, const char *word) {
    return i <= n ? memmem(s + i, n - i, word, strlen(word)) : NULL;
}

/* The same within the next `max` bytes. Where it stands further on, the answer is BAD however much of the text is
 * there. */
static hyp_call_status find_near(const char *s, size_t n, size_t i, const char *word, size_t max, size_t *ret_at) {
    size_t reach = max + strlen(word), have = n - i < reach ? n - i : reach;
    const char *at = memmem(s + i, have, word, strlen(word));
    if (at == NULL) return have == reach ? HYP_CALL_BAD : HYP_CALL_MORE;
    *ret_at = (size_t)(at - s);
    return HYP_CALL_DONE;
}

static bool is_name(const char *s, size_t n) {
    if (n == 0 || n > MAX_NAME) return false;
    for (size_t i = 0; i < n; i++)
        if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= '0' && s[i] <= '9') ||
              s[i] == '_' || s[i] == '-' || s[i] == '.' || s[i] == ':' || s[i] == '/'))
            return false;
    return true;
}

/* How far the JSON object or list at s[i] reaches: brackets and strings are followed, no more. */
static hyp_call_status json_extent(const char *s, size_t n, size_t i, size_t *ret_end) {
    enum { MAX_NESTING = 256 };
    char stack[MAX_NESTING];
    size_t depth = 0;
    if (i >= n) return HYP_CALL_MORE;
    if (s[i] != '{' && s[i] != '[') return HYP_CALL_BAD;
    for (bool string = false; i < n; i++) {
        char c = s[i];
        if (string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                string = false;
            else if ((unsigned char)c < ' ' && c != '\n' && c != '\t' && c != '\r')
                return HYP_CALL_BAD;
        } else if (c == '"') {
            string = true;
        } else if (c == '{' || c == '[') {
            if (depth == MAX_NESTING) return HYP_CALL_BAD;
            stack[depth++] = c == '{' ? '}' : ']';
        } else if (c == '}' || c == ']') {
            if (depth == 0 || stack[--depth] != c) return HYP_CALL_BAD;
            if (depth == 0) {
                *ret_end = i + 1;
                return HYP_CALL_DONE;
            }
        }
    }
    return HYP_CALL_MORE;
}

/* Models write raw line ends inside JSON strings; JSON forbids them. A copy with those escaped, malloc'd. */
static char *escape_controls(const char *s, size_t n, size_t *ret_n) {
    hyp_str out = {0};
    bool string = false;
    for (size_t i = 0; i < n; i++) {
        if (string && s[i] == '\\' && i + 1 < n) {
            hyp_str_append(&out, s + i++, 2);
            continue;
        }
        if (s[i] == '"') string = !string;
        if (string && (s[i] == '\n' || s[i] == '\t' || s[i] == '\r'))
            hyp_str_puts(&out, s[i] == '\n' ? "\\n" : s[i] == '\t' ? "\\t" : "\\r");
        else
            hyp_str_append(&out, s + i, 1);
    }
    *ret_n = out.length;
    if (out.failed) hyp_str_free(&out);
    return out.data;
}

static yyjson_doc *read_json(const char *s, size_t n) {
    yyjson_doc *doc = yyjson_read(s, n, 0);
    if (doc != NULL) return doc;
    size_t len;
    char *fixed = escape_controls(s, n, &len);
    doc = fixed != NULL ? yyjson_read(fixed, len, 0) : NULL;
    free(fixed);
    return doc;
}

/* --- JSON calls --- */

static yyjson_val *first_of(yyjson_val *obj, const char *const *names) {
    for (; *names != NULL; names++) {
        yyjson_val *v = yyjson_obj_get(obj, *names);
        if (v != NULL) return v;
    }
    return NULL;
}

/* Arguments as the text of an object: they may come as an object, as its text in a string, or not at all. */
static char *arguments_text(yyjson_val *arguments) {
    if (arguments == NULL || yyjson_is_null(arguments)) return copy("{}", 2);
    if (yyjson_is_obj(arguments)) return yyjson_val_write(arguments, 0, NULL);
    if (!yyjson_is_str(arguments)) return NULL;
    yyjson_doc *doc = read_json(yyjson_get_str(arguments), yyjson_get_len(arguments));
    yyjson_val *root = yyjson_doc_get_root(doc);
    char *text = yyjson_is_obj(root) ? yyjson_val_write(root, 0, NULL) : NULL;
    yyjson_doc_free(doc);
    return text;
}

static bool push_object(yyjson_val *obj, hyp_call_list *list) {
    static const char *const names[] = {"name", "tool_name", "function", NULL};
    static const char *const arguments[] = {"arguments", "parameters", "args", NULL};
    static const char *const ids[] = {"id", "tool_call_id", NULL};
    yyjson_val *fn = yyjson_obj_get(obj, "function"), *from = yyjson_is_obj(fn) ? fn : obj;
    yyjson_val *name = first_of(from, names), *id = first_of(obj, ids);
    if (!yyjson_is_str(name) || !is_name(yyjson_get_str(name), yyjson_get_len(name))) return false;
    char *text = arguments_text(first_of(from, arguments));
    if (text == NULL) return false;
    push(list, yyjson_get_str(name), yyjson_get_len(name), text, yyjson_get_str(id), yyjson_get_len(id));
    return true;
}

/* One object or a list of them. */
hyp_call_status hyp_call_parse_json(const char *s, size_t n, yyjson_val *tools, hyp_call_list *list, size_t *ret_used) {
    (void)tools;
    size_t i = hyp_scan_skip_space(s, n, 0), end = 0;
    hyp_call_status status = json_extent(s, n, i, &end);
    if (status != HYP_CALL_DONE) return status;
    yyjson_doc *doc = read_json(s + i, end - i);
    yyjson_val *root = yyjson_doc_get_root(doc), *item;
    bool ok = yyjson_is_obj(root) && push_object(root, list);
    size_t k, max;
    if (yyjson_is_arr(root)) {
        ok = yyjson_arr_size(root) > 0;
        yyjson_arr_foreach(root, k, max, item)
            ok = ok && push_object(item, list);
    }
    yyjson_doc_free(doc);
    *ret_used = end;
    return ok ? HYP_CALL_DONE : HYP_CALL_BAD;
}

hyp_call_status hyp_call_parse_arguments(const char *s, size_t n, const char *name, size_t name_len,
                                         hyp_call_list *list, size_t *ret_used) {
    size_t i = hyp_scan_skip_space(s, n, 0), end = 0;
    if (!is_name(name, name_len)) return HYP_CALL_BAD;
    if (i < n && s[i] != '{') return HYP_CALL_BAD;
    hyp_call_status status = json_extent(s, n, i, &end);
    if (status != HYP_CALL_DONE) return status;
    yyjson_doc *doc = read_json(s + i, end - i);
    char *text = doc != NULL ? arguments_text(yyjson_doc_get_root(doc)) : NULL;
    yyjson_doc_free(doc);
    if (text == NULL) return HYP_CALL_BAD;
    push(list, name, name_len, text, NULL, 0);
    *ret_used = end;
    return HYP_CALL_DONE;
}

static yyjson_val *tool_named(yyjson_val *tools, const char *name, size_t n) {
    size_t i, max;
    yyjson_val *tool;
    if (yyjson_is_arr(tools))
        yyjson_arr_foreach(tools, i, max, tool) {
            yyjson_val *fn = yyjson_obj_get(tool, "function");
            if (fn == NULL) fn = tool;
            if (yyjson_equals_strn(yyjson_obj_get(fn, "name"), name, n)) return fn;
        }
    return NULL;
}

hyp_call_status hyp_call_parse_bare(const char *s, size_t n, yyjson_val *tools, hyp_call_list *list, size_t *ret_used) {
    static const char *const keys[] = {"\"name\"", "\"type\"", "\"function\"", "\"parameters\""};
    if (n == 0) return HYP_CALL_MORE;
    if (s[0] != '{') return HYP_CALL_BAD;
    size_t i = hyp_scan_skip_space(s, n, 1);
    bool possible = i >= n; /* an object that does not start like a call is text, and need not wait for its end */
    for (size_t k = 0; k < HYP_ARRAY_LEN(keys) && !possible; k++)
        possible = hyp_scan_at_word(s, n, i, keys[k]) != HYP_CALL_BAD;
    if (!possible) return HYP_CALL_BAD;
    hyp_call_status status = hyp_call_parse_json(s, n, tools, list, ret_used);
    if (status == HYP_CALL_DONE && list->len > 0 && list->items[list->len - 1].name != NULL) {
        const char *name = list->items[list->len - 1].name;
        if (tool_named(tools, name, strlen(name)) == NULL) return HYP_CALL_BAD;
    }
    return status;
}

/* --- calls in XML forms --- */

/* The declared type of a parameter: true if its values are text. */
static bool wants_string(yyjson_val *fn, const char *param, size_t n) {
    yyjson_val *properties = yyjson_obj_get(yyjson_obj_get(fn, "parameters"), "properties");
    yyjson_val *spec = yyjson_obj_getn(properties, param, n), *type = yyjson_obj_get(spec, "type"), *t;
    if (yyjson_is_str(type)) return yyjson_equals_str(type, "string");
    size_t i, max;
    if (yyjson_is_arr(type)) {
        yyjson_arr_foreach(type, i, max, t)
            if (yyjson_equals_str(t, "string")) return true;
        return false;
    }
    if (yyjson_obj_get(spec, "enum") != NULL || spec == NULL) return true;
    return false;
}

static void put_argument(yyjson_mut_doc *doc, yyjson_mut_val *obj, yyjson_val *fn, const char *key, size_t key_len,
                         const char *val, size_t val_len) {
    yyjson_mut_val *k = yyjson_mut_strncpy(doc, key, key_len), *v = NULL;
    if (!wants_string(fn, key, key_len)) {
        yyjson_doc *parsed = yyjson_read(val, val_len, 0);
        if (parsed != NULL)
            v = yyjson_val_mut_copy(doc, yyjson_doc_get_root(parsed));
        else if (val_len == 4 && memcmp(val, "True", 4) == 0)
            v = yyjson_mut_bool(doc, true);
        else if (val_len == 5 && memcmp(val, "False", 5) == 0)
            v = yyjson_mut_bool(doc, false);
        else if (val_len == 4 && memcmp(val, "None", 4) == 0)
            v = yyjson_mut_null(doc);
        yyjson_doc_free(parsed);
    }
    if (v == NULL) v = yyjson_mut_strncpy(doc, val, val_len);
    if (v != NULL) yyjson_mut_obj_put(obj, k, v);
}

static void trim_line_ends(const char **s, size_t *n) {
    if (*n > 0 && **s == '\n') {
        (*s)++;
        (*n)--;
    }
    if (*n > 0 && (*s)[*n - 1] == '\n') (*n)--;
}

static void trim(const char **s, size_t *n) {
    while (*n > 0 && hyp_scan_is_space(**s)) {
        (*s)++;
        (*n)--;
    }
    while (*n > 0 && hyp_scan_is_space((*s)[*n - 1]))
        (*n)--;
}

/* How one XML dialect spells its parts. */
typedef struct xml_form {
    const char *param;     /* opens a parameter, its name follows */
    const char *name_end;  /* after the name */
    const char *value;     /* between that and the value, after white space; "" if nothing */
    const char *value_end; /* after the value */
    const char *end;       /* after the last parameter */
} xml_form;

/* Parameters from s[i] on. Everything up to form->end is there. */
static hyp_call_status xml_params(const char *s, size_t stop, size_t i, const xml_form *f, yyjson_val *fn,
                                  yyjson_mut_doc *doc, yyjson_mut_val *obj) {
    for (i = hyp_scan_skip_space(s, stop, i); i < stop; i = hyp_scan_skip_space(s, stop, i)) {
        if (hyp_scan_at_word(s, stop, i, f->param) != HYP_CALL_DONE) return HYP_CALL_BAD;
        size_t key = i + strlen(f->param);
        const char *key_end = find(s, stop, key, f->name_end);
        if (key_end == NULL) return HYP_CALL_BAD;
        size_t at = (size_t)(key_end - s) + strlen(f->name_end);
        if (f->value[0] != '\0') {
            at = hyp_scan_skip_space(s, stop, at);
            if (hyp_scan_at_word(s, stop, at, f->value) != HYP_CALL_DONE) return HYP_CALL_BAD;
            at += strlen(f->value);
        }
        const char *end = find(s, stop, at, f->value_end), *val = s + at, *name = s + key;
        if (end == NULL) return HYP_CALL_BAD;
        size_t val_len = (size_t)(end - val), name_len = (size_t)(key_end - name);
        trim_line_ends(&val, &val_len);
        trim(&name, &name_len);
        if (name_len == 0 || memchr(name, '<', name_len) != NULL) return HYP_CALL_BAD;
        put_argument(doc, obj, fn, name, name_len, val, val_len);
        i = (size_t)(end - s) + strlen(f->value_end);
    }
    return HYP_CALL_DONE;
}

static hyp_call_status xml_call(const char *s, size_t n, const char *name, size_t name_len, size_t params,
                                const xml_form *f, yyjson_val *tools, hyp_call_list *list, size_t *ret_used) {
    trim(&name, &name_len);
    if (!is_name(name, name_len)) return HYP_CALL_BAD;
    const char *end = find(s, n, params, f->end);
    if (end == NULL) return HYP_CALL_MORE;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *obj = yyjson_mut_obj(doc);
    hyp_call_status status =
        doc == NULL ? HYP_CALL_BAD
                    : xml_params(s, (size_t)(end - s), params, f, tool_named(tools, name, name_len), doc, obj);
    char *text = status == HYP_CALL_DONE ? yyjson_mut_val_write(obj, 0, NULL) : NULL;
    if (text != NULL)
        push(list, name, name_len, text, NULL, 0);
    else
        status = HYP_CALL_BAD; /* such as a value that is not UTF-8 */
    yyjson_mut_doc_free(doc);
    *ret_used = (size_t)(end - s) + strlen(f->end);
    return status;
}

/* NAME> with <parameter=..> inside, after "<function=". */
static hyp_call_status function_body(const char *s, size_t n, size_t i, yyjson_val *tools, hyp_call_list *list,
                                     size_t *ret_used) {
    static const xml_form form = {"<parameter=", ">", "", "</parameter>", "</function>"};
    size_t gt = 0;
    hyp_call_status status = find_near(s, n, i, ">", MAX_NAME, &gt);
    if (status != HYP_CALL_DONE) return status;
    return xml_call(s, n, s + i, gt - i, gt + 1, &form, tools, list, ret_used);
}

/* <invoke name="NAME"> with <parameter name="..">, after the opening tag; several may follow each other. */
hyp_call_status hyp_call_parse_invoke(const char *s, size_t n, yyjson_val *tools, hyp_call_list *list,
                                      size_t *ret_used) {
    static const xml_form form = {"<parameter name=\"", "\">", "", "</parameter>", "</invoke>"};
    static const char open[] = "<invoke name=\"", close[] = "</minimax:tool_call>";
    size_t used = 0;
    for (;;) {
        size_t i = hyp_scan_skip_space(s, n, used), call_used = 0;
        hyp_call_status status = i < n ? hyp_scan_at_word(s, n, i, open) : HYP_CALL_MORE;
        if (status == HYP_CALL_BAD && used > 0 && hyp_scan_at_word(s, n, i, close) == HYP_CALL_MORE)
            return HYP_CALL_MORE;
        if (status == HYP_CALL_BAD && used > 0) break;
        if (status != HYP_CALL_DONE) return status;
        i += strlen(open);
        size_t end = 0;
        status = find_near(s, n, i, "\">", MAX_NAME, &end);
        if (status != HYP_CALL_DONE) return status;
        status = xml_call(s, n, s + i, end - i, end + 2, &form, tools, list, &call_used);
        if (status != HYP_CALL_DONE) return status;
        used = call_used;
    }
    *ret_used = used;
    return HYP_CALL_DONE;
}

/* What <tool_call> opens: JSON, <function=..>, or GLM's NAME with <arg_key> and <arg_value>. */
hyp_call_status hyp_call_parse_tags(const char *s, size_t n, yyjson_val *tools, hyp_call_list *list, size_t *ret_used) {
    static const xml_form glm = {"<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", "</tool_call>"};
    size_t i = hyp_scan_skip_space(s, n, 0);
    if (i >= n) return HYP_CALL_MORE;
    if (s[i] == '{' || s[i] == '[') return hyp_call_parse_json(s, n, tools, list, ret_used);
    if (s[i] == '<') {
        hyp_call_status status = hyp_scan_at_word(s, n, i, "<function=");
        return status != HYP_CALL_DONE ? status : function_body(s, n, i + strlen("<function="), tools, list, ret_used);
    }
    size_t end = i;
    while (end < n && s[end] != '<' && s[end] != '\n')
        end++;
    if (end >= n) return n - i > MAX_NAME ? HYP_CALL_BAD : HYP_CALL_MORE;
    return xml_call(s, n, s + i, end - i, end, &glm, tools, list, ret_used);
}

/* --- the others --- */

hyp_call_status hyp_call_parse_mistral(const char *s, size_t n, yyjson_val *tools, hyp_call_list *list,
                                       size_t *ret_used) {
    size_t i = hyp_scan_skip_space(s, n, 0), end = i, used = 0;
    if (i >= n) return HYP_CALL_MORE;
    if (s[i] == '[' || s[i] == '{') return hyp_call_parse_json(s, n, tools, list, ret_used);
    while (end < n && s[end] != '{' && s[end] != '[')
        end++;
    if (end >= n) return n - i > MAX_NAME ? HYP_CALL_BAD : HYP_CALL_MORE;
    const char *name = s + i, *id = NULL;
    size_t name_len = end - i, id_len = 0;
    trim(&name, &name_len);
    if (!is_name(name, name_len)) return HYP_CALL_BAD;
    hyp_call_status with_id = hyp_scan_at_word(s, n, end, "[CALL_ID]"), args = hyp_scan_at_word(s, n, end, "[ARGS]");
    if (with_id == HYP_CALL_DONE) {
        id = s + end + strlen("[CALL_ID]");
        hyp_call_status status = find_near(s, n, (size_t)(id - s), "[ARGS]", MAX_NAME, &end);
        if (status != HYP_CALL_DONE) return status;
        id_len = end - (size_t)(id - s);
        args = HYP_CALL_DONE;
    }
    if (args == HYP_CALL_DONE)
        end += strlen("[ARGS]");
    else if (s[end] == '[')
        return with_id == HYP_CALL_MORE || args == HYP_CALL_MORE ? HYP_CALL_MORE : HYP_CALL_BAD;
    hyp_call_status status = hyp_call_parse_arguments(s + end, n - end, name, name_len, list, &used);
    if (status == HYP_CALL_DONE && id_len > 0) list->items[list->len - 1].id = copy(id, id_len);
    *ret_used = end + used;
    return status;
}

/* TYPE<sep>NAME\n```json\nARGS\n``` or NAME<sep>ARGS. */
hyp_call_status hyp_call_parse_deepseek(const char *s, size_t n, yyjson_val *tools, hyp_call_list *list,
                                        size_t *ret_used) {
    (void)tools;
    static const char sep[] = "<｜tool▁sep｜>", fence[] = "```json";
    size_t at = 0;
    hyp_call_status status = find_near(s, n, 0, sep, MAX_NAME, &at);
    if (status != HYP_CALL_DONE) return status;
    const char *name = s;
    size_t name_len = at, i = at + strlen(sep), used = 0, args = hyp_scan_skip_space(s, n, i);
    if (args >= n) return HYP_CALL_MORE;
    if (s[args] != '{') {
        size_t line = 0;
        status = find_near(s, n, i, "\n", MAX_NAME, &line);
        if (status != HYP_CALL_DONE) return status;
        name = s + i;
        name_len = line - i;
        args = hyp_scan_skip_space(s, n, line);
        hyp_call_status fenced = args < n ? hyp_scan_at_word(s, n, args, fence) : HYP_CALL_MORE;
        if (fenced != HYP_CALL_DONE) return fenced;
        args += strlen(fence);
    }
    trim(&name, &name_len);
    status = hyp_call_parse_arguments(s + args, n - args, name, name_len, list, &used);
    *ret_used = args + used;
    return status;
}

/* functions.NAME:INDEX<|tool_call_argument_begin|>ARGS */
hyp_call_status hyp_call_parse_kimi(const char *s, size_t n, yyjson_val *tools, hyp_call_list *list, size_t *ret_used) {
    (void)tools;
    static const char sep[] = "<|tool_call_argument_begin|>", prefix[] = "functions.";
    const char *id = s;
    size_t at = 0;
    hyp_call_status status = find_near(s, n, 0, sep, MAX_NAME, &at);
    if (status != HYP_CALL_DONE) return status;
    size_t id_len = at, args = at + strlen(sep), used = 0;
    trim(&id, &id_len);
    const char *name = id;
    size_t name_len = id_len;
    if (name_len > strlen(prefix) && memcmp(name, prefix, strlen(prefix)) == 0) {
        name += strlen(prefix);
        name_len -= strlen(prefix);
    }
    const char *colon = hyp_text_last(name, ':', name_len);
    if (colon != NULL) name_len = (size_t)(colon - name);
    status = hyp_call_parse_arguments(s + args, n - args, name, name_len, list, &used);
    if (status == HYP_CALL_DONE) list->items[list->len - 1].id = copy(id, id_len);
    *ret_used = args + used;
    return status;
}

/* grammar_regex.c - regular expressions as the inside of a JSON string. What the expression matches is the string's
 * value: a quote or a backslash in it is written with a backslash, and characters that JSON escapes otherwise cannot
 * occur. */
#include "chat/grammar_priv.h"

#include <string.h>

#include "base/utf8.h"

typedef struct regex {
    hyp_grammar *g;
    const char *s;
    size_t n, at;
    unsigned depth;
    hyp_str *out;
} regex;

static void alternatives(regex *r);

static bool more(const regex *r) {
    return r->at < r->n;
}

static uint32_t take_char(regex *r) {
    uint32_t cp = (unsigned char)r->s[r->at];
    size_t n = hyp_utf8_decode(r->s + r->at, r->n - r->at, &cp);
    r->at += n > 0 ? n : 1; /* JSON's parser lets nothing else through */
    return cp;
}

static void put_char(regex *r, uint32_t cp) {
    if (cp == '"')
        hyp_str_puts(r->out, "\"\\\\\\\"\"");
    else if (cp == '\\')
        hyp_str_puts(r->out, "\"\\\\\\\\\"");
    else if (cp == '\n')
        hyp_str_puts(r->out, "\"\\\\n\"");
    else if (cp == '\t')
        hyp_str_puts(r->out, "\"\\\\t\"");
    else if (cp == '\r')
        hyp_str_puts(r->out, "\"\\\\r\"");
    else {
        hyp_str_puts(r->out, "[");
        hyp_grammar_class_char(r->out, cp);
        hyp_str_puts(r->out, "]");
    }
}

/* The ranges of \d, \w, \s, as the inside of a class; NULL for another letter. */
static const char *shorthand(char c) {
    return c == 'd' ? "0-9" : c == 'w' ? "a-zA-Z0-9_" : c == 's' ? " " : NULL;
}

/* The character that an escape other than a shorthand stands for, after the backslash. */
static uint32_t escaped(regex *r) {
    static const char from[] = "nrtfv0", to[] = "\n\r\t\f\v\0";
    if (!more(r)) {
        hyp_grammar_fail(r->g, HYP_EINVAL, "\"pattern\" ends in a backslash");
        return 0;
    }
    char c = r->s[r->at];
    const char *hit = strchr(from, c);
    if (hit != NULL && c != '\0') {
        r->at++;
        return (unsigned char)to[hit - from];
    }
    if (c == 'x' || c == 'u') {
        size_t digits = c == 'x' ? 2 : 4;
        uint32_t cp = 0;
        for (size_t i = 1; i <= digits; i++) {
            char d = r->at + i < r->n ? r->s[r->at + i] : '?';
            int v = d >= '0' && d <= '9' ? d - '0' : (d | 32) >= 'a' && (d | 32) <= 'f' ? (d | 32) - 'a' + 10 : -1;
            if (v < 0) {
                hyp_grammar_fail(r->g, HYP_EINVAL, "\"pattern\" has a bad \\%c escape", c);
                return 0;
            }
            cp = cp << 4 | (uint32_t)v;
        }
        r->at += digits + 1;
        return cp;
    }
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '1' && c <= '9')) {
        hyp_grammar_fail(r->g, HYP_EUNSUPPORTED, "\"pattern\" uses \\%c", c);
        return 0;
    }
    return take_char(r);
}

/* [...], the bracket already taken. */
static void class(regex *r) {
    bool negative = more(r) && r->s[r->at] == '^', quote = false, backslash = false, first = true;
    hyp_str inside = {0};
    if (negative) r->at++;
    for (; more(r) && (first || r->s[r->at] != ']') && r->g->code == 0; first = false) {
        if (r->s[r->at] == '\\' && r->at + 1 < r->n && shorthand(r->s[r->at + 1]) != NULL) {
            hyp_str_puts(&inside, shorthand(r->s[r->at + 1]));
            r->at += 2;
            continue;
        }
        uint32_t low = 0, high = 0;
        bool escape = r->s[r->at] == '\\';
        if (escape) r->at++;
        low = high = escape ? escaped(r) : take_char(r);
        if (r->at + 1 < r->n && r->s[r->at] == '-' && r->s[r->at + 1] != ']') {
            r->at++;
            escape = r->s[r->at] == '\\';
            if (escape) r->at++;
            high = escape ? escaped(r) : take_char(r);
        }
        if (high < low) hyp_grammar_fail(r->g, HYP_EINVAL, "\"pattern\" has a range that runs backwards");
        quote |= low <= '"' && high >= '"';
        backslash |= low <= '\\' && high >= '\\';
        hyp_grammar_class_char(&inside, low);
        if (high != low) {
            hyp_str_puts(&inside, "-");
            hyp_grammar_class_char(&inside, high);
        }
    }
    if (!more(r)) hyp_grammar_fail(r->g, HYP_EINVAL, "\"pattern\" has an open bracket");
    r->at++;
    /* What may stand raw, then quote and backslash in their escaped form, if the class holds them. */
    const char *text = inside.length > 0 ? inside.data : "";
    if (negative) {
        hyp_str_printf(r->out, "([^\"\\\\\\x00-\\x1F\\x7F%s]", text);
    } else {
        if (quote || backslash)
            hyp_grammar_fail(r->g, HYP_EUNSUPPORTED, "\"pattern\" has a class with a quote or a backslash in it");
        hyp_str_printf(r->out, "([%s]", text);
    }
    if (negative && !quote) hyp_str_puts(r->out, " | \"\\\\\\\"\"");
    if (negative && !backslash) hyp_str_puts(r->out, " | \"\\\\\\\\\"");
    hyp_str_puts(r->out, ")");
    hyp_str_free(&inside);
}

static uint64_t number(regex *r) {
    uint64_t v = 0;
    while (more(r) && r->s[r->at] >= '0' && r->s[r->at] <= '9' && v < 1000000)
        v = v * 10 + (uint64_t)(r->s[r->at++] - '0');
    return v;
}

static void quantifier(regex *r) {
    if (!more(r)) return;
    char c = r->s[r->at];
    if (c == '*' || c == '+' || c == '?') {
        r->at++;
        hyp_str_append(r->out, &c, 1);
    } else if (c == '{') {
        r->at++;
        uint64_t min = number(r), max = min;
        if (more(r) && r->s[r->at] == ',') {
            r->at++;
            max = more(r) && r->s[r->at] == '}' ? UINT64_MAX : number(r);
        }
        if (!more(r) || r->s[r->at] != '}' || max < min)
            hyp_grammar_fail(r->g, HYP_EINVAL, "\"pattern\" has a bad {count}");
        if (min > HYP_GRAMMAR_MAX_REPEAT)
            hyp_grammar_fail(r->g, HYP_EUNSUPPORTED, "\"pattern\" repeats more than %d times", HYP_GRAMMAR_MAX_REPEAT);
        r->at++;
        hyp_grammar_repeat(r->out, min, max);
    } else {
        return;
    }
    if (more(r) && r->s[r->at] == '?') r->at++; /* lazy: matches the same texts */
    if (more(r) && (r->s[r->at] == '+' || r->s[r->at] == '*'))
        hyp_grammar_fail(r->g, HYP_EUNSUPPORTED, "\"pattern\" has a possessive or double quantifier");
}

static void group(regex *r) {
    if (more(r) && r->s[r->at] == '?') {
        if (r->at + 1 < r->n && r->s[r->at + 1] == ':')
            r->at += 2;
        else
            hyp_grammar_fail(r->g, HYP_EUNSUPPORTED, "\"pattern\" has a look-around or named group");
    }
    hyp_str_puts(r->out, "(");
    alternatives(r);
    if (!more(r) || r->s[r->at] != ')') hyp_grammar_fail(r->g, HYP_EINVAL, "\"pattern\" has an open parenthesis");
    r->at++;
    hyp_str_puts(r->out, ")");
}

static void atom(regex *r) {
    char c = r->s[r->at];
    if (c == '(') {
        r->at++;
        group(r);
    } else if (c == '[') {
        r->at++;
        class(r);
    } else if (c == '.') {
        r->at++;
        hyp_str_puts(r->out, "char");
    } else if (c == '\\') {
        r->at++;
        const char *set = more(r) ? shorthand(r->s[r->at]) : NULL;
        const char *opposite =
            more(r) && r->s[r->at] >= 'A' && r->s[r->at] <= 'Z' ? shorthand((char)(r->s[r->at] | 32)) : NULL;
        if (set != NULL)
            hyp_str_printf(r->out, "[%s]", set);
        else if (opposite != NULL)
            hyp_str_printf(r->out, "[^\"\\\\\\x00-\\x1F\\x7F%s]", opposite);
        else
            put_char(r, escaped(r));
        if (set != NULL || opposite != NULL) r->at++;
    } else if (c == '*' || c == '+' || c == '?' || c == '^' || c == '$') {
        hyp_grammar_fail(r->g, HYP_EUNSUPPORTED, "\"pattern\" has '%c' inside", c);
    } else {
        put_char(r, take_char(r));
    }
}

static void alternatives(regex *r) {
    if (++r->depth > HYP_GRAMMAR_MAX_DEPTH) hyp_grammar_fail(r->g, HYP_ELIMIT, "\"pattern\" is nested too deep");
    bool empty = true;
    while (more(r) && r->s[r->at] != ')' && r->g->code == 0) {
        if (r->s[r->at] == '|') {
            r->at++;
            hyp_str_puts(r->out, empty ? "\"\" | " : " | ");
            empty = true;
            continue;
        }
        if (!empty) hyp_str_puts(r->out, " ");
        atom(r);
        quantifier(r);
        empty = false;
    }
    if (empty) hyp_str_puts(r->out, "\"\"");
    r->depth--;
}

void hyp_grammar_pattern(hyp_grammar *g, const char *pattern, size_t n, hyp_str *out) {
    bool start = n > 0 && pattern[0] == '^', end = n > 0 && pattern[n - 1] == '$' && !(n > 1 && pattern[n - 2] == '\\');
    /* ^a|b$ would anchor only the first and the last alternative; both ends of all is what is meant. */
    regex r = {.g = g, .s = pattern + start, .n = n - start - end, .out = out};
    if (n < (size_t)start + end) r.n = 0;
    hyp_str_puts(out, start ? "(" : "char* (");
    alternatives(&r);
    if (r.at < r.n) hyp_grammar_fail(g, HYP_EINVAL, "\"pattern\" closes a parenthesis too many");
    hyp_str_puts(out, end ? ")" : ") char*");
}

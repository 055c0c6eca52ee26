/* lexer.c - template text to tokens, with Jinja's white-space rules.
 *
 * Around a tag: `-` strips all white space on its side, `+` strips nothing; otherwise a block or comment tag that has
 * only white space before it on its line loses that white space (lstrip_blocks) and the newline right after it is
 * dropped (trim_blocks). Line ends become \n and one newline at the very end of the template is dropped, all as in
 * Jinja's own lexer. */
#include "jinja/ast_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/utf8.h"

typedef struct lexer {
    hj_ctx *c;
    const char *s;
    size_t n, at;
    hj_token *tokens;
    size_t len, cap;
    bool line_start; /* what came before ended with a newline, or nothing did */
} lexer;

static void push(lexer *l, hj_token_type type, int op, hj_val val) {
    if (l->len == l->cap) {
        size_t cap = l->cap == 0 ? 64 : l->cap * 2;
        hj_token *tokens = hyp_hj_alloc(l->c, cap * sizeof *tokens);
        if (l->len > 0) memcpy(tokens, l->tokens, l->len * sizeof *tokens);
        l->tokens = tokens;
        l->cap = cap;
    }
    l->tokens[l->len++] = (hj_token){.type = (uint8_t)type, .op = (uint16_t)op, .line = l->c->line, .val = val};
}

static bool at(const lexer *l, size_t pos, char c) {
    return pos < l->n && l->s[pos] == c;
}

static void advance(lexer *l, size_t to) {
    for (; l->at < to; l->at++)
        if (l->s[l->at] == '\n') l->c->line++;
}

/* Line ends to \n in place, and without the last one. Returns the new length. */
static size_t normalise(char *s, size_t n) {
    size_t w = 0;
    for (size_t r = 0; r < n; r++) {
        if (s[r] == '\r' && r + 1 < n && s[r + 1] == '\n') continue;
        s[w++] = s[r] == '\r' ? '\n' : s[r];
    }
    return w > 0 && s[w - 1] == '\n' ? w - 1 : w;
}

/* Emit the text from l->at to `end`, where a tag with `sign` begins; `block` unless it is a {{ tag. */
static void text_before(lexer *l, size_t end, char sign, bool block) {
    const char *s = l->s + l->at;
    size_t n = end - l->at;
    if (sign == '-') {
        n = hyp_hj_trim_right(s, n);
    } else if (sign != '+' && block) {
        size_t line = n;
        while (line > 0 && s[line - 1] != '\n')
            line--;
        if ((line > 0 || l->line_start) && line + hyp_hj_trim_left(s + line, n - line) == n) n = line;
    }
    if (n > 0) push(l, HJ_T_TEXT, 0, hj_strn(s, n));
    advance(l, end);
}

/* Past a tag's end, after `sign` and the two closing characters. */
static void after_tag(lexer *l, char sign, bool block) {
    size_t start = l->at;
    if (sign == '-')
        advance(l, l->at + hyp_hj_trim_left(l->s + l->at, l->n - l->at));
    else if (sign != '+' && block && at(l, l->at, '\n'))
        advance(l, l->at + 1);
    l->line_start = l->at > start && l->s[l->at - 1] == '\n';
}

static bool is_name_start(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static int hex_digit(char c) {
    return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decode \x41, A, \U00000041 after the backslash at s[*i]. False if it is not one. */
static bool hex_escape(const char *s, size_t n, size_t *i, uint32_t *ret) {
    size_t digits = s[*i] == 'x' ? 2 : s[*i] == 'u' ? 4 : 8;
    uint32_t cp = 0;
    if (n - *i - 1 < digits) return false;
    for (size_t k = 1; k <= digits; k++) {
        int d = hex_digit(s[*i + k]);
        if (d < 0) return false;
        cp = cp << 4 | (uint32_t)d;
    }
    *i += digits;
    *ret = cp;
    return cp <= 0x10ffff;
}

/* Python's string escapes. An unknown one keeps its backslash. */
static hj_val unescape(lexer *l, const char *s, size_t n) {
    if (memchr(s, '\\', n) == NULL) return hj_strn(s, n);
    static const char simple[] = "n\nt\tr\ra\ab\bf\fv\v\\\\''\"\"";
    char *out = hyp_hj_alloc(l->c, n); /* no escape is shorter than what it stands for */
    size_t w = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] != '\\' || i + 1 >= n) {
            out[w++] = s[i];
            continue;
        }
        char e = s[++i];
        const char *hit = NULL;
        for (size_t k = 0; k + 1 < sizeof simple && hit == NULL; k += 2)
            if (simple[k] == e) hit = simple + k + 1;
        uint32_t cp = 0;
        if (hit != NULL) {
            out[w++] = *hit;
        } else if (e == '\n') {
            continue;
        } else if (e >= '0' && e <= '7') {
            size_t k = 0;
            for (; k < 3 && i + k < n && s[i + k] >= '0' && s[i + k] <= '7'; k++)
                cp = cp * 8 + (uint32_t)(s[i + k] - '0');
            i += k - 1;
            w += hyp_utf8_encode(cp, out + w);
        } else if (e == 'x' || e == 'u' || e == 'U') {
            if (!hex_escape(s, n, &i, &cp)) hyp_hj_fail(l->c, HYP_EFORMAT, "bad \\%c escape in a string", e);
            char put[4];
            size_t k = hyp_utf8_encode(cp, put);
            memcpy(out + w, put, k);
            w += k;
        } else {
            out[w++] = '\\';
            out[w++] = e;
        }
    }
    return hj_strn(out, w);
}

static void lex_string(lexer *l) {
    char quote = l->s[l->at];
    size_t end = l->at + 1;
    while (end < l->n && l->s[end] != quote)
        end += l->s[end] == '\\' ? 2 : 1;
    if (end >= l->n) hyp_hj_fail(l->c, HYP_EFORMAT, "a string is not closed");
    hj_val v = unescape(l, l->s + l->at + 1, end - l->at - 1);
    push(l, HJ_T_CONST, 0, v);
    advance(l, end + 1);
}

static size_t digits(const lexer *l, size_t i) {
    while (i < l->n && (is_digit(l->s[i]) || (l->s[i] == '_' && i + 1 < l->n && is_digit(l->s[i + 1]))))
        i++;
    return i;
}

static void lex_number(lexer *l) {
    size_t start = l->at, end = digits(l, start);
    bool real = false;
    int base = 10;
    if (l->s[start] == '0' && end == start + 1 && end + 1 < l->n) {
        char x = (char)(l->s[end] | 32);
        base = x == 'x' ? 16 : x == 'o' ? 8 : x == 'b' ? 2 : 10;
        if (base != 10)
            for (end++; end < l->n && (l->s[end] == '_' || (hex_digit(l->s[end]) >= 0 && hex_digit(l->s[end]) < base));)
                end++;
    }
    bool after_dot = start > 0 && l->s[start - 1] == '.';
    if (base == 10 && !after_dot) {
        if (at(l, end, '.') && end + 1 < l->n && is_digit(l->s[end + 1])) {
            real = true;
            end = digits(l, end + 1);
        }
        if (end + 1 < l->n && (l->s[end] | 32) == 'e') {
            size_t e = end + 1 + (l->s[end + 1] == '+' || l->s[end + 1] == '-');
            if (e < l->n && is_digit(l->s[e])) {
                real = true;
                end = digits(l, e);
            }
        }
    }
    char text[64];
    size_t n = 0;
    for (size_t i = start + (base == 10 ? 0 : 2); i < end; i++) {
        if (l->s[i] == '_') continue;
        if (n + 1 >= sizeof text) hyp_hj_fail(l->c, HYP_EFORMAT, "a number has too many digits");
        text[n++] = l->s[i];
    }
    text[n] = '\0';
    if (real) {
        push(l, HJ_T_CONST, 0, hj_float(strtod(text, NULL)));
    } else {
        errno = 0;
        char *stop;
        long long i = strtoll(text, &stop, base);
        if (errno != 0 || n == 0 || *stop != '\0') hyp_hj_fail(l->c, HYP_EFORMAT, "a number is too large");
        push(l, HJ_T_CONST, 0, hj_int(i));
    }
    advance(l, end);
}

static void lex_operator(lexer *l, char stack[], unsigned *depth, unsigned max_depth) {
    static const struct {
        char text[3];
        uint16_t op;
    } pairs[] = {{"//", HJ_OP_FLOORDIV}, {"**", HJ_OP_POW}, {"==", HJ_OP_EQ},
                 {"!=", HJ_OP_NE},       {"<=", HJ_OP_LE},  {">=", HJ_OP_GE}};
    char ch = l->s[l->at];
    for (size_t i = 0; i < HYP_ARRAY_LEN(pairs); i++)
        if (ch == pairs[i].text[0] && at(l, l->at + 1, pairs[i].text[1])) {
            push(l, HJ_T_OP, pairs[i].op, HJ_NIL);
            advance(l, l->at + 2);
            return;
        }
    if (strchr("+-*/%~[](){}<>=.:|,;", ch) == NULL || ch == '\0')
        hyp_hj_fail(l->c, HYP_EFORMAT, "unexpected character 0x%02x", (unsigned char)ch);
    if (ch == '(' || ch == '[' || ch == '{') {
        if (*depth >= max_depth) hyp_hj_fail(l->c, HYP_ELIMIT, "brackets are nested more than %u deep", max_depth);
        stack[(*depth)++] = ch == '(' ? ')' : ch == '[' ? ']' : '}';
    } else if (ch == ')' || ch == ']' || ch == '}') {
        if (*depth == 0 || stack[--*depth] != ch) hyp_hj_fail(l->c, HYP_EFORMAT, "unexpected '%c'", ch);
    }
    push(l, HJ_T_OP, (unsigned char)ch, HJ_NIL);
    advance(l, l->at + 1);
}

/* The inside of {{ }} or {% %}, with its end. */
static void lex_tag(lexer *l, bool block) {
    enum { MAX_BRACKETS = 256 };
    char stack[MAX_BRACKETS];
    unsigned depth = 0;
    const char close = block ? '%' : '}';
    for (;;) {
        advance(l, l->at + hyp_hj_trim_left(l->s + l->at, l->n - l->at));
        if (l->at >= l->n) hyp_hj_fail(l->c, HYP_EFORMAT, "the template ends inside a tag");
        char ch = l->s[l->at];
        size_t sign = ch == '-' || (ch == '+' && block);
        if (depth == 0 && at(l, l->at + sign, close) && at(l, l->at + sign + 1, '}')) {
            push(l, block ? HJ_T_BLOCK_END : HJ_T_VAR_END, 0, HJ_NIL);
            advance(l, l->at + sign + 2);
            after_tag(l, sign ? ch : '\0', block);
            return;
        }
        if (is_name_start(ch)) {
            size_t end = l->at + 1;
            while (end < l->n && (is_name_start(l->s[end]) || is_digit(l->s[end])))
                end++;
            push(l, HJ_T_NAME, 0, hj_strn(l->s + l->at, end - l->at));
            advance(l, end);
        } else if (is_digit(ch)) {
            lex_number(l);
        } else if (ch == '"' || ch == '\'') {
            lex_string(l);
        } else {
            lex_operator(l, stack, &depth, MAX_BRACKETS);
        }
    }
}

/* At `pos`, just after "{%" and its sign: is it the word `name` and the tag's end? Gives the end's sign and place. */
static bool bare_tag(const lexer *l, size_t pos, const char *name, char *ret_sign, size_t *ret_end) {
    pos += hyp_hj_trim_left(l->s + pos, l->n - pos);
    size_t n = strlen(name);
    if (l->n - pos < n || memcmp(l->s + pos, name, n) != 0) return false;
    pos += n;
    pos += hyp_hj_trim_left(l->s + pos, l->n - pos);
    char sign = pos < l->n && (l->s[pos] == '-' || l->s[pos] == '+') ? l->s[pos] : '\0';
    if (sign != '\0') pos++;
    if (!at(l, pos, '%') || !at(l, pos + 1, '}')) return false;
    *ret_sign = sign;
    *ret_end = pos + 2;
    return true;
}

static void lex_raw(lexer *l) {
    for (size_t i = l->at; i + 1 < l->n; i++) {
        if (l->s[i] != '{' || l->s[i + 1] != '%') continue;
        char sign = i + 2 < l->n && (l->s[i + 2] == '-' || l->s[i + 2] == '+') ? l->s[i + 2] : '\0', end_sign;
        size_t end;
        if (!bare_tag(l, i + 2 + (sign != '\0'), "endraw", &end_sign, &end)) continue;
        text_before(l, i, sign, true);
        advance(l, end);
        after_tag(l, end_sign, true);
        return;
    }
    hyp_hj_fail(l->c, HYP_EFORMAT, "{%% raw %%} is not closed");
}

static void lex_comment(lexer *l) {
    for (size_t i = l->at; i + 1 < l->n; i++) {
        if (l->s[i] != '#' || l->s[i + 1] != '}') continue;
        char sign = i > l->at && (l->s[i - 1] == '-' || l->s[i - 1] == '+') ? l->s[i - 1] : '\0';
        advance(l, i + 2);
        after_tag(l, sign, true);
        return;
    }
    hyp_hj_fail(l->c, HYP_EFORMAT, "a comment is not closed");
}

hj_token *hyp_hj_lex(hj_ctx *c, const char *text, size_t n) {
    char *copy = hyp_hj_alloc(c, n + 1);
    memcpy(copy, text, n);
    lexer l = {.c = c, .s = copy, .n = normalise(copy, n), .line_start = true};
    while (l.at < l.n) {
        size_t i = l.at;
        while (i + 1 < l.n && !(l.s[i] == '{' && (l.s[i + 1] == '{' || l.s[i + 1] == '%' || l.s[i + 1] == '#')))
            i++;
        if (i + 1 >= l.n) {
            push(&l, HJ_T_TEXT, 0, hj_strn(l.s + l.at, l.n - l.at));
            advance(&l, l.n);
            break;
        }
        char kind = l.s[i + 1];
        char sign = i + 2 < l.n && (l.s[i + 2] == '-' || l.s[i + 2] == '+') ? l.s[i + 2] : '\0', end_sign;
        text_before(&l, i, sign, kind != '{');
        size_t inside = i + 2 + (sign != '\0'), end;
        if (kind == '%' && bare_tag(&l, inside, "raw", &end_sign, &end) && end_sign != '+') {
            advance(&l, end);
            after_tag(&l, end_sign, false);
            lex_raw(&l);
            continue;
        }
        advance(&l, inside);
        if (kind == '#') {
            lex_comment(&l);
            continue;
        }
        push(&l, kind == '{' ? HJ_T_VAR_BEGIN : HJ_T_BLOCK_BEGIN, 0, HJ_NIL);
        lex_tag(&l, kind == '%');
    }
    push(&l, HJ_T_EOF, 0, HJ_NIL);
    return l.tokens;
}

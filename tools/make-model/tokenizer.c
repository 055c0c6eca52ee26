#include "tokenizer.h"
#include "base/mem.h"

#include <gguf.h>
#include <llama.h>
#include <string.h>

/* Pairs of frequent English letters. Both halves of every pair are tokens: a byte, or the result of an earlier pair.
 * \u0120 is how byte-level BPE writes a blank. */
#define SP "\xc4\xa0"
static const char *const merges[][2] = {{SP, "t"},     {"h", "e"},  {SP, "a"},  {"i", "n"}, {SP "t", "he"}, {"r", "e"},
                                        {"o", "n"},    {"e", "r"},  {"a", "t"}, {"n", "d"}, {"o", "u"},     {SP, "s"},
                                        {SP, "o"},     {"e", "n"},  {"i", "s"}, {"o", "r"}, {"e", "s"},     {SP, "w"},
                                        {"a", "n"},    {"in", "g"}, {"i", "t"}, {SP, "b"},  {SP, "c"},      {"e", "d"},
                                        {"l", "l"},    {"a", "l"},  {SP, "f"},  {SP, "p"},  {SP "a", "nd"}, {"o", "t"},
                                        {SP "o", "f"}, {SP, "h"},   {"a", "r"}, {SP, "m"}};
_Static_assert(HYP_MAKE_TOKEN_MERGES + HYP_ARRAY_LEN(merges) <= HYP_MAKE_MIN_VOCAB,
               "merges must fit the least vocabulary");

static const char template[] =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + "
    "'\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/* Byte-level BPE writes every byte as a printable character: those that are printable in Latin-1 as themselves, the
 * others, in order, from U+0100 on (GPT-2's bytes_to_unicode). */
static void byte_text(int byte, char *buf, size_t buf_size) {
    int code = byte;
    bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
    if (!printable) {
        code = 0x100;
        for (int b = 0; b < byte; b++)
            if (!((b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae)) code++;
    }
    if (code < 0x80)
        snprintf(buf, buf_size, "%c", code);
    else
        snprintf(buf, buf_size, "%c%c", 0xc0 | (code >> 6), 0x80 | (code & 0x3f));
}

/* A blank and two syllables, three from the 6400th word on: all different, since every syllable has two letters. */
static void word_text(int index, char *buf, size_t buf_size) {
    static const char consonants[] = "bcdfghjklmnprstv", vowels[] = "aeiou";
    const int n = 16 * 5;
    char text[8] = "";
    int length = index < n * n ? 2 : 3;
    if (length == 3) index -= n * n;
    for (int i = 0; i < length; i++, index /= n) {
        text[2 * i] = consonants[index % n / 5];
        text[2 * i + 1] = vowels[index % 5];
    }
    /* Beyond the three-syllable words a number tells them apart. */
    if (index > 0)
        snprintf(buf, buf_size, SP "%s%d", text, index);
    else
        snprintf(buf, buf_size, SP "%s", text);
}

void hyp_make_tokenizer_text(int id, char *buf, size_t buf_size) {
    static const char *const control[] = {"<|begin|>", "<|end|>", "<|im_start|>", "<|im_end|>"};
    const int words = HYP_MAKE_TOKEN_MERGES + (int)HYP_ARRAY_LEN(merges);
    if (id < 256)
        byte_text(id, buf, buf_size);
    else if (id < HYP_MAKE_TOKEN_MERGES)
        snprintf(buf, buf_size, "%s", control[id - 256]);
    else if (id < words)
        snprintf(buf, buf_size, "%s%s", merges[id - HYP_MAKE_TOKEN_MERGES][0], merges[id - HYP_MAKE_TOKEN_MERGES][1]);
    else
        word_text(id - words, buf, buf_size);
}

int hyp_make_tokenizer_set(struct gguf_context *gguf, int n_vocab, hyp_err *err) {
    enum { TEXT_BYTES = 32 };
    HYP_AUTOFREE char *texts = calloc((size_t)n_vocab, TEXT_BYTES);
    HYP_AUTOFREE const char **tokens = calloc((size_t)n_vocab, sizeof *tokens);
    HYP_AUTOFREE int32_t *types = calloc((size_t)n_vocab, sizeof *types);
    if (texts == NULL || tokens == NULL || types == NULL)
        return hyp_err_set(err, HYP_ENOMEM, "out of memory for a vocabulary of %d", n_vocab);
    for (int i = 0; i < n_vocab; i++) {
        char *text = texts + (size_t)i * TEXT_BYTES;
        hyp_make_tokenizer_text(i, text, TEXT_BYTES);
        tokens[i] = text;
        types[i] = i >= 256 && i < HYP_MAKE_TOKEN_MERGES ? LLAMA_TOKEN_TYPE_CONTROL : LLAMA_TOKEN_TYPE_NORMAL;
    }
    char pairs[HYP_ARRAY_LEN(merges)][16];
    const char *lines[HYP_ARRAY_LEN(merges)];
    for (size_t i = 0; i < HYP_ARRAY_LEN(merges); i++) {
        snprintf(pairs[i], sizeof pairs[i], "%s %s", merges[i][0], merges[i][1]);
        lines[i] = pairs[i];
    }
    gguf_set_val_str(gguf, "tokenizer.ggml.model", "gpt2");
    gguf_set_val_str(gguf, "tokenizer.ggml.pre", "gpt-2");
    gguf_set_arr_str(gguf, "tokenizer.ggml.tokens", tokens, (size_t)n_vocab);
    gguf_set_arr_data(gguf, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, types, (size_t)n_vocab);
    gguf_set_arr_str(gguf, "tokenizer.ggml.merges", lines, HYP_ARRAY_LEN(merges));
    gguf_set_val_u32(gguf, "tokenizer.ggml.bos_token_id", HYP_MAKE_TOKEN_BOS);
    gguf_set_val_u32(gguf, "tokenizer.ggml.eos_token_id", HYP_MAKE_TOKEN_EOS);
    gguf_set_val_u32(gguf, "tokenizer.ggml.eot_token_id", HYP_MAKE_TOKEN_TURN_END);
    gguf_set_val_bool(gguf, "tokenizer.ggml.add_bos_token", false);
    gguf_set_val_str(gguf, "tokenizer.chat_template", template);
    return HYP_OK;
}

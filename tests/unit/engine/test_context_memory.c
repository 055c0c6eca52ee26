#include "../test.h"
#include "engine/context_memory.h"

#include <string.h>

enum { MIB = 1 << 20 };

static hyp_context_memory read_lines(const char *const *lines) {
    hyp_context_memory memory = {0};
    for (; *lines != NULL; lines++)
        hyp_context_memory_add(&memory, *lines);
    return memory;
}

static const char repacked[] = "load_tensors:   CPU_REPACK model buffer size =     7.24 MiB\n";
static const char output[] = "llama_context:        CPU  output buffer size =     0.19 MiB\n";
static const char compute[] = "sched_reserve:        CPU compute buffer size =   106.77 MiB\n";

/* What libllama of ggml 0.27.0 logged for contexts of 4096 tokens, word for word. */
static void recorded_lines(void **state) {
    (void)state;
    static const struct {
        const char *lines[8];
        double mib[4]; /* of those that count */
    } models[] = {
        /* SmolLM2 135M */
        {{"load_tensors:   CPU_Mapped model buffer size =     0.07 MiB\n", output,
          "llama_kv_cache:        CPU KV buffer size =    90.00 MiB\n",
          "llama_kv_cache: size =   90.00 MiB (  4096 cells,  30 layers,  1/1 seqs), K (f16):   45.00 MiB, V (f16):   45.00 MiB\n",
          "llama_kv_cache: n_rot_k = 0, n_embd_head_k_all = 64\n", compute},
         {0.19, 90, 106.77}},
        /* make-model's gemma3: layers with a sliding window have a cache of their own */
        {{"load_tensors:   CPU_REPACK model buffer size =     3.45 MiB\n",
          "llama_context:        CPU  output buffer size =     0.00 MiB\n",
          "llama_kv_cache:        CPU KV buffer size =     2.00 MiB\n",
          "llama_kv_cache: size =    2.00 MiB (  4096 cells,   1 layers,  1/1 seqs), K (f16):    1.00 MiB, V (f16):    1.00 MiB\n",
          "llama_kv_cache:        CPU KV buffer size =    14.00 MiB\n",
          "llama_kv_cache: size =   14.00 MiB (  4096 cells,   7 layers,  1/1 seqs), K (f16):    7.00 MiB, V (f16):    7.00 MiB\n",
          "sched_reserve:        CPU compute buffer size =    15.03 MiB\n"},
         {0, 2, 14, 15.03}},
        /* make-model's qwen3next: recurrent state beside the cache */
        {{"llama_context:        CPU  output buffer size =     0.00 MiB\n",
          "llama_kv_cache:        CPU KV buffer size =     2.00 MiB\n",
          "llama_kv_cache: size =    2.00 MiB (  4096 cells,   1 layers,  1/1 seqs), K (f16):    1.00 MiB, V (f16):    1.00 MiB\n",
          "llama_memory_recurrent:        CPU RS buffer size =     0.41 MiB\n",
          "llama_memory_recurrent: size =    0.41 MiB (     1 cells,   4 layers,  1 seqs  0 rs_seq), R (f32):    0.04 MiB, S (f32):    0.38 MiB, P (f32):    0.00 MiB\n",
          "sched_reserve:        CPU compute buffer size =    12.52 MiB\n"},
         {0, 2, 0.41, 12.52}},
    };
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        const hyp_context_memory memory = read_lines(models[i].lines);
        uint64_t bytes = 0;
        for (size_t k = 0; k < sizeof models[i].mib / sizeof *models[i].mib; k++)
            bytes += (uint64_t)(models[i].mib[k] * MIB);
        assert_null(hyp_context_memory_flaw(&memory));
        assert_int_equal(memory.host_bytes, bytes);
    }
}

/* Written after libllama's formats: "%s: %10s KV buffer size = %8.2f MiB\n". */
static void only_the_hosts_memory_counts(void **state) {
    (void)state;
    static const char *const lines[] = {
        "llama_context: Vulkan_Host  output buffer size =     1.00 MiB\n",
        "llama_kv_cache:    Vulkan0 KV buffer size =   100.00 MiB\n",
        "llama_kv_cache: RPC0[127.0.0.1:50052] KV buffer size =   100.00 MiB\n",
        "llama_kv_cache:        CPU KV buffer size =     2.00 MiB\n",
        "sched_reserve:    Vulkan0 compute buffer size =   100.00 MiB\n",
        "sched_reserve: Vulkan_Host compute buffer size =     4.00 MiB\n",
        "init:        CPU DSV4 csa state buffer size =     8.00 MiB\n",
        NULL,
    };
    const hyp_context_memory memory = read_lines(lines);
    assert_null(hyp_context_memory_flaw(&memory));
    assert_int_equal(memory.host_bytes, 15 * MIB);
}

static void flaw_is(const char *const *lines, const char *flaw, const char *line) {
    const hyp_context_memory memory = read_lines(lines);
    const char *found = hyp_context_memory_flaw(&memory);
    assert_non_null(found);
    assert_non_null(strstr(found, flaw));
    assert_string_equal(memory.not_understood, line);
}

static void silence_and_other_words_are_noticed(void **state) {
    (void)state;
    flaw_is((const char *const[]){NULL}, "no line about a compute buffer", "");
    flaw_is((const char *const[]){repacked, output, NULL}, "no line about a compute buffer", "");
    flaw_is((const char *const[]){repacked, compute, NULL}, "no line about an output buffer", "");
    static const char *const strange[] = {
        "kv: CPU KV buffer size: 8.00 MiB", "kv: CPU KV buffer size = 8.00 GiB",
        "kv: CPU KV buffer size = ",        "kv: CPU KV buffer size = -1 MiB",
        "kv: CPU KV buffer size = nan MiB", "kv: CPU KV buffer size = 1e30 MiB",
        "CPU KV buffer size = 8.00 MiB",    " buffer size",
        "kv:  buffer size = 8.00 MiB",
    };
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++)
        flaw_is((const char *const[]){output, strange[i], "kv: CPU KV buffer size too late\n", compute, NULL},
                "not understood", strange[i]);
}

/* A line may be as long as it likes. */
static void a_long_line_is_cut(void **state) {
    (void)state;
    hyp_context_memory memory = {0};
    char line[1024];
    memset(line, 'x', sizeof line);
    memcpy(line + 500, " buffer size", 12);
    line[sizeof line - 1] = '\0';
    hyp_context_memory_add(&memory, line);
    assert_int_equal(strlen(memory.not_understood), sizeof memory.not_understood - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_lines),
        cmocka_unit_test(only_the_hosts_memory_counts),
        cmocka_unit_test(silence_and_other_words_are_noticed),
        cmocka_unit_test(a_long_line_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

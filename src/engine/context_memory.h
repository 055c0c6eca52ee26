/* context_memory.h - what libllama allocated for a context, read off its log.
 *
 * Nothing in llama.h tells. llama_get_memory_breakdown() would: libllama exports it, but as C++ that returns a
 * std::map, declared in no installed header. A model loaded with `no_alloc` only has its context log a KV cache of 0
 * MiB, and llama_state_get_size() is what a saved state takes. So lines of the log are read, and where they do not say
 * what they must, hyp_context_memory_flaw() does. Pure. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef struct hyp_context_memory {
    uint64_t host_bytes; /* KV cache, recurrent state, outputs and computing, as far as the CPU holds them */
    bool has_output;     /* of the two buffers that every context has, on whatever device: is there a line? */
    bool has_compute;
    char not_understood[128]; /* the first line that names a buffer's size and could not be read; empty: none */
} hyp_context_memory;

/* Take in one line of the log, of level info, of which all but buffers are passed over. `memory` begins as zeros. */
void hyp_context_memory_add(hyp_context_memory *memory, const char *line);

/* Of all lines that came while a context was made: NULL when they say what they must, else the reason, static text, why
 * `host_bytes` may be less than was allocated. `not_understood`, which may be empty, completes the sentence. */
const char *hyp_context_memory_flaw(const hyp_context_memory *memory);

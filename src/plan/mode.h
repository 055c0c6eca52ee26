/* mode.h - the ways to run a model, and what sets them apart. Outside src/plan and src/stream nobody compares a mode
 * with a name of the enumeration: what a caller wants to know of a mode is a question below. */
#pragma once
#include <stdbool.h>

typedef enum hyp_mode {
    HYP_MODE_AUTO,     /* as the plan says */
    HYP_MODE_RESIDENT, /* everything fits: libllama alone, weights repacked */
    HYP_MODE_EXPERTS,  /* mixture of experts: what every token touches is pinned, experts come through a cache */
    HYP_MODE_FFN,      /* dense: FFN layers that do not fit stream through a ring of frames */
    HYP_MODE_MMAP,     /* plain llama.cpp: the kernel's page cache decides */
    HYP_N_MODES,
} hyp_mode;

/* "auto", "resident", "experts", "ffn", "mmap". Static storage; "?" for what is no mode. */
const char *hyp_mode_name(hyp_mode mode);

/* The questions, all pure; HYP_MODE_AUTO answers no to each but the last. */

/* Does the pager bring weights from the SSD into frames of a budget? */
bool hyp_mode_streams(hyp_mode mode);

/* Does a router choose what streams, so that it can be recorded, predicted and prefetched? */
bool hyp_mode_routes(hyp_mode mode);

/* Is every weight loaded at the start and kept, in whatever layout computes fastest? */
bool hyp_mode_is_resident(hyp_mode mode);

/* Are all weights left to the kernel's page cache? */
bool hyp_mode_is_mapped(hyp_mode mode);

/* Was the choice left open by the user who asked for `requested`, so that a running model may leave its mode? */
bool hyp_mode_is_open(hyp_mode requested);

/* What a streaming mode streams, in words: "routed experts", "dense FFN"; NULL for modes that do not stream. */
const char *hyp_mode_streamed(hyp_mode mode);

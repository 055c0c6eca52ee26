/* mode.h - the ways to run a model. */
#pragma once

typedef enum hyp_mode {
    HYP_MODE_AUTO,     /* as the plan says */
    HYP_MODE_RESIDENT, /* everything fits: libllama alone, weights repacked */
    HYP_MODE_EXPERTS,  /* mixture of experts: what every token touches is pinned, experts come through a cache */
    HYP_MODE_FFN,      /* dense: FFN layers that do not fit stream through a ring of frames */
    HYP_MODE_MMAP,     /* plain llama.cpp: the kernel's page cache decides */
    HYP_N_MODES,
} hyp_mode;

/* "auto", "resident", "experts", "ffn", "mmap". */
const char *hyp_mode_name(hyp_mode mode);

/* sampling.h - how tokens shall be chosen: the parameters, and what binds the answer to a grammar. Pure data. */
#pragma once
#include "base/sampling.h"

enum { HYP_TRIGGER_MAX = 64 };

/* A word whose appearance in the answer makes a grammar begin to bind. */
typedef struct hyp_trigger {
    const char *word; /* at most HYP_TRIGGER_MAX bytes */
    const char *lead; /* NULL: the grammar's text begins with the word. Else behind it, after this GBNF expression */
    bool at_start;    /* only where nothing but white space is before it */
} hyp_trigger;

typedef struct hyp_sampling {
    hyp_sampling_params params;
    const char *grammar;         /* GBNF with a "root" rule, or NULL */
    const hyp_trigger *triggers; /* where the grammar begins; NULL: at once */
    size_t n_triggers;
} hyp_sampling;

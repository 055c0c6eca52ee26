/* accuracy.h - how right predictions are: precision (of what was predicted, how much was used) and recall (of what was
 * used, how much had been predicted). One owner. */
#pragma once
#include "base/err.h"

typedef struct hyp_accuracy {
    uint64_t n_predicted, n_used, n_right;
} hyp_accuracy;

/* Count one visit: `predicted` and `used` are distinct experts, in any order. A visit for which nothing was predicted
 * counts against recall. */
void hyp_accuracy_add(hyp_accuracy *accuracy, const uint32_t *predicted, size_t n_predicted, const uint32_t *used,
                      size_t n_used);

/* Within [0, 1]; 0 while there is nothing to divide by. */
double hyp_accuracy_precision(const hyp_accuracy *accuracy);
double hyp_accuracy_recall(const hyp_accuracy *accuracy);

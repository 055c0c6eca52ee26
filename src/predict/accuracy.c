#include "predict/accuracy.h"

void hyp_accuracy_add(hyp_accuracy *a, const uint32_t *predicted, size_t n_predicted, const uint32_t *used,
                      size_t n_used) {
    a->n_predicted += n_predicted;
    a->n_used += n_used;
    for (size_t i = 0; i < n_predicted; i++)
        for (size_t j = 0; j < n_used; j++)
            a->n_right += predicted[i] == used[j];
}

double hyp_accuracy_precision(const hyp_accuracy *a) {
    return a->n_predicted > 0 ? (double)a->n_right / (double)a->n_predicted : 0;
}

double hyp_accuracy_recall(const hyp_accuracy *a) {
    return a->n_used > 0 ? (double)a->n_right / (double)a->n_used : 0;
}

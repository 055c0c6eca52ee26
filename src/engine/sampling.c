#include "engine/sampling.h"

#include "base/mem.h"

#include <limits.h>
#include <string.h>

#define AT(field) offsetof(hyp_sampling, field)

const hyp_sampling_row hyp_sampling_rows[] = {
    /* name, kind, field, least, most */
    {"temperature", HYP_SAMPLING_REAL, AT(temperature), 0, 100},
    {"top_k", HYP_SAMPLING_INT, AT(top_k), 0, INT_MAX},
    {"top_p", HYP_SAMPLING_REAL, AT(top_p), 0, 1},
    {"min_p", HYP_SAMPLING_REAL, AT(min_p), 0, 1},
    {"typical_p", HYP_SAMPLING_REAL, AT(typical_p), 0, 1},
    {"repeat_penalty", HYP_SAMPLING_REAL, AT(repeat_penalty), 0.01, 100},
    {"presence_penalty", HYP_SAMPLING_REAL, AT(presence_penalty), -100, 100},
    {"frequency_penalty", HYP_SAMPLING_REAL, AT(frequency_penalty), -100, 100},
    {"repeat_last_n", HYP_SAMPLING_INT, AT(repeat_last_n), -1, INT_MAX},
    {"seed", HYP_SAMPLING_INT64, AT(seed), -1, INT_MAX},
};
const size_t hyp_sampling_n_rows = HYP_ARRAY_LEN(hyp_sampling_rows);

const hyp_sampling_row *hyp_sampling_find(const char *name, size_t n) {
    for (size_t i = 0; i < hyp_sampling_n_rows; i++)
        if (strlen(hyp_sampling_rows[i].name) == n && memcmp(hyp_sampling_rows[i].name, name, n) == 0)
            return &hyp_sampling_rows[i];
    return NULL;
}

double hyp_sampling_get(const hyp_sampling *sampling, const hyp_sampling_row *row) {
    const void *field = (const char *)sampling + row->offset;
    switch (row->kind) {
    case HYP_SAMPLING_REAL: return *(const double *)field;
    case HYP_SAMPLING_INT: return *(const int *)field;
    case HYP_SAMPLING_INT64: return (double)*(const int64_t *)field;
    }
    return 0;
}

void hyp_sampling_set(hyp_sampling *sampling, const hyp_sampling_row *row, double value) {
    void *field = (char *)sampling + row->offset;
    switch (row->kind) {
    case HYP_SAMPLING_REAL: *(double *)field = value; break;
    case HYP_SAMPLING_INT: *(int *)field = (int)value; break;
    case HYP_SAMPLING_INT64: *(int64_t *)field = (int64_t)value; break;
    }
}

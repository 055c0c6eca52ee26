#include "base/sampling.h"

#include "base/mem.h"

#include <string.h>

#define ROW(field, kind, least, most, request_most, llama_cpp, ollama, openai, ...)                                    \
    {#field,                                                                                                           \
     HYP_SAMPLING_##kind,                                                                                              \
     offsetof(hyp_sampling_params, field),                                                                             \
     least,                                                                                                            \
     most,                                                                                                             \
     request_most,                                                                                                     \
     {[HYP_SAMPLING_LLAMA_CPP] = (llama_cpp), [HYP_SAMPLING_OLLAMA] = (ollama), [HYP_SAMPLING_OPENAI] = (openai)}},

const hyp_sampling_row hyp_sampling_rows[] = {HYP_SAMPLING_ROWS(ROW, ROW)};
const size_t hyp_sampling_n_rows = HYP_ARRAY_LEN(hyp_sampling_rows);

const hyp_sampling_row *hyp_sampling_find(const char *name, size_t n) {
    for (size_t i = 0; i < hyp_sampling_n_rows; i++)
        if (strlen(hyp_sampling_rows[i].name) == n && memcmp(hyp_sampling_rows[i].name, name, n) == 0)
            return &hyp_sampling_rows[i];
    return NULL;
}

double hyp_sampling_get(const hyp_sampling_params *params, const hyp_sampling_row *row) {
    const void *field = (const char *)params + row->offset;
    switch (row->kind) {
    case HYP_SAMPLING_REAL: return *(const double *)field;
    case HYP_SAMPLING_INT: return *(const int *)field;
    case HYP_SAMPLING_INT64: return (double)*(const int64_t *)field;
    }
    return 0;
}

void hyp_sampling_set(hyp_sampling_params *params, const hyp_sampling_row *row, double value) {
    void *field = (char *)params + row->offset;
    switch (row->kind) {
    case HYP_SAMPLING_REAL: *(double *)field = value; break;
    case HYP_SAMPLING_INT: *(int *)field = (int)value; break;
    case HYP_SAMPLING_INT64: *(int64_t *)field = (int64_t)value; break;
    }
}

void hyp_sampling_set_defaults(hyp_sampling_params *params, hyp_sampling_dialect dialect) {
    for (size_t i = 0; i < hyp_sampling_n_rows; i++) {
        double value = hyp_sampling_rows[i].defaults[dialect];
        if (!isnan(value)) hyp_sampling_set(params, &hyp_sampling_rows[i], value);
    }
}

/* inspect_text.c - `hypura inspect` for people: the header lines, a table by role, one by layer, and with --tensors the
 * tensors. Columns are as wide as their widest cell; the last column gives way when the terminal is narrow. */
#include "cli/inspect.h"

#include "base/mem.h"
#include "base/text.h"

#include <inttypes.h>
#include <string.h>

enum { CELL = 96, MAX_COLUMNS = 12, GAP = 2 };

/* A table is filled row by row and printed at the end, when the widths are known. */
typedef struct table {
    int n_columns;
    bool right[MAX_COLUMNS];
    char (*cells)[CELL];
    size_t n_cells, capacity;
    bool failed;
} table;

static char *cell(table *t) {
    static char lost[CELL];
    if (t->n_cells == t->capacity) {
        size_t capacity = t->capacity == 0 ? 128 : t->capacity * 2;
        void *grown = realloc(t->cells, capacity * sizeof *t->cells);
        t->failed = t->failed || grown == NULL;
        if (grown == NULL) return lost;
        t->cells = grown;
        t->capacity = capacity;
    }
    return t->cells[t->n_cells++];
}

static void put(table *t, const char *format, ...) HYP_PRINTF(2, 3);
static void put(table *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(cell(t), CELL, format, args);
    va_end(args);
}

static void put_bytes(table *t, uint64_t bytes) {
    if (bytes == 0)
        put(t, "-");
    else
        hyp_text_format_bytes(bytes, cell(t), CELL);
}

static void print_cut(const char *text, int room) {
    if ((int)strlen(text) <= room)
        puts(text);
    else
        printf("%.*s...\n", room - 3, text);
}

static void print_table(table *t, int width) {
    int widths[MAX_COLUMNS] = {0};
    for (size_t i = 0; i < t->n_cells; i++) {
        int n = (int)strlen(t->cells[i]), *w = &widths[i % (size_t)t->n_columns];
        *w = HYP_MAX(*w, n);
    }
    int before_last = 0;
    for (int c = 0; c < t->n_columns - 1; c++)
        before_last += widths[c] + GAP;
    int room = HYP_MAX(width - before_last, 8);
    for (size_t i = 0; !t->failed && i < t->n_cells; i++) {
        int c = (int)(i % (size_t)t->n_columns);
        bool last = c == t->n_columns - 1;
        if (last && !t->right[c])
            print_cut(t->cells[i], room);
        else if (t->right[c])
            printf("%*s%s", widths[c], t->cells[i], last ? "\n" : "  ");
        else
            printf("%-*s  ", widths[c], t->cells[i]);
    }
    free(t->cells);
    *t = (table){0};
}

static void print_header(const hyp_model *m, const hyp_inspect_sums *sums, const hyp_sidecar_look *packed) {
    char size[32], touched[32], params[32];
    hyp_text_format_bytes(m->bytes, size, sizeof size);
    hyp_text_format_bytes(sums->total.touched_bytes, touched, sizeof touched);
    printf("%s\n", m->name);
    printf("  file          %s (%s", m->path, size);
    if (m->n_files > 1) printf(" in %zu parts", m->n_files);
    printf(")\n  architecture  %s, %" PRIu32 " layers", m->arch, m->n_layers);
    if (m->n_layers_nextn > 0) printf(" (%" PRIu32 " of them for multi-token prediction)", m->n_layers_nextn);
    printf(", width %" PRIu32 "\n", m->n_embd);
    printf("  parameters    %s in %zu tensors\n", hyp_text_format_count(m->n_params, params, sizeof params),
           m->n_tensors);
    printf("  quantization  %s\n", m->quant);
    if (m->n_experts > 0)
        printf("  experts       %" PRIu32 " of %" PRIu32 " used for a token\n", m->n_experts_used, m->n_experts);
    printf("  context       %" PRIu32 " tokens\n", m->n_ctx_train);
    printf("  vocabulary    %" PRIu32 " tokens\n", m->n_vocab);
    if (packed->state != HYP_SIDECAR_ABSENT) hyp_sidecar_view_state(packed);
    printf("  a token reads %s of weights (%.3g %%)\n\n", touched,
           100.0 * (double)sums->total.touched_bytes / (double)m->tensor_bytes);
}

static void put_role(table *t, const char *name, const hyp_inspect_sum *sum, const hyp_inspect_sum *total) {
    char types[CELL];
    put(t, "%s", name);
    put(t, "%" PRIu64, sum->tensors);
    put_bytes(t, sum->bytes);
    put(t, "%.1f %%", 100.0 * (double)sum->bytes / (double)total->bytes);
    put_bytes(t, sum->touched_bytes);
    put(t, "%s", hyp_inspect_types(sum->types, types, sizeof types));
}

static void print_roles(const hyp_inspect_sums *sums, int width) {
    table t = {.n_columns = 6, .right = {false, true, true, true, true, false}};
    static const char *const head[] = {"ROLE", "TENSORS", "SIZE", "SHARE", "A TOKEN READS", "TYPES"};
    for (size_t i = 0; i < HYP_ARRAY_LEN(head); i++)
        put(&t, "%s", head[i]);
    for (int r = 0; r < HYP_N_ROLES; r++)
        if (sums->roles[r].tensors > 0) put_role(&t, hyp_role_name((hyp_role)r), &sums->roles[r], &sums->total);
    put_role(&t, "all", &sums->total, &sums->total);
    print_table(&t, width);
}

/* The columns of the table by layer: roles that are told apart there. */
static const struct {
    const char *name;
    hyp_role roles[4];
    int n;
} groups[] = {
    {"ATTENTION", {HYP_ROLE_ATTENTION}, 1},
    {"RECURRENT", {HYP_ROLE_RECURRENT}, 1},
    {"FFN", {HYP_ROLE_FFN_GATE, HYP_ROLE_FFN_UP, HYP_ROLE_FFN_DOWN}, 3},
    {"SHARED EXPERT", {HYP_ROLE_SHARED_EXPERT}, 1},
    {"EXPERTS", {HYP_ROLE_ROUTED_EXPERT}, 1},
    {"OTHER", {HYP_ROLE_NORM, HYP_ROLE_ROUTER, HYP_ROLE_OTHER, HYP_ROLE_EMBEDDING}, 4},
};

static uint64_t group_bytes(const hyp_inspect_sum *layer, size_t group) {
    uint64_t bytes = 0;
    for (int i = 0; i < groups[group].n; i++)
        bytes += layer[groups[group].roles[i]].bytes;
    return bytes;
}

static bool same_sizes(const hyp_inspect_sum *a, const hyp_inspect_sum *b) {
    for (int r = 0; r < HYP_N_ROLES; r++)
        if (a[r].bytes != b[r].bytes || a[r].tensors != b[r].tensors) return false;
    return true;
}

/* "0-2,5,8-31": the layers that are like layer `first`. Returns how many they are. */
static uint32_t list_alike(const hyp_model *m, const hyp_inspect_sums *sums, uint32_t first, hyp_str *ret) {
    uint32_t n = 0;
    for (uint32_t i = first; i < m->n_layers; i++) {
        if (!same_sizes(sums->layers[first], sums->layers[i])) continue;
        uint32_t end = i;
        while (end + 1 < m->n_layers && same_sizes(sums->layers[first], sums->layers[end + 1]))
            end++;
        hyp_str_printf(ret, "%s%" PRIu32, n > 0 ? "," : "", i);
        if (end > i) hyp_str_printf(ret, "-%" PRIu32, end);
        n += end - i + 1;
        i = end;
    }
    return n;
}

static void put_layers(table *t, const hyp_model *m, const hyp_inspect_sums *sums, uint32_t first, const bool *shown) {
    hyp_str list = {0};
    uint32_t n = list_alike(m, sums, first, &list);
    uint64_t bytes = 0;
    for (int r = 0; r < HYP_N_ROLES; r++)
        bytes += sums->layers[first][r].bytes;
    put(t, "%" PRIu32, n);
    put_bytes(t, bytes);
    for (size_t g = 0; g < HYP_ARRAY_LEN(groups); g++)
        if (shown[g]) put_bytes(t, group_bytes(sums->layers[first], g));
    put(t, "%s", list.failed || list.data == NULL ? "" : list.data);
    hyp_str_free(&list);
}

static void print_layers(const hyp_model *m, const hyp_inspect_sums *sums, int width) {
    bool shown[HYP_ARRAY_LEN(groups)] = {false};
    table t = {.n_columns = 3, .right = {true, true}};
    put(&t, "LAYERS");
    put(&t, "SIZE OF EACH");
    for (size_t g = 0; g < HYP_ARRAY_LEN(groups); g++) {
        for (uint32_t i = 0; i < m->n_layers; i++)
            shown[g] = shown[g] || group_bytes(sums->layers[i], g) > 0;
        if (!shown[g]) continue;
        t.right[t.n_columns++ - 1] = true;
        put(&t, "%s", groups[g].name);
    }
    put(&t, "WHICH");
    for (uint32_t i = 0; i < m->n_layers; i++) {
        bool listed = false;
        for (uint32_t j = 0; j < i && !listed; j++)
            listed = same_sizes(sums->layers[i], sums->layers[j]);
        if (!listed) put_layers(&t, m, sums, i, shown);
    }
    putchar('\n');
    print_table(&t, width);
}

static void put_shape(table *t, const hyp_tensor *tensor) {
    char *text = cell(t);
    size_t n = 0;
    int dims = 4;
    while (dims > 1 && tensor->ne[dims - 1] == 1)
        dims--;
    for (int i = 0; i < dims && n < CELL; i++)
        n += (size_t)snprintf(text + n, CELL - n, "%s%" PRId64, i > 0 ? " x " : "", tensor->ne[i]);
}

static void print_tensors(const hyp_model *m, int width) {
    bool several = m->n_files > 1;
    table t = {.n_columns = several ? 8 : 7, .right = {false, false, false, false, true, true, true, true}};
    static const char *const head[] = {"TENSOR", "ROLE", "TYPE", "SHAPE", "SIZE", "AN EXPERT", "OFFSET", "PART"};
    for (int i = 0; i < t.n_columns; i++)
        put(&t, "%s", head[i]);
    for (size_t i = 0; i < m->n_tensors; i++) {
        const hyp_tensor *tensor = &m->tensors[i];
        put(&t, "%s", tensor->name);
        put(&t, "%s", hyp_role_name(tensor->role));
        put(&t, "%s", hyp_tensor_type_name(tensor->type));
        put_shape(&t, tensor);
        put_bytes(&t, tensor->bytes);
        put_bytes(&t, tensor->expert_bytes);
        put(&t, "%" PRIu64, tensor->offset);
        if (several) put(&t, "%" PRIu32, tensor->file + 1);
    }
    putchar('\n');
    print_table(&t, width);
}

void hyp_inspect_print_text(const hyp_model *model, const hyp_inspect_sums *sums, bool tensors, int width,
                            const hyp_sidecar_look *packed) {
    print_header(model, sums, packed);
    print_roles(sums, width);
    print_layers(model, sums, width);
    if (tensors) print_tensors(model, width);
}

/* place_lp.c - the placement as a mixed integer program in HiGHS.
 *
 * Columns, for layers l, devices d = 1..D, segments s:
 *   y[l,d]  binary   layer l computes on device d or a later one; site = sum over d
 *   b[l,d]  binary   the bulk of l is on device d
 *   r[l,s]  [0,1]    share of segment s of l's bulk in host RAM; binary for a dense FFN
 *   u[d]    binary   device d is used
 *   z       binary   something is on the SSD
 *   T       >= 0     the time of a token
 * Minimise T. Rows:
 *   y[l,d] <= y[l+1,d], y[l,d+1] <= y[l,d]          contiguous ranges in device order, the last layers first
 *   b[l,d] <= y[l,d] - y[l,d+1]                      a bulk only goes where its layer is
 *   r[l,s] + sum_d b[l,d] <= 1 (= 1 if not streamable), and >= 1 - z
 *   y[l,d] - y[l,d+1] <= u[d], the capacity of every device and of RAM,
 *   T >= compute + wait_share * read, T >= read + idle_share * compute.
 * Bytes are counted in shares of the capacity they stand against, times in shares of the start's, so that every
 * coefficient is near 1. What the solver returns is rounded, filled up exactly and evaluated like any placement. */
#include "base/mem.h"
#include "plan/place_priv.h"

#include <interfaces/highs_c_api.h>
#include <math.h>
#include <string.h>

/* The header declares this one static and never defines it, which gcc reports at every use of the header. */
__attribute__((unused)) static const char *Highs_compilationDate(void) {
    return "";
}

typedef struct program {
    const hyp_place_problem *problem;
    int n_devices, n_layers;
    int *first_y, *first_b, *first_r; /* a layer's first column */
    int first_u, z, t, n_columns;
    double *cost, *lower, *upper, *solution, *row;
    HighsInt *integer;
    /* rows */
    HighsInt *starts, *index;
    double *value, *row_lower, *row_upper;
    size_t n_rows, n_values, max_rows, max_values;
    double scale; /* one second in the program's unit */
} program;

static void free_program(program *g) {
    void *all[] = {g->first_y, g->first_b, g->first_r, g->cost,  g->lower, g->upper,     g->solution,
                   g->row,     g->integer, g->starts,  g->index, g->value, g->row_lower, g->row_upper};
    for (size_t i = 0; i < HYP_ARRAY_LEN(all); i++)
        free(all[i]);
}

static const hyp_place_layer *layer_of(const program *g, int l) {
    return &g->problem->layers[l];
}

static bool bulky(const program *g, int l) {
    return layer_of(g, l)->bulk_bytes > 0;
}

static int n_segments(const program *g, int l) {
    return !bulky(g, l) ? 0 : layer_of(g, l)->divisible ? (int)layer_of(g, l)->n_segments : 1;
}

/* Bytes and saved bytes of segment `s` as the program sees it: a dense FFN is one piece. */
static hyp_place_segment segment_of(const program *g, int l, int s) {
    const hyp_place_layer *layer = layer_of(g, l);
    if (layer->divisible) return layer->segments[s];
    return (hyp_place_segment){layer->bulk_bytes, hyp_place_touched(layer)};
}

/* --- rows: terms are summed up a column, then the row is closed with its bounds --- */
static void term(program *g, int column, double value) {
    g->row[column] += value;
}

static void end_row(program *g, double lower, double upper) {
    if (g->n_rows == g->max_rows) return;
    for (int c = 0; c < g->n_columns; c++) {
        if (g->row[c] != 0 && g->n_values < g->max_values) {
            g->index[g->n_values] = c;
            g->value[g->n_values++] = g->row[c];
        }
        g->row[c] = 0;
    }
    g->row_lower[g->n_rows] = lower;
    g->row_upper[g->n_rows++] = upper;
    g->starts[g->n_rows] = (HighsInt)g->n_values;
}

static int y(const program *g, int l, int d) {
    return g->first_y[l] + d - 1;
}
static int b(const program *g, int l, int d) {
    return g->first_b[l] + d - 1;
}

/* factor * (layer l is on device d) */
static void term_on(program *g, int l, int d, double factor) {
    term(g, y(g, l, d), factor);
    if (d < g->n_devices) term(g, y(g, l, d + 1), -factor);
}

static bool count(program *g) {
    const hyp_place_problem *problem = g->problem;
    g->n_devices = (int)problem->n_devices;
    g->n_layers = (int)problem->n_layers;
    size_t n = problem->n_layers;
    g->first_y = calloc(n, sizeof *g->first_y);
    g->first_b = calloc(n, sizeof *g->first_b);
    g->first_r = calloc(n, sizeof *g->first_r);
    if (g->first_y == NULL || g->first_b == NULL || g->first_r == NULL) return false;
    int column = 0, segments = 0;
    for (int l = 0; l < g->n_layers; l++) {
        g->first_y[l] = column;
        column += g->n_devices;
        g->first_b[l] = column;
        column += bulky(g, l) ? g->n_devices : 0;
        g->first_r[l] = column;
        column += n_segments(g, l);
        segments += n_segments(g, l);
    }
    g->first_u = column;
    column += g->n_devices;
    g->z = column++;
    g->t = column++;
    g->n_columns = column;
    size_t devices = problem->n_devices, columns = (size_t)column;
    g->max_rows = n * devices * 4 + (size_t)segments * 2 + devices + 3;
    g->max_values = n * devices * 16 + (size_t)segments * (2 * devices + 4) + (devices + 3) * 2 * columns;
    g->cost = calloc(columns, sizeof *g->cost);
    g->lower = calloc(columns, sizeof *g->lower);
    g->upper = calloc(columns, sizeof *g->upper);
    g->solution = calloc(columns, sizeof *g->solution);
    g->row = calloc(columns, sizeof *g->row);
    g->integer = calloc(columns, sizeof *g->integer);
    g->starts = calloc(g->max_rows + 1, sizeof *g->starts);
    g->index = calloc(g->max_values, sizeof *g->index);
    g->value = calloc(g->max_values, sizeof *g->value);
    g->row_lower = calloc(g->max_rows, sizeof *g->row_lower);
    g->row_upper = calloc(g->max_rows, sizeof *g->row_upper);
    return g->cost != NULL && g->lower != NULL && g->upper != NULL && g->solution != NULL && g->row != NULL &&
           g->integer != NULL && g->starts != NULL && g->index != NULL && g->value != NULL && g->row_lower != NULL &&
           g->row_upper != NULL;
}

static void bound_columns(program *g) {
    for (int c = 0; c < g->n_columns; c++) {
        g->upper[c] = 1;
        g->integer[c] = kHighsVarTypeInteger;
    }
    for (int l = 0; l < g->n_layers; l++)
        for (int s = 0; s < n_segments(g, l); s++)
            if (layer_of(g, l)->divisible) g->integer[g->first_r[l] + s] = 0;
    g->upper[g->t] = INFINITY;
    g->integer[g->t] = 0;
}

/* Compute time as terms of a row. Returns its constant part. */
static double compute_terms(program *g, double factor) {
    double constant = 0;
    for (int l = 0; l < g->n_layers; l++) {
        const hyp_place_layer *layer = layer_of(g, l);
        constant += factor * (layer->base_s[0] + layer->bulk_s[0]);
        for (int d = 1; d <= g->n_devices; d++) {
            double hop = bulky(g, l) ? 2 * g->problem->devices[d - 1].hop_s : 0;
            double hop_before = d > 1 && bulky(g, l) ? 2 * g->problem->devices[d - 2].hop_s : 0;
            term(g, y(g, l, d), factor * (layer->base_s[d] - layer->base_s[d - 1] + hop - hop_before));
            if (bulky(g, l)) term(g, b(g, l, d), factor * (layer->bulk_s[d] - layer->bulk_s[0] - hop));
        }
    }
    for (int d = 1; d <= g->n_devices; d++)
        term(g, g->first_u + d - 1, factor * g->problem->devices[d - 1].hop_s);
    return constant;
}

static double read_terms(program *g, double factor) {
    double constant = 0, per_byte = g->problem->disk_bytes_per_s > 0 ? factor / g->problem->disk_bytes_per_s : 0;
    for (int l = 0; l < g->n_layers; l++) {
        double touched = hyp_place_touched(layer_of(g, l)) * per_byte;
        if (!bulky(g, l)) continue;
        constant += touched;
        for (int d = 1; d <= g->n_devices; d++)
            term(g, b(g, l, d), -touched);
        for (int s = 0; s < n_segments(g, l); s++)
            term(g, g->first_r[l] + s, -segment_of(g, l, s).saved_bytes * per_byte);
    }
    return constant;
}

static void layer_rows(program *g, int l) {
    for (int d = 1; d <= g->n_devices; d++) {
        if (l + 1 < g->n_layers) {
            term(g, y(g, l, d), 1);
            term(g, y(g, l + 1, d), -1);
            end_row(g, -INFINITY, 0);
        }
        if (d < g->n_devices) {
            term(g, y(g, l, d + 1), 1);
            term(g, y(g, l, d), -1);
            end_row(g, -INFINITY, 0);
        }
        if (bulky(g, l)) {
            term(g, b(g, l, d), 1);
            term_on(g, l, d, -1);
            end_row(g, -INFINITY, 0);
        }
        term_on(g, l, d, 1);
        term(g, g->first_u + d - 1, -1);
        end_row(g, -INFINITY, 0);
    }
    for (int s = 0; s < n_segments(g, l); s++) {
        bool streamable = layer_of(g, l)->streamable;
        term(g, g->first_r[l] + s, 1);
        for (int d = 1; d <= g->n_devices; d++)
            term(g, b(g, l, d), 1);
        end_row(g, streamable ? -INFINITY : 1, 1);
        if (!streamable) continue;
        term(g, g->first_r[l] + s, 1);
        for (int d = 1; d <= g->n_devices; d++)
            term(g, b(g, l, d), 1);
        term(g, g->z, 1);
        end_row(g, 1, INFINITY);
    }
}

/* What device `d` holds, in units of `unit` bytes. */
static void device_terms(program *g, int d, double unit) {
    for (int l = 0; l < g->n_layers; l++) {
        const hyp_place_layer *layer = layer_of(g, l);
        term_on(g, l, d, (double)(layer->base_bytes + layer->kv_bytes) / unit);
        if (bulky(g, l)) term(g, b(g, l, d), (double)layer->bulk_bytes / unit);
    }
    term(g, g->first_u + d - 1, (double)g->problem->devices[d - 1].buffer_bytes / unit);
}

static void capacity_rows(program *g) {
    const hyp_place_problem *problem = g->problem;
    double unit = HYP_MAX((double)problem->ram_bytes, 1),
           left = (double)problem->ram_bytes - (double)problem->ram_fixed_bytes;
    for (int l = 0; l < g->n_layers; l++) {
        const hyp_place_layer *layer = layer_of(g, l);
        double base = (double)(layer->base_bytes + layer->kv_bytes);
        left -= base;
        if (g->n_devices > 0) term(g, y(g, l, 1), -base / unit);
        for (int s = 0; s < n_segments(g, l); s++)
            term(g, g->first_r[l] + s, (double)segment_of(g, l, s).bytes / unit);
    }
    for (int d = 1; d <= g->n_devices; d++)
        if (problem->devices[d - 1].unified) device_terms(g, d, unit);
    term(g, g->z, (double)problem->stream_bytes / unit);
    end_row(g, -INFINITY, left / unit);
    for (int d = 1; d <= g->n_devices; d++) {
        double capacity = HYP_MAX((double)problem->devices[d - 1].capacity_bytes, 1);
        device_terms(g, d, capacity);
        end_row(g, -INFINITY, (double)problem->devices[d - 1].capacity_bytes / capacity);
    }
}

static bool build(program *g) {
    if (!count(g)) return false;
    bound_columns(g);
    for (int l = 0; l < g->n_layers; l++)
        layer_rows(g, l);
    capacity_rows(g);
    const hyp_place_problem *p = g->problem;
    double constant = compute_terms(g, g->scale) + read_terms(g, g->scale * p->wait_share);
    term(g, g->t, -1);
    end_row(g, -INFINITY, -constant);
    constant = compute_terms(g, g->scale * p->idle_share) + read_terms(g, g->scale);
    term(g, g->t, -1);
    end_row(g, -INFINITY, -constant);
    g->cost[g->t] = 1;
    return true;
}

/* The start as a solution of the program. */
static void encode(program *g, const hyp_placement *p) {
    memset(g->solution, 0, (size_t)g->n_columns * sizeof *g->solution);
    for (int l = 0; l < g->n_layers; l++) {
        for (int d = 1; d <= p->site[l]; d++)
            g->solution[y(g, l, d)] = 1;
        if (p->site[l] > 0) g->solution[g->first_u + p->site[l] - 1] = 1;
        if (p->bulk_site[l] > 0) g->solution[b(g, l, p->bulk_site[l])] = 1;
        uint64_t left = p->bulk_ram[l];
        for (int s = 0; s < n_segments(g, l); s++) {
            uint64_t bytes = segment_of(g, l, s).bytes, take = HYP_MIN(left, bytes);
            g->solution[g->first_r[l] + s] = bytes > 0 ? (double)take / (double)bytes : 0;
            left -= take;
        }
    }
    g->solution[g->z] = p->streams;
    g->solution[g->t] = p->token_s * g->scale;
}

static void decode(const program *g, hyp_placement *p) {
    for (int l = 0; l < g->n_layers; l++) {
        p->site[l] = p->bulk_site[l] = 0;
        p->bulk_ram[l] = 0;
        for (int d = 1; d <= g->n_devices; d++) {
            p->site[l] = (uint8_t)(p->site[l] + (g->solution[y(g, l, d)] > 0.5));
            if (bulky(g, l) && g->solution[b(g, l, d)] > 0.5) p->bulk_site[l] = (uint8_t)d;
        }
        bool whole = n_segments(g, l) > 0 && !layer_of(g, l)->divisible && g->solution[g->first_r[l]] > 0.5;
        if (whole) p->bulk_ram[l] = layer_of(g, l)->bulk_bytes;
    }
}

static bool solve(program *g, bool *ret_optimal) {
    void *highs = Highs_create();
    if (highs == NULL) return false;
    double limit = g->problem->time_limit_s > 0 ? g->problem->time_limit_s : 2;
    /* One thread and a fixed seed: the same plan every time. */
    bool good = Highs_setBoolOptionValue(highs, "output_flag", 0) == 0 &&
                Highs_setIntOptionValue(highs, "threads", 1) == 0 &&
                Highs_setIntOptionValue(highs, "random_seed", 0) == 0 &&
                /* After a restart HiGHS 1.x can fail an assertion of its own about the bound, and abort. */
                Highs_setBoolOptionValue(highs, "mip_allow_restart", 0) == 0 &&
                Highs_setDoubleOptionValue(highs, "time_limit", limit) == 0 &&
                Highs_setDoubleOptionValue(highs, "mip_rel_gap", 1e-6) == 0 &&
                Highs_setDoubleOptionValue(highs, "mip_feasibility_tolerance", 1e-9) == 0 &&
                Highs_setDoubleOptionValue(highs, "primal_feasibility_tolerance", 1e-9) == 0;
    good = good &&
           Highs_passMip(highs, g->n_columns, (HighsInt)g->n_rows, (HighsInt)g->n_values, kHighsMatrixFormatRowwise,
                         kHighsObjSenseMinimize, 0, g->cost, g->lower, g->upper, g->row_lower, g->row_upper, g->starts,
                         g->index, g->value, g->integer) != kHighsStatusError;
    if (good)
        Highs_setSolution(highs, g->solution, NULL, NULL, NULL); /* a start that is refused costs time, nothing else */
    good = good && Highs_run(highs) != kHighsStatusError;
    HighsInt status = good ? Highs_getModelStatus(highs) : 0, has = 0;
    *ret_optimal = status == kHighsModelStatusOptimal;
    good = good && (*ret_optimal || status == kHighsModelStatusTimeLimit) &&
           Highs_getIntInfoValue(highs, "primal_solution_status", &has) == 0 && has == kHighsSolutionStatusFeasible;
    HYP_AUTOFREE double *rows = calloc(g->n_rows, sizeof *rows);
    good = good && rows != NULL && Highs_getSolution(highs, g->solution, NULL, rows, NULL) == 0;
    Highs_destroy(highs);
    return good;
}

int hyp_place_optimise(const hyp_place_problem *problem, const hyp_placement *start, hyp_placement *ret,
                       bool *ret_optimal, hyp_err *err) {
    program g = {.problem = problem, .scale = start->token_s > 0 ? 1 / start->token_s : 1};
    hyp_placement found = {0};
    *ret_optimal = false;
    int r = hyp_placement_copy(start, &found, err);
    if (r != HYP_OK) return r;
    if (build(&g)) {
        encode(&g, start);
        bool solved = solve(&g, ret_optimal);
        if (solved) decode(&g, &found);
        bool better = solved && hyp_place_fill_ram(problem, &found, true) && hyp_place_evaluate(problem, &found) &&
                      found.token_s < start->token_s;
        if (!better) {
            hyp_placement_free(&found);
            r = hyp_placement_copy(start, &found, err);
        }
    }
    free_program(&g);
    if (r == HYP_OK) *ret = found;
    return r;
}

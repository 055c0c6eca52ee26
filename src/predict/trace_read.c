/* trace_read.c - the reading half of trace.h: the file is untrusted. */
#include "predict/trace_priv.h"

#include "base/mem.h"
#include "base/paths.h"

#include <string.h>

typedef struct parser {
    wire_reader in;
    const uint8_t *start;
    const char *what;
    hyp_trace *trace;
    size_t visit_room, expert_room;
    uint32_t n_tokens; /* of the pass under way; 0 before the first */
    uint32_t next_layer;
    bool no_memory;
} parser;

void hyp_trace_free(hyp_trace *trace) {
    if (trace == NULL) return;
    free(trace->info.layers);
    free(trace->visits);
    free(trace->experts);
    free(trace->counts);
    free(trace);
}

static int malformed(const parser *p, const char *why, hyp_err *err) {
    hyp_err_set(err, HYP_EFORMAT, "%s is not a readable trace: %s", p->what, why);
    hyp_err_hint(err, "record one with: hypura run MODEL --mode experts --trace FILE");
    return HYP_EFORMAT;
}

static int parse_header(parser *p, hyp_err *err) {
    hyp_trace_info *info = &p->trace->info;
    char magic[8];
    hyp_wire_get_bytes(&p->in, magic, sizeof magic);
    if (p->in.bad || memcmp(magic, TRACE_MAGIC, sizeof magic) != 0)
        return malformed(p, "it does not begin as one", err);
    uint32_t version = (uint32_t)wire_get(&p->in, 4);
    if (version != TRACE_VERSION) return malformed(p, "it is of another version", err);
    hyp_wire_get_bytes(&p->in, info->digest, 64);
    uint8_t n_name = (uint8_t)wire_get(&p->in, 1);
    if (n_name >= sizeof info->name) return malformed(p, "its model's name is too long", err);
    hyp_wire_get_bytes(&p->in, info->name, n_name);
    for (size_t i = 0; i < 64; i++)
        if (info->digest[i] != '\0' && (info->digest[i] < '0' || info->digest[i] > 'z')) info->digest[i] = '?';
    info->n_layers = (uint32_t)wire_get(&p->in, 4);
    info->n_used = (uint32_t)wire_get(&p->in, 4);
    info->always_bytes = wire_get(&p->in, 8);
    if (p->in.bad || info->n_layers == 0 || info->n_layers > TRACE_MAX_LAYERS || info->n_used > TRACE_MAX_EXPERTS ||
        info->always_bytes > TRACE_MAX_BYTES)
        return malformed(p, "its header is out of range", err);
    info->layers = calloc(info->n_layers, sizeof *info->layers);
    if (info->layers == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory reading %s", p->what);
    for (uint32_t l = 0; l < info->n_layers; l++) {
        hyp_trace_layer *layer = &info->layers[l];
        layer->model_layer = (uint32_t)wire_get(&p->in, 4);
        layer->n_experts = (uint32_t)wire_get(&p->in, 4);
        layer->unit_bytes = wire_get(&p->in, 8);
        if (p->in.bad || layer->n_experts == 0 || layer->n_experts > TRACE_MAX_EXPERTS || layer->unit_bytes == 0 ||
            layer->unit_bytes > TRACE_MAX_BYTES)
            return malformed(p, "a layer's description is out of range", err);
    }
    return HYP_OK;
}

static bool reserve(parser *p, size_t n_experts) {
    hyp_trace *t = p->trace;
    if (t->n_visits == p->visit_room) {
        size_t room = HYP_MAX(2 * p->visit_room, 1024);
        void *visits = hyp_realloc_array(t->visits, room, sizeof *t->visits);
        if (visits == NULL) return false;
        t->visits = visits;
        p->visit_room = room;
    }
    if (t->n_experts + n_experts <= p->expert_room) return true;
    size_t room = HYP_MAX(2 * p->expert_room, t->n_experts + n_experts + 8192);
    void *experts = hyp_realloc_array(t->experts, room, sizeof *t->experts);
    if (experts == NULL) return false;
    t->experts = experts;
    void *counts = hyp_realloc_array(t->counts, room, sizeof *t->counts);
    if (counts == NULL) return false;
    t->counts = counts;
    p->expert_room = room;
    return true;
}

/* One visit. Nothing of it is kept when it is cut short or out of range: `in.bad` then. */
static void parse_visit(parser *p) {
    hyp_trace *t = p->trace;
    uint32_t layer = wire_get_varint(&p->in, t->info.n_layers - 1);
    if (p->n_tokens == 0 || layer < p->next_layer) wire_fail(&p->in);
    if (p->in.bad) return;
    uint32_t n_experts = t->info.layers[layer].n_experts;
    uint32_t n_used = wire_get_varint(&p->in, n_experts), next = 0;
    size_t first = t->n_experts, at = first;
    /* Every expert takes a byte at least: what the rest of the file cannot hold is not given room. */
    if (n_used > (size_t)(p->in.end - p->in.at)) wire_cut(&p->in);
    if (p->in.bad) return;
    if (!reserve(p, n_used)) goto no_memory;
    for (uint32_t i = 0; i < n_used; i++, at++) {
        uint32_t expert = wire_get_varint(&p->in, n_experts) + next;
        uint32_t count = p->n_tokens > 1 ? wire_get_varint(&p->in, p->n_tokens) : 1;
        if (!p->in.bad && (expert >= n_experts || count == 0)) wire_fail(&p->in);
        if (p->in.bad) return;
        t->experts[at] = (uint16_t)expert;
        t->counts[at] = count;
        next = expert + 1;
    }
    uint32_t n_predicted = wire_get_varint(&p->in, n_experts);
    if (n_predicted > (size_t)(p->in.end - p->in.at)) wire_cut(&p->in);
    if (p->in.bad) return;
    if (!reserve(p, (size_t)n_used + n_predicted)) goto no_memory;
    for (uint32_t i = 0; i < n_predicted; i++, at++) {
        t->experts[at] = (uint16_t)wire_get_varint(&p->in, n_experts - 1);
        t->counts[at] = 0;
        if (p->in.bad) return;
    }
    t->visits[t->n_visits++] = (hyp_trace_visit){.pass = t->n_passes - 1,
                                                 .layer = layer,
                                                 .n_tokens = p->n_tokens,
                                                 .n_used = n_used,
                                                 .n_predicted = n_predicted,
                                                 .used = first,
                                                 .predicted = first + n_used};
    t->n_experts = at;
    p->next_layer = layer + 1;
    return;
no_memory:
    p->no_memory = true;
    wire_fail(&p->in);
}

static int parse_end(parser *p, hyp_err *err) {
    uint32_t n_passes = (uint32_t)wire_get(&p->in, 4);
    uint64_t hash = hyp_wire_hash(WIRE_HASH, p->start, (size_t)(p->in.at - p->start));
    uint64_t recorded = wire_get(&p->in, 8);
    if (p->in.bad) return HYP_OK; /* cut short within the end mark: the visits before it are whole */
    if (n_passes != p->trace->n_passes || hash != recorded || p->in.at != p->in.end)
        return malformed(p, "its checksum does not match", err);
    p->trace->complete = true;
    return HYP_OK;
}

static int parse_records(parser *p, hyp_err *err) {
    while (p->in.at < p->in.end) {
        uint8_t tag = (uint8_t)wire_get(&p->in, 1);
        if (tag == TRACE_TAG_END) return parse_end(p, err);
        if (tag == TRACE_TAG_PASS) {
            p->n_tokens = wire_get_varint(&p->in, TRACE_MAX_TOKENS);
            if (p->in.cut) return HYP_OK;
            if (p->n_tokens == 0) return malformed(p, "a pass has no tokens, or too many", err);
            p->trace->n_passes++;
            p->next_layer = 0;
            continue;
        }
        if (tag != TRACE_TAG_VISIT) return malformed(p, "it holds a record of an unknown kind", err);
        parse_visit(p);
        if (p->no_memory) return hyp_err_set(err, HYP_ENOMEM, "out of memory reading %s", p->what);
        if (p->in.bad && !p->in.cut) return malformed(p, "a number is out of range", err);
    }
    return HYP_OK;
}

int hyp_trace_parse(const void *data, size_t n, const char *what, hyp_trace **ret, hyp_err *err) {
    const uint8_t *bytes = data;
    parser p = {.in = {.at = bytes, .end = bytes + n}, .start = bytes, .what = what};
    p.trace = calloc(1, sizeof *p.trace);
    if (p.trace == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory reading %s", what);
    int r = parse_header(&p, err);
    if (r == HYP_OK) r = parse_records(&p, err);
    if (r == HYP_OK && p.trace->n_visits == 0) r = malformed(&p, "it records nothing", err);
    if (r != HYP_OK) {
        hyp_trace_free(p.trace);
        return r;
    }
    /* A pass that was announced and has no visit, because the writer died, does not count. */
    p.trace->n_passes = p.trace->visits[p.trace->n_visits - 1].pass + 1;
    *ret = p.trace;
    return HYP_OK;
}

int hyp_trace_read(const char *path, hyp_trace **ret, hyp_err *err) {
    HYP_AUTOFREE char *data = NULL;
    size_t n;
    int r = hyp_paths_read(path, TRACE_MAX_FILE, &data, &n, err);
    return r == HYP_OK ? hyp_trace_parse(data, n, path, ret, err) : r;
}

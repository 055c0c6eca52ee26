#include "plan/mode.h"

#include <stddef.h>

typedef struct mode_info {
    const char *name;
    const char *streamed;
    bool routes, resident, mapped, open;
} mode_info;

static const mode_info infos[HYP_N_MODES] = {
    [HYP_MODE_AUTO] = {.name = "auto", .open = true},
    [HYP_MODE_RESIDENT] = {.name = "resident", .resident = true},
    [HYP_MODE_EXPERTS] = {.name = "experts", .streamed = "routed experts", .routes = true},
    [HYP_MODE_FFN] = {.name = "ffn", .streamed = "dense FFN"},
    [HYP_MODE_MMAP] = {.name = "mmap", .mapped = true},
};

static const mode_info *info_of(hyp_mode mode) {
    static const mode_info none = {.name = "?"};
    return (unsigned)mode < HYP_N_MODES ? &infos[mode] : &none;
}

const char *hyp_mode_name(hyp_mode mode) {
    return info_of(mode)->name;
}

bool hyp_mode_streams(hyp_mode mode) {
    return info_of(mode)->streamed != NULL;
}

bool hyp_mode_routes(hyp_mode mode) {
    return info_of(mode)->routes;
}

bool hyp_mode_is_resident(hyp_mode mode) {
    return info_of(mode)->resident;
}

bool hyp_mode_is_mapped(hyp_mode mode) {
    return info_of(mode)->mapped;
}

bool hyp_mode_is_open(hyp_mode requested) {
    return info_of(requested)->open;
}

const char *hyp_mode_streamed(hyp_mode mode) {
    return info_of(mode)->streamed;
}

#include "plan/mode.h"

const char *hyp_mode_name(hyp_mode mode) {
    static const char *const names[HYP_N_MODES] = {"auto", "resident", "experts", "ffn", "mmap"};
    return (unsigned)mode < HYP_N_MODES ? names[mode] : "?";
}

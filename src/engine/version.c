#include "engine/version.h"

#include <llama.h>
#include <stdio.h>

const char *hyp_engine_library_version(void) {
    static char text[128];
    snprintf(text, sizeof text, "ggml %s (%s)", ggml_version(), ggml_commit());
    return text;
}

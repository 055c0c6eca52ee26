#include "engine/version.h"

#include <llama.h>
#include <stdio.h>
#include <string.h>

const char *hyp_engine_library_version(void) {
    static char text[128];
    /* Packages are often built from an archive, which knows no commit. */
    const char *commit = ggml_commit();
    if (strcmp(commit, "unknown") == 0)
        snprintf(text, sizeof text, "ggml %s", ggml_version());
    else
        snprintf(text, sizeof text, "ggml %s (%s)", ggml_version(), commit);
    return text;
}

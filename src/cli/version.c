#include "engine/version.h"
#include "cli/command.h"

int hyp_command_version(const hyp_args *args, hyp_err *err) {
    (void)args, (void)err;
    printf("hypura %s\nllama.cpp: %s\n", HYP_VERSION, hyp_engine_library_version());
    return HYP_EXIT_OK;
}

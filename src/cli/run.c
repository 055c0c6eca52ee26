#include "cli/command.h"

int hyp_command_run(const hyp_args *args, hyp_err *err) {
    (void)args;
    return hyp_err_set(err, HYP_EUNSUPPORTED, "not built yet");
}

#include "cli/machine.h"

#include "cli/progress.h"
#include "cli/terminal.h"

static void tell_measuring(void) {
    fputs("measuring this machine for the first time, about two seconds; what is found is kept\n", stderr);
}

hyp_device_choice hyp_machine_devices(const hyp_args *args) {
    return (hyp_device_choice){
        .names = args->device.items, .n_names = args->device.n, .servers = args->rpc.items, .n_servers = args->rpc.n};
}

static hyp_plan_request make_request(const hyp_args *args) {
    hyp_plan_request request = args->wishes;
    request.prompt_tokens = (uint32_t)args->prompt_tokens;
    request.n_parallel = (uint32_t)args->parallel;
    return request;
}

hyp_setup_options hyp_machine_setup(const hyp_args *args) {
    return (hyp_setup_options){.wishes = make_request(args),
                               .machine = {.devices = hyp_machine_devices(args),
                                           .look = HYP_LOOK_NEEDED,
                                           .threads = args->engine.threads,
                                           .measuring = args->quiet ? NULL : tell_measuring},
                               .no_memory = args->engine.no_memory};
}

int hyp_machine_get(const hyp_args *args, const hyp_model *model, bool may_measure, hyp_machine *ret, hyp_err *err) {
    bool imagined = args->wishes.ram_bytes > 0 && args->disk_rate_bytes > 0 && args->cpu_rate_bytes > 0;
    bool shown = may_measure && !imagined && !args->quiet && isatty(STDERR_FILENO);
    hyp_machine_wishes wishes = hyp_machine_setup(args).machine;
    wishes.look = imagined ? HYP_LOOK_NOWHERE : may_measure ? HYP_LOOK_MEASURED : HYP_LOOK_KEPT;
    wishes.what_if = true;
    wishes.vram_bytes = args->wishes.vram_bytes;
    wishes.disk_bytes_per_s = args->disk_rate_bytes;
    wishes.cpu_bytes_per_s = args->cpu_rate_bytes;
    wishes.progress = hyp_progress_show_step;
    wishes.user = &shown;
    int r = hyp_machine_look(&wishes, model, ret, err);
    if (shown) hyp_terminal_show_line("");
    return r;
}

int hyp_machine_plan(const hyp_args *args, const hyp_model *model, hyp_machine *machine, hyp_plan **ret, hyp_err *err) {
    const hyp_setup_options options = hyp_machine_setup(args);
    int r = hyp_setup_plan(&options, model, machine, ret, err);
    if (r == HYP_OK && (*ret)->expert_uses != NULL) hyp_machine_note(machine, "the routing is that of earlier runs");
    return r;
}

static void print_warning(const char *line, void *user) {
    (void)user;
    hyp_terminal_start_note();
    fprintf(stderr, "warning: %s\n", line);
}

hyp_engine_config hyp_machine_engine_config(const hyp_args *args) {
    hyp_engine_config config = args->engine;
    config.mirrors = args->mirror.items;
    config.n_mirrors = args->mirror.n;
    config.warn = print_warning;
    return config;
}

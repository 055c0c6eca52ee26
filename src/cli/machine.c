#include "cli/machine.h"

#include "base/mem.h"
#include "cli/progress.h"
#include "cli/terminal.h"

#include <string.h>

/* The number of `word` among `names(0..n-1)`: the option table has checked that it is one of them.
 * 0 without a word. */
static int index_of(const char *word, const char *(*name)(int), int n) {
    for (int i = 0; i < n && word != NULL; i++)
        if (strcmp(word, name(i)) == 0) return i;
    return 0;
}
static const char *policy_name(int i) {
    return hyp_policy_name((hyp_policy_kind)i);
}
static const char *mode_name(int i) {
    return hyp_mode_name((hyp_mode)i);
}
static const char *io_name(int i) {
    return hyp_io_backend_name((hyp_io_backend)i);
}

static void tell_measuring(void) {
    fputs("measuring this machine for the first time, about two seconds; what is found is kept\n", stderr);
}

hyp_device_choice hyp_machine_devices(const hyp_args *args) {
    return (hyp_device_choice){
        .names = args->device.items, .n_names = args->device.n, .servers = args->rpc.items, .n_servers = args->rpc.n};
}

static hyp_plan_request make_request(const hyp_args *args) {
    return (hyp_plan_request){.mode = (hyp_mode)index_of(args->mode, mode_name, HYP_N_MODES),
                              .ram_bytes = args->ram_bytes,
                              .vram_bytes = args->vram_bytes,
                              .context_tokens = (uint32_t)args->context_tokens,
                              .n_parallel = (uint32_t)args->parallel,
                              .batch_tokens = (uint32_t)args->batch_tokens,
                              .prompt_tokens = (uint32_t)args->prompt_tokens,
                              .no_repack = args->no_repack};
}

hyp_setup_options hyp_machine_setup(const hyp_args *args) {
    return (hyp_setup_options){.wishes = make_request(args),
                               .machine = {.devices = hyp_machine_devices(args),
                                           .look = HYP_LOOK_NEEDED,
                                           .threads = args->threads,
                                           .measuring = args->quiet ? NULL : tell_measuring},
                               .no_memory = args->no_memory};
}

int hyp_machine_get(const hyp_args *args, const hyp_model *model, bool may_measure, hyp_machine *ret, hyp_err *err) {
    bool imagined = args->ram_bytes > 0 && args->disk_rate_bytes > 0 && args->cpu_rate_bytes > 0;
    bool shown = may_measure && !imagined && !args->quiet && isatty(STDERR_FILENO);
    hyp_machine_wishes wishes = hyp_machine_setup(args).machine;
    wishes.look = imagined ? HYP_LOOK_NOWHERE : may_measure ? HYP_LOOK_MEASURED : HYP_LOOK_KEPT;
    wishes.what_if = true;
    wishes.vram_bytes = args->vram_bytes;
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

hyp_io_config hyp_machine_io(const hyp_args *args) {
    return (hyp_io_config){.backend = (hyp_io_backend)index_of(args->io_backend, io_name, HYP_IO_PLAIN + 1),
                           .depth = (uint32_t)args->io_depth};
}

hyp_engine_config hyp_machine_engine_config(const hyp_args *args) {
    return (hyp_engine_config){
        .threads = args->threads,
        .policy = (hyp_policy_kind)index_of(args->policy, policy_name, HYP_N_POLICIES),
        .no_prefetch = args->no_prefetch,
        .no_memory = args->no_memory,
        .mirrors = args->mirror.items,
        .n_mirrors = args->mirror.n,
        .warn = print_warning,
        .io = hyp_machine_io(args),
        .sidecar_path = args->sidecar,
        .no_sidecar = args->no_sidecar,
    };
}

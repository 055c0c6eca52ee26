#include "cli/machine.h"

#include "base/mem.h"
#include "base/text.h"
#include "cli/progress.h"
#include "engine/runtime.h"

#include <string.h>

static int measured(const hyp_args *args, const hyp_model *model, bool may_measure, hyp_machine *ret, hyp_err *err) {
    bool shown = may_measure && !args->quiet && isatty(STDERR_FILENO);
    hyp_profile_request request = {.path = model->files[0].path,
                                   .cached_only = !may_measure,
                                   .threads = args->threads,
                                   .types = hyp_devices_types(model),
                                   .progress = hyp_progress_show_step,
                                   .user = &shown};
    hyp_profile *profile = calloc(1, sizeof *profile);
    if (profile == NULL) return hyp_err_set(err, HYP_ENOMEM, "no memory for a profile");
    int r = hyp_runtime_start(err);
    if (r == HYP_OK) r = hyp_profile_load_or_measure(&request, profile, err);
    if (shown) fputs("\r\033[K", stderr);
    if (r == HYP_OK) {
        ret->hardware = profile->hardware;
        ret->machine_source = profile->machine_source;
        ret->disk_source = profile->disk_source;
        ret->n_points = profile->disk.n_points;
        memcpy(ret->points, profile->disk.points, profile->disk.n_points * sizeof *ret->points);
    }
    free(profile);
    return r;
}

/* "gpu:24G:900G": a device that is not there. */
static bool imagine_device(const char *text, hyp_device *ret) {
    char copy[128];
    if (strlen(text) >= sizeof copy) return false;
    strcpy(copy, text);
    char *memory = strchr(copy, ':'), *rate = memory != NULL ? strchr(memory + 1, ':') : NULL;
    if (rate == NULL) return false;
    *memory++ = *rate++ = '\0';
    uint64_t bytes, per_s;
    if (hyp_text_parse_size(memory, &bytes) != HYP_OK || hyp_text_parse_size(rate, &per_s) != HYP_OK || per_s == 0)
        return false;
    /* A GPU computes some 60 operations for each byte it can read in the same time; PCIe and launching cost the rest. */
    *ret = (hyp_device){.kind = HYP_DEVICE_GPU,
                        .total_bytes = bytes,
                        .free_bytes = bytes,
                        .weight_bytes_per_s = (double)per_s,
                        .flop_per_s = 60 * (double)per_s,
                        .copy_bytes_per_s = 10e9,
                        .hop_s = 5e-5};
    snprintf(ret->name, sizeof ret->name, "%s", copy);
    return true;
}

static int choose_devices(const hyp_args *args, hyp_hardware *hw, hyp_err *err) {
    hyp_device chosen[HYP_HARDWARE_MAX_DEVICES];
    size_t n = 0;
    if (args->device.n == 0) return hyp_devices_choose(&(hyp_device_choice){0}, hw, err);
    for (size_t i = 0; i < args->device.n && n < HYP_HARDWARE_MAX_DEVICES; i++) {
        const char *name = args->device.items[i];
        bool found = strcmp(name, "none") == 0;
        if (imagine_device(name, &chosen[n])) found = true, n++;
        for (size_t d = 0; d < hw->n_devices && !found; d++)
            if (strcmp(hw->devices[d].name, name) == 0) chosen[n++] = hw->devices[d], found = true;
        if (found) continue;
        hyp_err_set(err, HYP_EINVAL, "there is no device \"%s\"", name);
        hyp_err_hint(err, "\"hypura profile\" lists them; one that is not there is written "
                          "NAME:MEMORY:BYTES_PER_SECOND, as in gpu:24G:900G");
        return HYP_EINVAL;
    }
    memcpy(hw->devices, chosen, n * sizeof *chosen);
    hw->n_devices = n;
    return HYP_OK;
}

/* One figure for every type: weights are read at that rate, and computed with at ten operations a byte. */
static void imagine_cpu(double bytes_per_s, hyp_hardware *hw) {
    hw->n_rates = 1;
    hw->rates[0] = (hyp_weight_rate){.decode_bytes_per_s = bytes_per_s,
                                     .repacked_bytes_per_s = bytes_per_s,
                                     .decode_cached_bytes_per_s = bytes_per_s,
                                     .repacked_cached_bytes_per_s = bytes_per_s,
                                     .prefill_flop_per_s = 10 * bytes_per_s,
                                     .repacked_flop_per_s = 10 * bytes_per_s};
    hw->memory_bytes_per_s = bytes_per_s;
}

int hyp_machine_get(const hyp_args *args, const hyp_model *model, bool may_measure, hyp_machine *ret, hyp_err *err) {
    hyp_machine machine = {.imagined = args->ram_bytes > 0 && args->disk_rate_bytes > 0 && args->cpu_rate_bytes > 0};
    int r = HYP_OK;
    if (machine.imagined)
        hyp_hardware_default(&machine.hardware);
    else
        r = measured(args, model, may_measure, &machine, err);
    if (r != HYP_OK) return r;
    hyp_hardware *hw = &machine.hardware;
    if (args->ram_bytes > 0) hw->ram_budget_bytes = args->ram_bytes;
    if (args->cpu_rate_bytes > 0) imagine_cpu((double)args->cpu_rate_bytes, hw);
    if (args->disk_rate_bytes > 0) {
        double share = hw->disk_fault_bytes_per_s / hw->disk_bytes_per_s;
        hw->disk_bytes_per_s = (double)args->disk_rate_bytes;
        hw->disk_fault_bytes_per_s = hw->disk_bytes_per_s * HYP_MIN(share, 1.0);
        machine.n_points = 0;
    }
    r = choose_devices(args, hw, err);
    if (r == HYP_OK) *ret = machine;
    return r;
}

static void tell_measuring(void) {
    fputs("measuring this machine for the first time, about two seconds; what is found is kept\n", stderr);
}

hyp_device_choice hyp_machine_devices(const hyp_args *args) {
    return (hyp_device_choice){.names = args->device.items,
                               .n_names = args->device.n,
                               .servers = args->rpc.items,
                               .n_servers = args->rpc.n,
                               .measuring = args->quiet ? NULL : tell_measuring};
}

hyp_plan_request hyp_machine_request(const hyp_args *args) {
    hyp_plan_request request = {.ram_bytes = args->ram_bytes,
                                .vram_bytes = args->vram_bytes,
                                .context_tokens = (uint32_t)args->context_tokens,
                                .batch_tokens = (uint32_t)args->batch_tokens,
                                .prompt_tokens = (uint32_t)args->prompt_tokens,
                                .swa_full = hyp_engine_keeps_whole_windows(),
                                .no_repack = args->no_repack};
    for (int m = 0; m < HYP_N_MODES && args->mode != NULL; m++)
        if (strcmp(args->mode, hyp_mode_name((hyp_mode)m)) == 0) request.mode = (hyp_mode)m;
    return request;
}

/* The number of `word` among `names(0..n-1)`: the option table has checked that it is one of them. */
static int index_of(const char *word, const char *(*name)(int), int n) {
    for (int i = 0; i < n; i++)
        if (strcmp(word, name(i)) == 0) return i;
    return 0;
}
static const char *mode_name(int i) {
    return hyp_mode_name((hyp_mode)i);
}
static const char *policy_name(int i) {
    return hyp_policy_name((hyp_policy_kind)i);
}
static const char *io_name(int i) {
    return hyp_io_backend_name((hyp_io_backend)i);
}

/* On a line of its own, though progress or an answer may stand on the terminal's. */
static void print_warning(const char *line, void *user) {
    (void)user;
    fprintf(stderr, "%swarning: %s\n", isatty(STDERR_FILENO) ? "\r\033[K" : "", line);
}

hyp_io_config hyp_machine_io(const hyp_args *args) {
    return (hyp_io_config){.backend = (hyp_io_backend)index_of(args->io_backend, io_name, HYP_IO_PLAIN + 1),
                           .depth = (uint32_t)args->io_depth};
}

hyp_engine_config hyp_machine_engine_config(const hyp_args *args, const hyp_device_choice *devices) {
    return (hyp_engine_config){
        .batch_tokens = (uint32_t)args->batch_tokens,
        .threads = args->threads,
        .no_repack = args->no_repack,
        .ram_bytes = args->ram_bytes,
        .vram_bytes = args->vram_bytes,
        .devices = devices,
        .mode = (hyp_mode)index_of(args->mode, mode_name, HYP_N_MODES),
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

#include "cli/machine.h"

#include "base/mem.h"
#include "base/text.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "engine/rpc.h"
#include "engine/runtime.h"

#include <stdarg.h>
#include <string.h>

static void note(hyp_machine *machine, const char *format, ...) HYP_PRINTF(2, 3);
static void note(hyp_machine *machine, const char *format, ...) {
    va_list args;
    if (machine->n_notes == HYP_MACHINE_MAX_NOTES) return;
    va_start(args, format);
    vsnprintf(machine->notes[machine->n_notes++], sizeof machine->notes[0], format, args);
    va_end(args);
}

static int measured(const hyp_args *args, const hyp_model *model, bool may_measure, hyp_machine *ret, hyp_err *err) {
    bool shown = may_measure && !args->quiet && isatty(STDERR_FILENO);
    hyp_profile_request request = {.path = model->files[0].path,
                                   .cached_only = !may_measure,
                                   .threads = args->engine.threads,
                                   .types = hyp_devices_types(model),
                                   .progress = hyp_progress_show_step,
                                   .user = &shown};
    hyp_profile *profile = calloc(1, sizeof *profile);
    if (profile == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for a profile");
    int r = hyp_runtime_start(err);
    if (r == HYP_OK) r = hyp_profile_load_or_measure(&request, profile, err);
    if (shown) hyp_terminal_show_line("");
    if (r == HYP_OK) {
        ret->hardware = profile->hardware;
        ret->machine_source = profile->machine_source;
        ret->disk_source = profile->disk_source;
        ret->n_points = profile->disk.n_points;
        memcpy(ret->points, profile->disk.points, profile->disk.n_points * sizeof *ret->points);
        if (profile->machine_disturbed)
            note(ret, "other programs used the processors while they were measured, so these are rough; "
                      "\"hypura profile --force\" measures again");
    }
    free(profile);
    return r;
}

/* --- devices that are not there --- */

static void note_assumed(hyp_machine *machine, const hyp_device *d, bool rate_given) {
    char memory[24], rate[40];
    snprintf(rate, sizeof rate, "%.4g GB/s of weights", d->weight_bytes_per_s * 1e-9);
    note(machine, "%s is not there: %s%s%s as asked for; assumed are %s%s%.3g TFLOP/s and %.3g GB/s to it", d->name,
         hyp_text_format_bytes(d->total_bytes, memory, sizeof memory), rate_given ? " and " : "",
         rate_given ? rate : "", rate_given ? "" : rate, rate_given ? "" : ", ", d->flop_per_s * 1e-12,
         d->copy_bytes_per_s * 1e-9);
}

static void note_remote(hyp_machine *machine, const hyp_device *d) {
    char memory[24];
    note(machine, "%s is %s: %s free, measured %.3g GB/s of weights, %.3g GB/s and %.3g ms there and back", d->name,
         d->description, hyp_text_format_bytes(d->free_bytes, memory, sizeof memory), d->weight_bytes_per_s * 1e-9,
         d->copy_bytes_per_s * 1e-9, 1e3 * d->hop_s);
}

/* "gpu:24G:900G" or "pc:64G:20G:remote": NAME:MEMORY[:BYTES_PER_SECOND[:KIND]]. False: it describes nothing. */
static bool imagine_device(const char *text, hyp_device *ret, bool *ret_rate_given) {
    char copy[128], *parts[4] = {copy};
    size_t n = 1;
    uint64_t bytes = 0, per_s = 0;
    int kind = HYP_DEVICE_GPU;
    if (strlen(text) >= sizeof copy) return false;
    strcpy(copy, text);
    for (char *at = strchr(copy, ':'); at != NULL; at = strchr(at, ':')) {
        if (n == HYP_ARRAY_LEN(parts)) return false;
        *at++ = '\0';
        parts[n++] = at;
    }
    if (n < 2 || copy[0] == '\0' || hyp_text_parse_size(parts[1], &bytes) != HYP_OK || bytes == 0) return false;
    if (n > 2 && (hyp_text_parse_size(parts[2], &per_s) != HYP_OK || per_s == 0)) return false;
    if (n > 3)
        for (kind = 0; kind < HYP_N_DEVICE_KINDS; kind++)
            if (strcmp(parts[3], hyp_device_kind_name((hyp_device_kind)kind)) == 0) break;
    if (kind == HYP_N_DEVICE_KINDS) return false;
    hyp_hardware_assume_device(copy, (hyp_device_kind)kind, bytes, (double)per_s, ret);
    *ret_rate_given = n > 2;
    return true;
}

static int no_such_device(const char *name, hyp_err *err) {
    hyp_err_set(err, HYP_EINVAL, "there is no device \"%s\"", name);
    hyp_err_hint(err, "\"hypura profile\" lists them; one that is not there is written "
                      "NAME:MEMORY[:BYTES_PER_SECOND[:gpu|unified|remote]], as in gpu:24G:900G");
    return HYP_EINVAL;
}

/* --vram: what a device that is there shall have. */
static void use_vram(const hyp_args *args, hyp_machine *machine, hyp_device *device) {
    char asked[24], there[24];
    if (device->free_bytes >= args->wishes.vram_bytes) return;
    note(machine, "%s has %s free, not the %s asked for", device->name,
         hyp_text_format_bytes(device->free_bytes, there, sizeof there),
         hyp_text_format_bytes(args->wishes.vram_bytes, asked, sizeof asked));
    device->free_bytes = args->wishes.vram_bytes;
    device->total_bytes = HYP_MAX(device->total_bytes, args->wishes.vram_bytes);
}

/* The devices that --device names and describes, in its order. */
static int name_devices(const hyp_args *args, hyp_machine *machine, hyp_err *err) {
    hyp_hardware *hw = &machine->hardware;
    hyp_device chosen[HYP_HARDWARE_MAX_DEVICES] = {0};
    size_t n = 0;
    for (size_t i = 0; i < args->device.n && n < HYP_HARDWARE_MAX_DEVICES; i++) {
        const char *name = args->device.items[i];
        bool found = strcmp(name, "none") == 0, rate_given = false;
        for (size_t d = 0; d < hw->n_devices && !found; d++) {
            if (strcmp(hw->devices[d].name, name) != 0) continue;
            chosen[n] = hw->devices[d];
            use_vram(args, machine, &chosen[n++]);
            found = true;
        }
        if (!found && imagine_device(name, &chosen[n], &rate_given)) {
            note_assumed(machine, &chosen[n++], rate_given);
            found = true;
        }
        if (!found) return no_such_device(name, err);
    }
    memcpy(hw->devices, chosen, n * sizeof *chosen);
    hw->n_devices = n;
    return HYP_OK;
}

/* Every real device; with --vram, and none, a GPU of that size. */
static int default_devices(const hyp_args *args, hyp_machine *machine, hyp_err *err) {
    hyp_hardware *hw = &machine->hardware;
    int r = hyp_devices_choose(&(hyp_device_choice){0}, hw, err);
    for (size_t d = 0; d < hw->n_devices; d++)
        use_vram(args, machine, &hw->devices[d]);
    if (r != HYP_OK || hw->n_devices > 0 || args->wishes.vram_bytes == 0 || args->rpc.n > 0) return r;
    hyp_hardware_assume_device("GPU", HYP_DEVICE_GPU, args->wishes.vram_bytes, 0, &hw->devices[hw->n_devices++]);
    note_assumed(machine, &hw->devices[0], false);
    note(machine, "--device NAME:MEMORY:BYTES_PER_SECOND describes another one, --device none plans without");
    return HYP_OK;
}

static int choose_devices(const hyp_args *args, hyp_machine *machine, hyp_err *err) {
    const hyp_device_choice choice = hyp_machine_devices(args);
    hyp_hardware *hw = &machine->hardware;
    int r = args->device.n > 0 ? name_devices(args, machine, err) : default_devices(args, machine, err);
    if (r != HYP_OK) return r;
    size_t n_local = hw->n_devices;
    if (args->rpc.n > 0 && machine->imagined) r = hyp_runtime_start(err);
    if (r == HYP_OK) r = hyp_devices_add_remote(&choice, hw, err);
    for (size_t d = n_local; r == HYP_OK && d < hw->n_devices; d++)
        note_remote(machine, &hw->devices[d]);
    return r;
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

/* Is a server of --rpc there and of the right version? For hyp_devices_each_server(), which is called before the
 * seconds of measuring this machine: a wrong address should not cost them. Waits up to 3 s. */
static int probe_server(const char *address, void *user, hyp_err *err) {
    (void)user;
    return hyp_rpc_probe(address, 3, err);
}

int hyp_machine_get(const hyp_args *args, const hyp_model *model, bool may_measure, hyp_machine *ret, hyp_err *err) {
    hyp_machine machine = {.imagined =
                               args->wishes.ram_bytes > 0 && args->disk_rate_bytes > 0 && args->cpu_rate_bytes > 0};
    const hyp_device_choice choice = hyp_machine_devices(args);
    int r = hyp_devices_each_server(&choice, probe_server, NULL, err);
    if (r == HYP_OK && machine.imagined)
        hyp_hardware_default(&machine.hardware);
    else if (r == HYP_OK)
        r = measured(args, model, may_measure, &machine, err);
    if (r != HYP_OK) return r;
    hyp_hardware *hw = &machine.hardware;
    if (args->wishes.ram_bytes > 0) hw->ram_budget_bytes = args->wishes.ram_bytes;
    if (args->cpu_rate_bytes > 0) imagine_cpu((double)args->cpu_rate_bytes, hw);
    if (args->disk_rate_bytes > 0) {
        double share = hw->disk_fault_bytes_per_s / hw->disk_bytes_per_s;
        hw->disk_bytes_per_s = (double)args->disk_rate_bytes;
        hw->disk_fault_bytes_per_s = hw->disk_bytes_per_s * HYP_MIN(share, 1.0);
        machine.n_points = 0;
    }
    r = choose_devices(args, &machine, err);
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
    hyp_plan_request request = args->wishes;
    request.prompt_tokens = (uint32_t)args->prompt_tokens;
    request.swa_full = hyp_engine_keeps_whole_windows();
    return request;
}

hyp_setup_options hyp_machine_setup(const hyp_args *args) {
    return (hyp_setup_options){.wishes = hyp_machine_request(args),
                               .devices = hyp_machine_devices(args),
                               .threads = args->engine.threads,
                               .no_memory = args->engine.no_memory};
}

int hyp_machine_plan(const hyp_args *args, const hyp_model *model, hyp_machine *machine, hyp_plan **ret, hyp_err *err) {
    hyp_setup_options options = hyp_machine_setup(args);
    options.no_memory = options.no_memory || machine->imagined;
    int r = hyp_setup_plan(&options, model, &machine->hardware, ret, err);
    if (r == HYP_OK && (*ret)->expert_uses != NULL) note(machine, "the routing is that of earlier runs");
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

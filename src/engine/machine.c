#include "engine/machine.h"

#include "base/mem.h"
#include "base/text.h"
#include "engine/rpc.h"
#include "engine/runtime.h"
#include "gguf/model.h"
#include "hw/memory.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* How long a server may take to answer before this machine is measured for seconds. */
static const double KNOCK_S = 3;

void hyp_machine_note(hyp_machine *machine, const char *format, ...) {
    va_list args;
    if (machine->n_notes == HYP_MACHINE_MAX_NOTES) return;
    va_start(args, format);
    vsnprintf(machine->notes[machine->n_notes++], sizeof machine->notes[0], format, args);
    va_end(args);
}

/* --- this machine --- */

static int knock(const char *address, void *user, hyp_err *err) {
    (void)user;
    return hyp_rpc_probe(address, KNOCK_S, err);
}

/* Without a device every tensor computes on the CPU, however fast that is: its rates decide nothing. */
static bool devices_matter(const hyp_device_choice *choice, const hyp_hardware *hardware) {
    hyp_hardware copy = *hardware;
    return choice->n_servers > 0 || (hyp_devices_choose(choice, &copy, NULL) == HYP_OK && copy.n_devices > 0);
}

static int load_profile(const hyp_machine_wishes *w, const hyp_model *model, hyp_profile *ret, hyp_err *err) {
    hyp_profile_request request = {.path = model->files[0].path,
                                   .cached_only = w->look != HYP_LOOK_MEASURED,
                                   .quick = w->look == HYP_LOOK_NEEDED,
                                   .threads = w->threads,
                                   .types = hyp_devices_types(model),
                                   .progress = w->look == HYP_LOOK_MEASURED ? w->progress : NULL,
                                   .user = w->user};
    int r = hyp_profile_load_or_measure(&request, ret, err);
    if (r != HYP_OK || w->look != HYP_LOOK_NEEDED || ret->machine_source != HYP_PROFILE_DEFAULT ||
        !devices_matter(&w->devices, &ret->hardware))
        return r;
    request.cached_only = false;
    if (w->measuring != NULL) w->measuring();
    return hyp_profile_load_or_measure(&request, ret, err);
}

static int look_here(const hyp_machine_wishes *w, const hyp_model *model, hyp_machine *m, hyp_err *err) {
    hyp_profile *profile = calloc(1, sizeof *profile);
    if (profile == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    int r = hyp_runtime_start(err);
    if (r == HYP_OK) r = load_profile(w, model, profile, err);
    if (r == HYP_OK) {
        m->hardware = profile->hardware;
        m->machine_source = profile->machine_source;
        m->disk_source = profile->disk_source;
        m->n_points = profile->disk.n_points;
        memcpy(m->points, profile->disk.points, profile->disk.n_points * sizeof *m->points);
        if (profile->machine_disturbed)
            hyp_machine_note(m, "other programs used the processors while they were measured, so these are rough; "
                                "\"hypura profile --force\" measures again");
    }
    free(profile);
    return r;
}

/* Measuring takes seconds, and reaching servers may: what is free is looked at last. */
static int look_at_memory(hyp_machine *m, hyp_err *err) {
    hyp_memory memory;
    int r = hyp_memory_probe(&memory, err);
    if (r != HYP_OK) return r;
    m->hardware.ram_available_bytes = memory.available_bytes;
    m->hardware.ram_budget_bytes = hyp_memory_budget(&memory);
    return HYP_OK;
}

/* --- what is not there --- */

static void note_assumed(hyp_machine *machine, const hyp_device *d, bool rate_given) {
    char memory[24], rate[40];
    snprintf(rate, sizeof rate, "%.4g GB/s of weights", d->weight_bytes_per_s * 1e-9);
    hyp_machine_note(machine, "%s is not there: %s%s%s as asked for; assumed are %s%s%.3g TFLOP/s and %.3g GB/s to it",
                     d->name, hyp_text_format_bytes(d->total_bytes, memory, sizeof memory), rate_given ? " and " : "",
                     rate_given ? rate : "", rate_given ? "" : rate, rate_given ? "" : ", ", d->flop_per_s * 1e-12,
                     d->copy_bytes_per_s * 1e-9);
}

static void note_remote(hyp_machine *machine, const hyp_device *d) {
    char memory[24];
    hyp_machine_note(machine, "%s is %s: %s free, measured %.3g GB/s of weights, %.3g GB/s and %.3g ms there and back",
                     d->name, d->description, hyp_text_format_bytes(d->free_bytes, memory, sizeof memory),
                     d->weight_bytes_per_s * 1e-9, d->copy_bytes_per_s * 1e-9, 1e3 * d->hop_s);
}

/* "gpu:24G:900G" or "pc:64G:20G:remote": NAME:MEMORY[:BYTES_PER_SECOND[:KIND]]. False: it describes nothing. */
static bool imagine_device(const char *text, hyp_device *ret, void *user) {
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
    note_assumed(user, ret, n > 2);
    return true;
}

/* What a device that is there shall have. */
static void use_vram(uint64_t vram_bytes, hyp_machine *machine, hyp_device *device) {
    char asked[24], there[24];
    if (device->assumed || device->free_bytes >= vram_bytes) return;
    hyp_machine_note(machine, "%s has %s free, not the %s asked for", device->name,
                     hyp_text_format_bytes(device->free_bytes, there, sizeof there),
                     hyp_text_format_bytes(vram_bytes, asked, sizeof asked));
    device->free_bytes = vram_bytes;
    device->total_bytes = HYP_MAX(device->total_bytes, vram_bytes);
}

static void assume_gpu(uint64_t bytes, hyp_machine *machine) {
    hyp_hardware *hw = &machine->hardware;
    hyp_hardware_assume_device("GPU", HYP_DEVICE_GPU, bytes, 0, &hw->devices[hw->n_devices++]);
    note_assumed(machine, &hw->devices[0], false);
    hyp_machine_note(machine,
                     "--device NAME:MEMORY:BYTES_PER_SECOND describes another one, --device none plans without");
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

static void imagine_disk(double bytes_per_s, hyp_machine *machine) {
    hyp_hardware *hw = &machine->hardware;
    double share = hw->disk_fault_bytes_per_s / hw->disk_bytes_per_s;
    hw->disk_bytes_per_s = bytes_per_s;
    hw->disk_fault_bytes_per_s = bytes_per_s * HYP_MIN(share, 1.0);
    machine->n_points = 0;
}

/* --- put together --- */

static int choose_devices(const hyp_machine_wishes *w, hyp_machine *m, hyp_err *err) {
    hyp_device_choice choice = w->devices;
    hyp_hardware *hw = &m->hardware;
    if (w->what_if) choice.imagine = imagine_device, choice.user = m;
    int r = hyp_devices_choose(&choice, hw, err);
    if (r != HYP_OK) return r;
    for (size_t d = 0; d < hw->n_devices && w->what_if; d++)
        use_vram(w->vram_bytes, m, &hw->devices[d]);
    if (w->what_if && w->vram_bytes > 0 && hw->n_devices == 0 && choice.n_names == 0 && choice.n_servers == 0)
        assume_gpu(w->vram_bytes, m);
    size_t n_local = hw->n_devices;
    if (choice.n_servers > 0) r = hyp_runtime_start(err);
    if (r == HYP_OK) r = hyp_devices_add_remote(&choice, hw, err);
    for (size_t d = n_local; r == HYP_OK && d < hw->n_devices; d++)
        note_remote(m, &hw->devices[d]);
    return r;
}

int hyp_machine_look(const hyp_machine_wishes *w, const hyp_model *model, hyp_machine *ret, hyp_err *err) {
    hyp_machine m = {.imagined = w->look == HYP_LOOK_NOWHERE};
    /* A server that is not there is said before this machine is measured for seconds. */
    int r = hyp_devices_each_server(&w->devices, knock, NULL, err);
    if (r == HYP_OK && m.imagined)
        hyp_hardware_default(&m.hardware);
    else if (r == HYP_OK)
        r = look_here(w, model, &m, err);
    if (r != HYP_OK) return r;
    if (w->what_if && w->cpu_bytes_per_s > 0) imagine_cpu((double)w->cpu_bytes_per_s, &m.hardware);
    if (w->what_if && w->disk_bytes_per_s > 0) imagine_disk((double)w->disk_bytes_per_s, &m);
    r = choose_devices(w, &m, err);
    if (r == HYP_OK && !m.imagined) r = look_at_memory(&m, err);
    if (r == HYP_OK) *ret = m;
    return r;
}

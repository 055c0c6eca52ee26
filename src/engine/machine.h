/* machine.h - the machine that is planned for: this one as it is now, or what the user says of another. */
#pragma once
#include "engine/devices.h"
#include "hw/profile.h"

enum { HYP_MACHINE_MAX_NOTES = 2 * HYP_HARDWARE_MAX_DEVICES };

/* How closely this machine is looked at. */
typedef enum hyp_look {
    HYP_LOOK_KEPT,     /* what earlier looks measured, else assumed rates */
    HYP_LOOK_NEEDED,   /* the same; but with devices to choose between it is measured in a hurry, the first time */
    HYP_LOOK_MEASURED, /* what is not kept is measured: a few seconds, the first time */
    HYP_LOOK_NOWHERE,  /* not at all: whoever asks imagines all that matters, and gets the same answer everywhere */
} hyp_look;

typedef struct hyp_machine_wishes {
    hyp_device_choice devices;
    hyp_look look;
    int threads; /* of the computation; 0 = one a core */
    /* Plans of what would be: `devices` may describe one that is not there as NAME:MEMORY[:BYTES_PER_SECOND[:KIND]],
     * and the figures below, where they are not 0, replace what is there. An engine runs on what is there. */
    bool what_if;
    uint64_t vram_bytes; /* of each local device; without any, of a GPU that is not there */
    uint64_t disk_bytes_per_s, cpu_bytes_per_s;
    /* Called before this machine is measured in a hurry, and between the measurements of HYP_LOOK_MEASURED (false
     * cancels). Both may be NULL. */
    void (*measuring)(void);
    bool (*progress)(double share, const char *what, void *user);
    void *user;
} hyp_machine_wishes;

typedef struct hyp_machine {
    hyp_hardware hardware;
    hyp_profile_source machine_source, disk_source; /* how its rates are known */
    /* How its disk reads, by size and depth; of an imagined disk nothing. */
    hyp_probe_point points[HYP_PROFILE_MAX_POINTS];
    size_t n_points;
    bool imagined; /* HYP_LOOK_NOWHERE */
    /* Devices that were made up, and those of other machines: a sentence each, for whoever reads the plan. */
    char notes[HYP_MACHINE_MAX_NOTES][240];
    size_t n_notes;
} hyp_machine;

/* The one look at a machine: its rates from the profile, the devices of `wishes` (chosen here and nowhere else), and
 * the memory that is available now. `model` names the disk and the types of weights that matter. Starts the runtime
 * unless nothing of it is needed. Servers are reached and measured, and may end the process: call it supervised
 * (cli/supervise.h). One thread at a time. Errors: HYP_EINVAL (an unknown device), HYP_EIO (memory unknown), HYP_ELIMIT
 * (too many devices), those of the profile and of hyp_rpc_add(). */
HYP_NODISCARD int hyp_machine_look(const hyp_machine_wishes *wishes, const hyp_model *model, hyp_machine *ret,
                                   hyp_err *err);

/* Add a sentence to the notes; one too many is dropped. */
void hyp_machine_note(hyp_machine *machine, const char *format, ...) HYP_PRINTF(2, 3);

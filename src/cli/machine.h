/* machine.h - the machine that a command plans for: the measured one, changed by what the user says of another. */
#pragma once
#include "cli/args.h"
#include "engine/devices.h"
#include "engine/engine.h"
#include "engine/setup.h"
#include "gguf/model.h"
#include "hw/profile.h"
#include "plan/plan.h"

enum { HYP_MACHINE_MAX_NOTES = 2 * HYP_HARDWARE_MAX_DEVICES };

typedef struct hyp_machine {
    hyp_hardware hardware;
    hyp_profile_source machine_source, disk_source; /* how its rates are known */
    hyp_probe_point
        points[HYP_PROFILE_MAX_POINTS]; /* how its disk reads, by size and depth; of an imagined disk nothing */
    size_t n_points;
    bool imagined; /* everything that matters was given on the command line */
    /* Devices that were made up, and those of other machines: a sentence each, for whoever reads the plan. */
    char notes[HYP_MACHINE_MAX_NOTES][240];
    size_t n_notes;
} hyp_machine;

/* Load or measure the profile (`may_measure`: with a progress line, a few seconds the first time), then apply --ram,
 * --vram,
 * --device, --rpc, --disk-rate and --cpu-rate. When --ram, --disk-rate and --cpu-rate are all there nothing is looked
 * up here: the answer is the same on every machine. `--device` names devices to use ("none": no device), or describes
 * one that is not there as NAME:MEMORY[:BYTES_PER_SECOND[:KIND]]. --vram is the memory of each device, and without any
 * the memory of a GPU that is not there. Servers of --rpc are reached and measured, and may end the process: call it
 * supervised (supervise.h). Errors: HYP_EINVAL (an unknown device), and those of the profile and of
 * hyp_devices_add_remote(). */
HYP_NODISCARD int hyp_machine_get(const hyp_args *args, const hyp_model *model, bool may_measure, hyp_machine *ret,
                                  hyp_err *err);

/* The devices that --device and --rpc name. It refers to `args`. */
hyp_device_choice hyp_machine_devices(const hyp_args *args);

/* What the options wish of a plan. */
hyp_plan_request hyp_machine_request(const hyp_args *args);

/* How a model is to be set up (setup.h) by the options that every command shares. It refers to `args`. */
hyp_setup_options hyp_machine_setup(const hyp_args *args);

/* Plan `model` on `machine` as `run` would, with what earlier runs learned of its routing, and a note in `machine` that
 * says so; not of an imagined machine, nor where --no-memory is given. Errors: those of hyp_setup_plan(). */
HYP_NODISCARD int hyp_machine_plan(const hyp_args *args, const hyp_model *model, hyp_machine *machine, hyp_plan **ret,
                                   hyp_err *err);

/* How an engine is to be opened by the options that `run` and `serve` share. The model, its setup, the context,
 * progress and what only one of them takes are the caller's to add. Warnings go to standard error. Pure. */
hyp_engine_config hyp_machine_engine_config(const hyp_args *args);

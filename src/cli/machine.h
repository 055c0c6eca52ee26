/* machine.h - what the options say of machine, plan and engine. */
#pragma once
#include "cli/args.h"
#include "engine/engine.h"
#include "engine/setup.h"

/* Look at the machine that a plan is asked for: this one (`may_measure`: with a progress line, a few seconds the first
 * time), changed by --ram, --vram, --device, --rpc, --disk-rate and --cpu-rate. When --ram, --disk-rate and --cpu-rate
 * are all there nothing is looked up here: the answer is the same on every machine. `--device` names devices to use
 * ("none": no device), or describes one that is not there as NAME:MEMORY[:BYTES_PER_SECOND[:KIND]]. --vram is the
 * memory of each device, and without any the memory of a GPU that is not there. Errors: those of hyp_machine_look(). */
HYP_NODISCARD int hyp_machine_get(const hyp_args *args, const hyp_model *model, bool may_measure, hyp_machine *ret,
                                  hyp_err *err);

/* The devices that --device and --rpc name. It refers to `args`. */
hyp_device_choice hyp_machine_devices(const hyp_args *args);

/* How a model is to be set up (setup.h) by the options that every command shares, on this machine as it is. It refers
 * to `args`. */
hyp_setup_options hyp_machine_setup(const hyp_args *args);

/* Plan `model` on `machine` as `run` would, and say in its notes when the routing is that of earlier runs. Errors:
 * those of hyp_setup_plan(). */
HYP_NODISCARD int hyp_machine_plan(const hyp_args *args, const hyp_model *model, hyp_machine *machine, hyp_plan **ret,
                                   hyp_err *err);

/* How an engine is to be opened by the options that `run` and `serve` share. The model, its setup, progress
 * and what only one of them takes are the caller's to add. Warnings go to standard error. Pure. */
hyp_engine_config hyp_machine_engine_config(const hyp_args *args);

/* supervise.h - a command that may die with a remote machine runs in a child process, watched by this one. */
#pragma once
#include "cli/args.h"
#include "engine/devices.h"

/* Go on in a child: returns -1 there. The parent waits, passes SIGINT, SIGTERM and SIGHUP on, and returns the child's
 * exit status; when the child was aborted because a server of `servers` went away, HYP_EXIT_FAILED with `err` filled.
 * With `restart` the parent then prints that error and starts a new child instead, after a second where the old one
 * lived no longer. Call before any thread is started. */
int hyp_supervise(const hyp_device_choice *servers, bool restart, hyp_err *err);

/* hyp_supervise() where --rpc is given, without restarting; -1, in this very process, where it is not. */
int hyp_supervise_if_remote(const hyp_args *args, hyp_err *err);

/* In the child, why it dies: `words` are ggml's. Takes up to a second, for it looks which of `servers` answers no more.
 */
void hyp_supervise_explain(const hyp_device_choice *servers, const char *words, hyp_err *err);

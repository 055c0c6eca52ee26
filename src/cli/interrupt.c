#include "cli/interrupt.h"

#include "cli/command.h"
#include "engine/engine.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static _Atomic(hyp_engine *) watched;
static atomic_int seen, allowed = 1;

static void on_signal(int signal) {
    if (atomic_fetch_add(&seen, 1) >= atomic_load(&allowed)) _exit(128 + signal);
    hyp_engine *engine = atomic_load(&watched);
    if (engine != NULL) hyp_engine_interrupt(engine);
}

void hyp_interrupt_watch(hyp_engine *engine) {
    atomic_store(&watched, engine);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    /* It may have come while there was nobody to tell. */
    if (engine != NULL && hyp_interrupt_seen()) hyp_engine_interrupt(engine);
}

bool hyp_interrupt_seen(void) {
    return atomic_load(&seen) > 0;
}

void hyp_interrupt_chat(hyp_engine *answering) {
    atomic_store(&watched, answering);
    atomic_store(&allowed, 2);
    atomic_store(&seen, 0);
    struct sigaction action = {.sa_handler = answering != NULL ? on_signal : SIG_IGN, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &action, NULL);
    action.sa_handler = SIG_DFL;
    sigaction(SIGTERM, &action, NULL);
}

#include "engine/runtime.h"

#include "base/log.h"
#include "base/mem.h"

#include <ggml-backend.h>
#include <llama.h>
#include <pthread.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char last_error[256];              /* guarded by `lock` */
static bool started;                      /* guarded by `start_lock` */
static hyp_context_memory context_memory; /* guarded by `lock` */

void hyp_runtime_clear_context_memory(void) {
    pthread_mutex_lock(&lock);
    context_memory = (hyp_context_memory){0};
    pthread_mutex_unlock(&lock);
}

hyp_context_memory hyp_runtime_context_memory(void) {
    pthread_mutex_lock(&lock);
    hyp_context_memory memory = context_memory;
    pthread_mutex_unlock(&lock);
    return memory;
}

/* ggml's levels as ours. A line's continuation (CONT) is passed on as debug. */
static hyp_log_level level_of(enum ggml_log_level level) {
    switch (level) {
    case GGML_LOG_LEVEL_ERROR: return HYP_LOG_ERROR;
    case GGML_LOG_LEVEL_WARN: return HYP_LOG_WARN;
    case GGML_LOG_LEVEL_INFO: return HYP_LOG_INFO;
    default: return HYP_LOG_DEBUG;
    }
}

/* Pass a piece of libllama's log on, one line a report; dots of its progress bar are none. */
static void pass_on(hyp_log_level level, const char *text) {
    if (!hyp_log_is_on(HYP_LOG_LLAMA, level)) return;
    for (size_t n; *text != '\0'; text += n + (text[n] == '\n')) {
        n = strcspn(text, "\n");
        if (n > 0 && strspn(text, ".") < n) hyp_log_write(HYP_LOG_LLAMA, level, "%.*s", (int)n, text);
    }
}

static void on_log(enum ggml_log_level level, const char *text, void *user) {
    (void)user;
    pass_on(level_of(level), text);
    if (level == GGML_LOG_LEVEL_INFO) {
        pthread_mutex_lock(&lock);
        hyp_context_memory_add(&context_memory, text);
        pthread_mutex_unlock(&lock);
    }
    if (level != GGML_LOG_LEVEL_ERROR) return;
    pthread_mutex_lock(&lock);
    /* The first error names the cause; those that follow tell what it led to. */
    if (last_error[0] == '\0') {
        snprintf(last_error, sizeof last_error, "%s", text);
        last_error[strcspn(last_error, "\n")] = '\0';
    }
    pthread_mutex_unlock(&lock);
}

static void load_backends(void) {
    const char *dir = getenv("HYPURA_BACKENDS");
    if (dir == NULL) dir = HYP_BACKENDS_DIR;
    if (dir[0] != '\0')
        ggml_backend_load_all_from_path(dir);
    else
        ggml_backend_load_all();
}

int hyp_runtime_start(hyp_err *err) {
    static pthread_mutex_t start_lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&start_lock);
    if (!started) {
        llama_log_set(on_log, NULL);
        load_backends();
        llama_backend_init();
        started = true;
    }
    pthread_mutex_unlock(&start_lock);
    if (ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU) == NULL) {
        hyp_err_set(err, HYP_EENGINE, "ggml found no CPU backend");
        hyp_err_hint(err, "set HYPURA_BACKENDS to the folder with libggml-cpu*.so");
        return HYP_EENGINE;
    }
    return HYP_OK;
}

void hyp_runtime_clear_error(void) {
    pthread_mutex_lock(&lock);
    last_error[0] = '\0';
    pthread_mutex_unlock(&lock);
}

void hyp_runtime_last_error(char *buf, size_t size) {
    pthread_mutex_lock(&lock);
    snprintf(buf, size, "%s", last_error);
    pthread_mutex_unlock(&lock);
}

/* mem.h - ownership helpers: scoped clean-up in systemd's manner. Destructors accept NULL. */
#pragma once
#include <stdlib.h>
#include <unistd.h>

#define HYP_CLEANUP(fn) __attribute__((cleanup(fn)))
/* The destructor that HYP_CLEANUP() wants of a pointer: it gets the variable's address. To stand below the declaration
 * of `fn`, once a type: `HYP_DEFINE_CLEANUP(hyp_model, hyp_model_free)`, and then in a function
 * `HYP_CLEANUP(hyp_model_freep) hyp_model *model = NULL;`. */
#define HYP_DEFINE_CLEANUP(type, fn)                                                                                   \
    static inline void fn##p(__typeof__(type) **ptr) {                                                                 \
        fn(*ptr);                                                                                                      \
    }
#define HYP_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define HYP_MIN(a, b) ((a) < (b) ? (a) : (b))
#define HYP_MAX(a, b) ((a) > (b) ? (a) : (b))

/* Move the value out of a variable whose scope would free it: `*ret = HYP_TAKE(ptr); return 0;` */
#define HYP_TAKE(ptr)                                                                                                  \
    ({                                                                                                                 \
        __typeof__(ptr) hyp_p_ = ptr;                                                                                  \
        (ptr) = NULL;                                                                                                  \
        hyp_p_;                                                                                                        \
    })

static inline void hyp_freep(void *p) {
    free(*(void **)p);
}
static inline void hyp_closep(const int *fd) {
    if (*fd >= 0) close(*fd);
}
/* realloc() for `n` elements; NULL, with the old memory kept, also when their size overflows. */
static inline void *hyp_realloc_array(void *p, size_t n, size_t element_bytes) {
    size_t bytes;
    return __builtin_mul_overflow(n, element_bytes, &bytes) ? NULL : realloc(p, bytes);
}

#define HYP_AUTOFREE HYP_CLEANUP(hyp_freep)
#define HYP_AUTOCLOSE HYP_CLEANUP(hyp_closep)

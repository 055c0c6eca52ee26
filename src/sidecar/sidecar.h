/* sidecar.h - a packed copy of a model's streamed weights beside the model, laid out for reading.
 *
 * In a GGUF file an expert's gate, up and down matrices stand in three tensors far apart, so that one
 * expert costs two or three reads. The sidecar holds the same pages once more, unit after unit: one expert, one read.
 * It is only ever a copy: whatever is wrong with it, the model's own files are still there and are read instead.
 *
 * The file (little-endian; docs/sidecar.md): a head of 128 bytes, the model's files, one record a run (the pages of one
 * expert's slice of one tensor), then the runs' pages without gaps in the order of the records. Where a run stands
 * follows from the lengths before it, so every byte of the file is accounted for. It is bound to the model by the
 * model's digest (the files' sizes, a hash of their headers and of samples of their tensors) and by each file's size
 * and time of last change; each run has a checksum, which is compared the first time it is read.
 *
 * A hyp_sidecar is immutable once made; any thread may read it. */
#pragma once
#include "gguf/model.h"
#include "io/types.h"
#include "pager/extent.h"

typedef struct hyp_hardware hyp_hardware;       /* hw/hardware.h */
typedef struct hyp_probe_point hyp_probe_point; /* io/probe.h */
typedef struct hyp_plan hyp_plan;               /* plan/plan.h */

enum { HYP_SIDECAR_VERSION = 1, HYP_SIDECAR_HEAD_BYTES = 128, HYP_SIDECAR_PATH_SIZE = 4096 };

typedef enum hyp_sidecar_order {
    HYP_SIDECAR_BY_NUMBER,     /* layer, then expert */
    HYP_SIDECAR_BY_TRACE,      /* experts used together stand together, as a trace has it */
    HYP_SIDECAR_BY_STATISTICS, /* the same, by the statistics of earlier runs */
    HYP_SIDECAR_N_ORDERS,
} hyp_sidecar_order;

typedef struct hyp_sidecar_file {
    uint64_t bytes;
    int64_t changed_ns; /* time of last change, nanoseconds since 1970 */
} hyp_sidecar_file;

typedef struct hyp_sidecar {
    uint32_t page_bytes; /* what extents were rounded outward to */
    hyp_sidecar_order order;
    bool complete;
    uint64_t bytes, data_offset; /* of the whole file; where pages begin */
    char digest[65];             /* hyp_model.digest */
    hyp_sidecar_file *files;
    uint32_t n_files;
    uint32_t n_units, n_runs;
    uint32_t n_done;      /* runs whose pages and checksum are there; n_runs when complete */
    hyp_packed_run *runs; /* in the order of the file; `at` is where in the file */
    uint32_t *unit_of;    /* n_runs: ascending from 0 */
} hyp_sidecar;

void hyp_sidecar_free(hyp_sidecar *sidecar);

/* --- the layout: layout.c, order.c --- */

/* Which expert stands where, by streamed layer (hyp_units.layers): `experts[layer]` holds all experts of the layer. */
typedef struct hyp_sidecar_ranking {
    hyp_sidecar_order order;
    uint32_t n_layers;
    uint32_t **experts;
} hyp_sidecar_ranking;

/* Order by the trace at `trace_path`, which must be the model's; with NULL by the statistics kept in the user's cache
 * folder, and where there are none by number. Errors: HYP_EUNSUPPORTED (nothing in this model is streamed), HYP_EINVAL
 * (another model's trace), HYP_ENOMEM, those of hyp_trace_read(). */
HYP_NODISCARD int hyp_sidecar_rank(const hyp_model *model, const char *trace_path, hyp_sidecar_ranking *ret,
                                   hyp_err *err);
void hyp_sidecar_ranking_free(hyp_sidecar_ranking *ranking);

/* Put `n` experts into an order in which those often used together are neighbours: begin with the most used one, then
 * always the one used most often together with the last. `uses` [n]; `together` [n * n], symmetric. Pure; `ret` [n]. */
void hyp_sidecar_chain(uint32_t n, const uint64_t *uses, const uint32_t *together, uint32_t *ret);

/* The sidecar that `model` would have, without checksums. Freed with hyp_sidecar_free(). Errors:
 * HYP_EUNSUPPORTED (nothing in this model is streamed), HYP_EIO (a file cannot be examined), HYP_ELIMIT, HYP_ENOMEM. */
HYP_NODISCARD int hyp_sidecar_layout(const hyp_model *model, const hyp_sidecar_ranking *ranking, uint32_t page_bytes,
                                     hyp_sidecar **ret, hyp_err *err);

/* --- the format: format.c --- */

/* Read the head of a sidecar of `file_bytes` bytes, of which `n` are at `data`: untrusted, every number is checked. A
 * partial one has complete = false. Errors: HYP_EFORMAT (corrupt, truncated, not a sidecar), HYP_EUNSUPPORTED (another
 * version), HYP_ENOMEM. */
HYP_NODISCARD int hyp_sidecar_parse(const void *data, size_t n, uint64_t file_bytes, hyp_sidecar **ret, hyp_err *err);

/* The head as it stands in a file: `*ret` of data_offset bytes, freed by the caller. Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_sidecar_encode(const hyp_sidecar *sidecar, uint8_t **ret, hyp_err *err);

/* Is this the copy of `model` as it is now, for pages of `page_bytes`? Errors: HYP_EINVAL (stale: the message says what
 * is different), HYP_EIO. */
HYP_NODISCARD int hyp_sidecar_match(const hyp_sidecar *sidecar, const hyp_model *model, uint32_t page_bytes,
                                    hyp_err *err);

/* The runs ascending by file and offset, as hyp_pager_packed wants them. The caller frees. NULL without memory. */
hyp_packed_run *hyp_sidecar_sorted_runs(const hyp_sidecar *sidecar);

/* --- finding it: find.c --- */

typedef enum hyp_sidecar_state {
    HYP_SIDECAR_ABSENT,
    HYP_SIDECAR_PARTIAL, /* only the unfinished file of an interrupted hypura optimize */
    HYP_SIDECAR_STALE,   /* made for other files than the model has now */
    HYP_SIDECAR_CORRUPT, /* truncated, damaged, of another version, unreadable */
    HYP_SIDECAR_PRESENT,
} hyp_sidecar_state;

typedef struct hyp_sidecar_look {
    hyp_sidecar_state state;
    char path[HYP_SIDECAR_PATH_SIZE]; /* of what was found; else where it would be */
    hyp_sidecar *sidecar;             /* when PRESENT */
    hyp_err why;                      /* when STALE or CORRUPT */
} hyp_sidecar_look;

/* Look at `path`, or with NULL beside the model, in the user's cache folder, and where hyp_sidecar_write() last put one
 * for this model elsewhere. Reads the head, not the pages. `ret` is freed with hyp_sidecar_look_done(). */
void hyp_sidecar_find(const hyp_model *model, const char *path, hyp_sidecar_look *ret);
void hyp_sidecar_look_done(hyp_sidecar_look *look);

/* "absent", "partial", "stale", "corrupt", "present"; "by number", "by trace", "by statistics". */
const char *hyp_sidecar_state_name(hyp_sidecar_state state);
const char *hyp_sidecar_order_name(hyp_sidecar_order order);

/* May `path` be written for `model`? Not over one of the model's own files, a device or a pipe; and over another file
 * than a packed copy, good or bad, only with `any_file`. Errors: HYP_EINVAL. */
HYP_NODISCARD int hyp_sidecar_check_target(const hyp_model *model, const char *path, bool any_file, hyp_err *err);

/* Where to write the sidecar of `model`: `out` if given (in it, if it is a folder), else beside the model, else, where
 * that folder cannot be written to, in the user's cache folder. Errors: HYP_EIO (`out` names a folder that cannot be
 * written to, or nothing can), HYP_ELIMIT. */
HYP_NODISCARD int hyp_sidecar_place(const hyp_model *model, const char *out, char ret[HYP_SIDECAR_PATH_SIZE],
                                    hyp_err *err);

/* --- what it would gain: gain.c --- */

typedef struct hyp_sidecar_gain {
    uint64_t bytes;                           /* of the sidecar */
    uint64_t read_bytes_now, read_bytes_then; /* of one read: a part of an expert; a whole one, or an io chunk of it */
    uint32_t depth_now, depth_then;           /* reads in flight when a token waits for a layer's missing experts */
    double bytes_per_s_now, bytes_per_s_then; /* of the disk at that size and depth; 0: not measured */
    double tok_per_s_now, tok_per_s_then;     /* decoding, as planned with these rates; 0: it does not run */
    bool streams;                             /* the plan reads experts (or FFN layers) from the disk at all */
    bool too_large;                           /* the parts alone are reads as long as the disk needs */
} hyp_sidecar_gain;

/* The rate of scattered direct reads of `size` bytes, `depth` in flight, between and beyond what `points[0..n)`
 * measured; 0 when they do not show it. Pure. */
double hyp_sidecar_rate(const hyp_probe_point *points, size_t n, double size, double depth);

/* What the sidecar `layout` of `model` would change for `plan`, which was made for `hardware` (NULL: none is possible),
 * whose disk is known by `points` (0 of them: not measured). Pure. Errors: HYP_EINVAL (an empty layout). */
HYP_NODISCARD int hyp_sidecar_predict(const hyp_model *model, const hyp_sidecar *layout, const hyp_hardware *hardware,
                                      const hyp_probe_point *points, size_t n_points, const hyp_plan *plan,
                                      hyp_sidecar_gain *ret, hyp_err *err);

/* --- writing it: write.c, gguf_copy.c --- */

typedef struct hyp_sidecar_job {
    const hyp_model *model;
    const hyp_sidecar *layout; /* of hyp_sidecar_layout() */
    const char *path;          /* where the finished file goes; until then it is PATH.partial */
    /* Go on with an unfinished file even if it has the same runs in another order. */
    bool any_order;
    hyp_io_config io;
    uint64_t batch_bytes, checkpoint_bytes; /* 0: 16 MiB, 256 MiB */
    /* Told after every batch: `what` is "copying" or "checking". False stops. May be NULL. */
    bool (*progress)(const char *what, uint64_t done_bytes, uint64_t total_bytes, void *user);
    void *user;
} hyp_sidecar_job;

typedef struct hyp_sidecar_written {
    uint64_t bytes;
    uint64_t resumed_bytes; /* of these, found in an unfinished or outdated file */
} hyp_sidecar_written;

/* Disk space for the file at `path` that will be `bytes` long: what it still takes, what is free there, and where. */
typedef struct hyp_sidecar_space {
    uint64_t needed_bytes, free_bytes;
    char folder[HYP_SIDECAR_PATH_SIZE];
} hyp_sidecar_space;
HYP_NODISCARD int hyp_sidecar_space_of(const char *path, uint64_t bytes, hyp_sidecar_space *ret, hyp_err *err);

/* Write the sidecar: the space first, then the pages, then all of them read back and compared with the checksums of
 * what was read from the model (and with the model again, where an earlier call had written them), then renamed into
 * place. When it is stopped, at any point and in any way, PATH.partial is left and the next call goes on with it.
 * Blocks for as long as reading and writing take. Errors: HYP_ENOMEM (memory; or too little space: the message says how
 * much is needed, free, and where), HYP_EIO, HYP_ECANCELED (by `progress`), HYP_EBUSY (another process is writing it).
 */
HYP_NODISCARD int hyp_sidecar_write(const hyp_sidecar_job *job, hyp_sidecar_written *ret, hyp_err *err);

/* Write the model once more as one GGUF file at `path`: metadata as it is, general.alignment 4096, no parts, the
 * streamed tensors of each layer side by side. Every tensor's bytes are compared after writing. A file begun earlier is
 * compared and continued. `layout`, `any_order` and `io` of the job are not used. Errors: as above, HYP_EUNSUPPORTED.
 */
HYP_NODISCARD int hyp_sidecar_write_gguf(const hyp_sidecar_job *job, hyp_sidecar_written *ret, hyp_err *err);

/* `*ret`: the size of the file that hyp_sidecar_write_gguf() would write. Errors: HYP_ENOMEM, HYP_EUNSUPPORTED. */
HYP_NODISCARD int hyp_sidecar_gguf_bytes(const hyp_model *model, uint64_t *ret, hyp_err *err);

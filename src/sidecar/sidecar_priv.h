/* sidecar_priv.h - private to src/sidecar: the format's limits, and what its files share. */
#pragma once
#include "plan/units.h"
#include "sidecar/sidecar.h"

#define SIDECAR_MAGIC "HYPURAPK"
enum {
    SIDECAR_MAX_FILES = 1024,
    SIDECAR_MAX_RUNS = 1 << 22,
    SIDECAR_FILE_RECORD = 16,
    SIDECAR_RUN_RECORD = 32,
    /* Places in the head. */
    SIDECAR_AT_STATE = 48,
    SIDECAR_AT_DONE = 52,
    SIDECAR_AT_CHECKSUM = 56,
    SIDECAR_MIN_PAGE = 4096,
    SIDECAR_MAX_PAGE = 1 << 20,
};

/* What can be packed: the model's units (plan/units.h). The caller frees with hyp_units_free(). Errors:
 * HYP_EUNSUPPORTED (there are none), HYP_ENOMEM. */
HYP_NODISCARD int hyp_sidecar_units(const hyp_model *model, hyp_units *ret, hyp_err *err);

/* Head, files and records, rounded up to pages. */
uint64_t hyp_sidecar_head_bytes(uint32_t n_files, uint32_t n_runs, uint32_t page_bytes);

/* Where the record of run `i` begins, and the record itself. */
uint64_t hyp_sidecar_record_at(const hyp_sidecar *s, uint32_t i);
void hyp_sidecar_encode_record(const hyp_sidecar *s, uint32_t i, uint8_t ret[SIDECAR_RUN_RECORD]);

/* The first HYP_SIDECAR_HEAD_BYTES, the table's checksum left 0. */
void hyp_sidecar_encode_head(const hyp_sidecar *s, uint8_t ret[HYP_SIDECAR_HEAD_BYTES]);

/* Bytes that a run takes in the file: whole pages. */
uint64_t hyp_sidecar_run_bytes(const hyp_packed_run *run, uint32_t page_bytes);

HYP_NODISCARD int hyp_sidecar_examine(const char *path, hyp_sidecar_file *ret, hyp_err *err);

/* Read and parse the head of the file behind `fd`. Errors: those of hyp_sidecar_parse(), HYP_EIO. */
HYP_NODISCARD int hyp_sidecar_read_head(int fd, const char *path, hyp_sidecar **ret, hyp_err *err);

/* The folder that holds `path`. */
void hyp_sidecar_folder_of(const char *path, char ret[HYP_SIDECAR_PATH_SIZE]);

/* Note where the sidecar of `model` was put, if it is no usual place, for hyp_sidecar_find(). */
void hyp_sidecar_remember_place(const hyp_model *model, const char *path);

/* --- what both writers need: space.c --- */

/* Errors: HYP_ENOMEM, which says how much is needed, how much is free, and where. */
HYP_NODISCARD int hyp_sidecar_check_space(const char *path, uint64_t bytes, hyp_err *err);

/* Open PATH.partial for reading and writing, created when missing, and lock it. `partial` gets its name. Errors:
 * HYP_EBUSY, HYP_EIO, HYP_ELIMIT. */
HYP_NODISCARD int hyp_sidecar_open_partial(const char *path, char partial[HYP_SIDECAR_PATH_SIZE], int *ret_fd,
                                           hyp_err *err);

/* All of `n` bytes at `at`. Errors: HYP_EIO. */
HYP_NODISCARD int hyp_sidecar_pwrite(int fd, const char *path, const void *data, size_t n, uint64_t at, hyp_err *err);
HYP_NODISCARD int hyp_sidecar_pread(int fd, const char *path, void *data, size_t n, uint64_t at, hyp_err *err);

/* Bring what was written onto the device. Errors: HYP_EIO. */
HYP_NODISCARD int hyp_sidecar_sync(int fd, const char *path, hyp_err *err);

/* fsync, rename `partial` to `path`, fsync the folder. Errors: HYP_EIO. */
HYP_NODISCARD int hyp_sidecar_finish(int fd, const char *partial, const char *path, hyp_err *err);

/* The error of a write that was stopped: what is done, and how to go on. Returns HYP_ECANCELED. */
int hyp_sidecar_stopped(const char *partial, uint64_t done, uint64_t total, hyp_err *err);

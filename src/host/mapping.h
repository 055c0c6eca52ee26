/* mapping.h - where libllama maps the model's files, and that it does not read them while mapping.
 *
 * libllama maps a GGUF with MAP_POPULATE and advises WILLNEED, which would read a model larger than memory through the
 * page cache. On Linux this executable therefore defines mmap(), madvise() and posix_madvise() itself (ordinary ELF
 * symbol interposition): between hyp_mapping_begin() and hyp_mapping_end() they strip both for the watched files and
 * remember the addresses; at every other time and for every other file they forward to the kernel unchanged. Should the
 * interposition not be in force (another library order, a sanitizer that owns these symbols), nothing is recorded and
 * the caller finds bases of NULL: loading is then slower, and the model cannot be streamed. On macOS libraries do not
 * look at the executable's symbols, and need not: there is no MAP_POPULATE, WILLNEED reads a bounded piece, and where
 * the files are is found afterwards among the process's mappings (mapping_macos.c). */
#pragma once
#include "gguf/model.h"

/* Watch the files of `model` (at most 1024); with `lazy`, keep them from being read while they are mapped, else only
 * note where. One load at a time in a process; the lock is held until the end. Errors: HYP_EIO (a file cannot be
 * examined), HYP_ELIMIT. */
HYP_NODISCARD int hyp_mapping_begin(const hyp_model *model, bool lazy, hyp_err *err);

/* Stop watching; `ret_bases[i]` is where byte 0 of model->files[i] is mapped, or NULL. */
void hyp_mapping_end(void **ret_bases);

/* A page of a mapped file that cannot be read (a failing disk, a file cut short) kills a process with SIGBUS. Between
 * hyp_mapping_guard() and hyp_mapping_unguard() such a fault inside [base, base + bytes) puts a page of zeros there
 * instead and is remembered, so that the computation ends and its result is thrown away: never a crash, never a wrong
 * token. Returns a handle, or -1 when HYP_MAPPING_MAX_GUARDS are in use. Thread-safe. */
enum { HYP_MAPPING_MAX_GUARDS = 1024 };
int hyp_mapping_guard(void *base, uint64_t bytes);

/* The same file may stand elsewhere: `fds[0..n)` are open copies of it, and `offset` is where in them the guarded range
 * begins. A page that cannot be read is then taken from the first copy that has it, and nothing is lost. They must stay
 * open as long as the guard; call it once, right after hyp_mapping_guard(). */
enum { HYP_MAPPING_MAX_COPIES = 3 };
void hyp_mapping_guard_copies(int handle, const int *fds, size_t n, uint64_t offset);

/* Has a page been taken from a copy? */
bool hyp_mapping_rescued(int handle);

/* From now on one page that cannot be read takes the whole guarded range from the copy, not itself alone: nothing else
 * is mapped inside it (any more). */
void hyp_mapping_rescue_whole(int handle);
void hyp_mapping_unguard(int handle);

/* Has a guarded page failed since the guard was set? `*ret_offset` (may be NULL) is where in the file. */
bool hyp_mapping_faulted(int handle, uint64_t *ret_offset);

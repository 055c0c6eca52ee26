/* profile.h - the machine's measured profile, kept in the user's cache folder.
 *
 * Two files: what the processor, the memory and the devices can do, keyed by what they are and by ggml's version; and
 * what the file system of the model can do, keyed by the file system. A key that no longer fits, a file that does not
 * parse and a file of another format are measured again, and so is a processor that other programs used meanwhile, some
 * minutes later. Memory sizes and device memory in use are looked at anew every time. */
#pragma once
#include "hw/cpu.h"
#include "hw/hardware.h"
#include "hw/memory.h"
#include "io/probe.h"

enum { HYP_PROFILE_MAX_POINTS = 96 };

typedef struct hyp_profile_disk {
    bool direct;            /* direct reads work there */
    hyp_io_backend backend; /* the settings that hyp_disk_probe() recommends */
    uint32_t chunk_bytes, prefetch_depth, depth;
    double bytes_per_s, sequential_bytes_per_s, best_bytes_per_s;
    hyp_probe_point points[HYP_PROFILE_MAX_POINTS];
    size_t n_points;
} hyp_profile_disk;

typedef struct hyp_profile {
    hyp_cpu cpu;
    hyp_memory memory;     /* now */
    hyp_hardware hardware; /* for the planner: everything put together */
    hyp_profile_disk disk;
    hyp_profile_source machine_source, disk_source;
    bool machine_disturbed;                 /* other programs used the processors while it was measured */
    double machine_age_s, disk_age_s;       /* since they were measured */
    char machine_path[512], disk_path[512]; /* the files; empty where nothing was kept */
} hyp_profile;

typedef struct hyp_profile_request {
    const char *path; /* a file on the disk to measure, the model best of all; NULL: leave the disk at defaults */
    bool force;       /* measure even though a profile is there */
    bool quick;       /* never take longer than about half a second: use what is there, else a few short measurements */
    bool cached_only; /* measure nothing: use what is there, else defaults */
    int threads;      /* of the computation; 0 = one a core */
    uint64_t types;   /* bit set of ggml types that matter besides the usual ones */
    /* Called between measurements, `share` from 0 to 1. False cancels. May be NULL. */
    bool (*progress)(double share, const char *what, void *user);
    void *user;
} hyp_profile_request;

/* Load the profile, or measure and save it. The backends of ggml must have been loaded. Blocks for seconds unless
 * `quick`. One at a time a process. A profile that cannot be saved is returned all the same; its path is then empty.
 * Errors: HYP_EIO (memory unknown; the file cannot be read), HYP_EENGINE (ggml cannot compute), HYP_ECANCELED. */
HYP_NODISCARD int hyp_profile_load_or_measure(const hyp_profile_request *request, hyp_profile *ret, hyp_err *err);

/* profile.c - load, else measure and save. */
#include "hw/profile.h"

#include "base/mem.h"
#include "base/paths.h"
#include "base/text.h"
#include "hw/bandwidth_priv.h"
#include "hw/profile_priv.h"

#include <errno.h>
#include <ggml.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#if __has_include(<sys/statfs.h>)
#include <sys/statfs.h>
#else
#include <sys/mount.h> /* macOS: the same structure */
#endif
#include <time.h>

/* What was measured on a busy machine is good for DISTURBED_S seconds: long enough for several commands in a row. */
enum { FILE_MAX = 1 << 20, KEY_MAX = 1024, DISTURBED_S = 300 };

/* The types of most published files; a model's own are added. */
static const int usual_types[] = {GGML_TYPE_F16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_0, GGML_TYPE_Q4_K, GGML_TYPE_Q6_K};

typedef struct session {
    const hyp_profile_request *request;
    hyp_profile *profile;
    struct ggml_backend_device *devices[HYP_HARDWARE_MAX_DEVICES];
    char machine_key[KEY_MAX], disk_key[KEY_MAX];
    double now_s; /* of the calendar */
    size_t step, n_steps;
} session;

static bool report(session *s, const char *what) {
    const hyp_profile_request *r = s->request;
    double share = s->n_steps > 0 ? (double)s->step / (double)s->n_steps : 1;
    share = HYP_MIN(1.0, share); /* n_steps is an estimate: a model may bring types of its own */
    s->step++;
    return r->progress == NULL || r->progress(share, what, r->user);
}

/* FNV-1a, for names of files. */
static uint64_t hash(const char *text) {
    uint64_t h = 14695981039346656037ull;
    for (; *text != '\0'; text++)
        h = (h ^ (unsigned char)*text) * 1099511628211ull;
    return h;
}

static void make_machine_key(session *s) {
    const hyp_profile *p = s->profile;
    int n = snprintf(s->machine_key, KEY_MAX, "%s, %d threads, %s, %.1f GB, ggml %s", p->cpu.name, p->hardware.threads,
                     p->cpu.isa, (double)p->memory.total_bytes * 1e-9, ggml_version());
    for (size_t i = 0; i < p->hardware.n_devices && n > 0 && n < KEY_MAX; i++) {
        const hyp_device *d = &p->hardware.devices[i];
        n += snprintf(s->machine_key + n, (size_t)(KEY_MAX - n), ", %s %s %.1f GB", d->name, d->description,
                      (double)d->total_bytes * 1e-9);
    }
}

/* The file system by its own identity, and by its size, which changes when it is another one under an old identity. */
static int make_disk_key(session *s, hyp_err *err) {
    struct stat st;
    struct statfs fs;
    if (stat(s->request->path, &st) != 0 || statfs(s->request->path, &fs) != 0)
        return hyp_err_set_sys(err, HYP_EIO, errno, "cannot look at %s", s->request->path);
    int id[2];
    memcpy(id, &fs.f_fsid, sizeof id);
    snprintf(s->disk_key, KEY_MAX, "type %lx, id %x:%x, device %lx, %llu blocks", (unsigned long)fs.f_type,
             (unsigned)id[0], (unsigned)id[1], (unsigned long)st.st_dev, (unsigned long long)fs.f_blocks);
    return HYP_OK;
}

static void make_path(const char *kind, const char *key, char *ret, size_t size) {
    char dir[400];
    ret[0] = '\0';
    if (hyp_paths_cache_dir(dir, sizeof dir, NULL) == HYP_OK)
        snprintf(ret, size, "%s/%s-%016llx.json", dir, kind, (unsigned long long)hash(key));
}

typedef bool (*parser)(const char *, size_t, const char *, double, hyp_profile *);

static bool load(const session *s, const char *path, const char *key, parser parse) {
    HYP_AUTOFREE char *text = NULL;
    size_t n;
    if (s->request->force || path[0] == '\0' || hyp_paths_read(path, FILE_MAX, &text, &n, NULL) != HYP_OK) return false;
    return parse(text, n, key, s->now_s, s->profile);
}

/* What cannot be kept is measured again next time: no reason to fail. */
static void save(char *path, char *text, size_t n) {
    if (text == NULL || path[0] == '\0' || hyp_paths_write_atomic(path, text, n, NULL) != HYP_OK) path[0] = '\0';
    free(text);
}

static bool wants_type(const session *s, int type) {
    bool wanted = type < 64 && (s->request->types >> type & 1) != 0;
    for (size_t i = 0; i < HYP_ARRAY_LEN(usual_types) && !s->request->quick; i++)
        wanted = wanted || usual_types[i] == type;
    return wanted;
}

static bool has_rate(const hyp_hardware *hw, int type) {
    for (size_t i = 0; i < hw->n_rates; i++)
        if (hw->rates[i].type == type) return true;
    return false;
}

/* Rates of the wanted types that are not known yet. Types that ggml cannot measure here (they need an importance matrix
 * to be written) are planned with the rates of their neighbours. */
static int measure_types(session *s, const hyp_bandwidth_probe *bench, bool *ret_any, hyp_err *err) {
    hyp_hardware *hw = &s->profile->hardware;
    size_t left = s->request->quick ? 2 : HYP_HARDWARE_MAX_RATES;
    for (int type = 0; type < GGML_TYPE_COUNT && left > 0 && hw->n_rates < HYP_HARDWARE_MAX_RATES; type++) {
        if (!wants_type(s, type) || has_rate(hw, type)) continue;
        /* A model's few norms in 32-bit floats are not worth a measurement. */
        if (s->request->quick && type == GGML_TYPE_F32) continue;
        char what[64];
        snprintf(what, sizeof what, "computing with %s", ggml_type_name((enum ggml_type)type));
        if (!report(s, what)) return hyp_err_set(err, HYP_ECANCELED, "the measurement was stopped");
        hyp_weight_rate rate;
        if (hyp_bandwidth_type(bench, type, &rate, NULL) != HYP_OK) continue;
        hw->rates[hw->n_rates++] = rate;
        *ret_any = true;
        left--;
    }
    return hw->n_rates > 0 ? HYP_OK : hyp_err_set(err, HYP_EENGINE, "ggml cannot multiply quantised weights here");
}

static int measure_devices(session *s, const hyp_bandwidth_probe *bench, hyp_err *err) {
    hyp_hardware *hw = &s->profile->hardware;
    for (size_t i = 0; i < hw->n_devices; i++) {
        if (!report(s, hw->devices[i].name)) return hyp_err_set(err, HYP_ECANCELED, "the measurement was stopped");
        int r = hyp_bandwidth_device(bench, s->devices[i], &hw->devices[i], err);
        if (r != HYP_OK) return r;
    }
    return HYP_OK;
}

/* Devices are never measured in a hurry: starting one may take a second. Slow figures keep the plan off an unknown
 * device. */
static void assume_devices(hyp_hardware *hw) {
    for (size_t i = 0; i < hw->n_devices; i++) {
        hyp_device *d = &hw->devices[i];
        d->weight_bytes_per_s = 60e9;
        d->flop_per_s = 2e12;
        d->copy_bytes_per_s = 8e9;
        d->hop_s = 5e-5;
    }
}

/* How its processor is measured at length. */
static hyp_bandwidth_probe bench_of(const session *s) {
    uint64_t most = s->profile->memory.available_bytes / 8;
    return (hyp_bandwidth_probe){.threads = s->profile->hardware.threads,
                                 .weight_bytes = HYP_MIN((uint64_t)160 << 20, most),
                                 .seconds = 0.1,
                                 .cache_bytes = s->profile->cpu.cache_bytes,
                                 .most_bytes = most,
                                 .disturbed = &s->profile->machine_disturbed};
}

static int measure_machine(session *s, hyp_err *err) {
    hyp_hardware *hw = &s->profile->hardware;
    const bool quick = s->request->quick;
    hyp_bandwidth_probe bench = bench_of(s);
    if (quick) {
        bench.weight_bytes = HYP_MIN((uint64_t)48 << 20, bench.most_bytes);
        bench.seconds = 0.02;
    }
    s->profile->machine_disturbed = false;
    hw->n_rates = 0;
    bool any = false;
    if (!report(s, "memory")) return hyp_err_set(err, HYP_ECANCELED, "the measurement was stopped");
    double rate = hyp_bandwidth_memory(&bench);
    if (rate > 0) hw->memory_bytes_per_s = bench.memory_bytes_per_s = rate;
    if (quick) bench.cache_bytes = 0; /* filling a large cache with weights takes too long */
    int r = quick ? HYP_OK : hyp_bandwidth_node(&bench, &hw->node_s, err);
    if (r == HYP_OK) r = measure_types(s, &bench, &any, err);
    if (r == HYP_OK && !quick)
        r = measure_devices(s, &bench, err);
    else
        assume_devices(hw);
    /* In a hurry the cache was not overflowed, so a rate may be the cache's: no weight comes faster than memory. */
    for (size_t i = 0; i < hw->n_rates && quick; i++) {
        hyp_weight_rate *t = &hw->rates[i];
        t->decode_bytes_per_s = HYP_MIN(t->decode_bytes_per_s, hw->memory_bytes_per_s);
        t->repacked_bytes_per_s = HYP_MIN(t->repacked_bytes_per_s, hw->memory_bytes_per_s);
    }
    s->profile->machine_source = quick ? HYP_PROFILE_QUICK : HYP_PROFILE_MEASURED;
    s->profile->machine_age_s = 0;
    return r;
}

/* Types that no earlier model had: add them to what is known. */
static int measure_more_types(session *s, bool *ret_any, hyp_err *err) {
    hyp_bandwidth_probe bench = bench_of(s);
    bench.memory_bytes_per_s = s->profile->hardware.memory_bytes_per_s;
    return measure_types(s, &bench, ret_any, err);
}

static bool misses_types(const session *s) {
    bool missing = false;
    for (int t = 0; t < 64; t++)
        missing =
            missing || (t != GGML_TYPE_F32 && (s->request->types >> t & 1) != 0 && !has_rate(&s->profile->hardware, t));
    return missing;
}

static bool on_point(size_t done, size_t total, const hyp_probe_point *point, void *user) {
    session *s = user;
    (void)done, (void)total;
    return point == NULL || report(s, "disk");
}

/* What plain mmap reaches: one fault at a time with the kernel's read-ahead, like buffered reads one after the other.
 */
static double fault_rate(const hyp_probe_result *result) {
    double best = 0;
    for (size_t i = 0; i < result->n_points; i++)
        if (result->points[i].cache == HYP_PROBE_COLD && result->points[i].depth == 1)
            best = HYP_MAX(best, result->points[i].bytes_per_s);
    return best > 0 ? best : result->bytes_per_s / 2;
}

static int measure_disk(session *s, hyp_err *err) {
    hyp_probe_result result;
    hyp_probe_config config = {.quick = true, .progress = on_point, .user = s};
    if (s->request->quick) {
        config.seconds_per_point = 0.03;
        config.bytes_per_point = (uint64_t)48 << 20;
    }
    int r = hyp_disk_probe(s->request->path, &config, &result, err);
    if (r != HYP_OK) return r;
    hyp_profile_disk *disk = &s->profile->disk;
    *disk = (hyp_profile_disk){.direct = result.direct,
                               .backend = result.backend,
                               .chunk_bytes = result.chunk_bytes,
                               .prefetch_depth = result.prefetch_depth,
                               .depth = result.depth,
                               .bytes_per_s = result.bytes_per_s,
                               .sequential_bytes_per_s = result.sequential_bytes_per_s,
                               .best_bytes_per_s = result.best_bytes_per_s,
                               .n_points = HYP_MIN(result.n_points, (size_t)HYP_PROFILE_MAX_POINTS)};
    memcpy(disk->points, result.points, disk->n_points * sizeof *disk->points);
    s->profile->hardware.disk_fault_bytes_per_s = fault_rate(&result);
    s->profile->disk_source = s->request->quick ? HYP_PROFILE_QUICK : HYP_PROFILE_MEASURED;
    hyp_probe_free(&result);
    return HYP_OK;
}

static int do_machine(session *s, hyp_err *err) {
    hyp_profile *p = s->profile;
    make_machine_key(s);
    make_path("machine", s->machine_key, p->machine_path, sizeof p->machine_path);
    bool loaded = load(s, p->machine_path, s->machine_key, hyp_profile_machine_parse);
    if (s->request->cached_only && !loaded) {
        assume_devices(&p->hardware);
        p->machine_path[0] = '\0';
    }
    if (s->request->cached_only || (loaded && s->request->quick)) return HYP_OK;
    /* A quick profile serves quick requests only, and one taken on a busy machine not for long. */
    bool any = true, kept = loaded && p->machine_source == HYP_PROFILE_MEASURED &&
                            !(p->machine_disturbed && p->machine_age_s > DISTURBED_S);
    if (kept && !misses_types(s)) return HYP_OK;
    int r = kept ? measure_more_types(s, &any, err) : measure_machine(s, err);
    if (r != HYP_OK || !any) return r;
    size_t n = 0;
    /* With the old date where only types were added: what was measured then is as old as it was. */
    char *text = hyp_profile_machine_json(p, s->machine_key, s->now_s - p->machine_age_s, &n);
    save(p->machine_path, text, n);
    return HYP_OK;
}

static int do_disk(session *s, hyp_err *err) {
    hyp_profile *p = s->profile;
    if (s->request->path == NULL) return HYP_OK;
    int r = make_disk_key(s, err);
    if (r != HYP_OK) return r;
    make_path("disk", s->disk_key, p->disk_path, sizeof p->disk_path);
    bool loaded = load(s, p->disk_path, s->disk_key, hyp_profile_disk_parse);
    if (!loaded && s->request->cached_only) {
        p->disk_path[0] = '\0';
        return HYP_OK;
    }
    if (!loaded || (!s->request->cached_only && p->disk_source == HYP_PROFILE_QUICK && !s->request->quick)) {
        r = measure_disk(s, err);
        if (r != HYP_OK) return r;
        p->disk_age_s = 0;
        size_t n = 0;
        char *text = hyp_profile_disk_json(p, s->disk_key, s->now_s, &n);
        save(p->disk_path, text, n);
    }
    p->hardware.disk_bytes_per_s = p->disk.bytes_per_s;
    p->hardware.disk_request_bytes = p->disk.chunk_bytes;
    for (size_t i = 0; i < p->disk.n_points; i++) {
        const hyp_probe_point *point = &p->disk.points[i];
        if (point->cache == HYP_PROBE_DIRECT && point->random && point->size_bytes == 128 << 10 && point->depth == 16 &&
            point->backend == p->disk.backend)
            p->hardware.disk_short_bytes_per_s = point->bytes_per_s;
    }
    p->hardware.disk_depth = p->disk.prefetch_depth;
    return HYP_OK;
}

/* Other machines' devices come and go with the command line: they are not part of this machine's profile. */
static size_t local_devices(hyp_device *ret, struct ggml_backend_device **ret_handles) {
    size_t n = hyp_bandwidth_devices(ret, ret_handles, HYP_HARDWARE_MAX_DEVICES), kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (ret[i].kind == HYP_DEVICE_REMOTE) continue;
        ret[kept] = ret[i];
        ret_handles[kept++] = ret_handles[i];
    }
    return kept;
}

int hyp_profile_load_or_measure(const hyp_profile_request *request, hyp_profile *ret, hyp_err *err) {
    hyp_profile *profile = calloc(1, sizeof *profile);
    if (profile == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for a profile");
    session s = {.request = request, .profile = profile, .now_s = (double)time(NULL)};
    hyp_hardware_default(&profile->hardware);
    hyp_cpu_probe(&profile->cpu);
    int r = hyp_memory_probe(&profile->memory, err);
    hyp_hardware *hw = &profile->hardware;
    snprintf(hw->cpu, sizeof hw->cpu, "%s", profile->cpu.name);
    hw->cache_bytes = profile->cpu.cache_bytes;
    hw->threads = request->threads > 0 ? request->threads : (int)profile->cpu.cores;
    hw->ram_total_bytes = profile->memory.total_bytes;
    hw->ram_available_bytes = profile->memory.available_bytes;
    hw->ram_budget_bytes = hyp_memory_budget(&profile->memory);
    hw->n_devices = local_devices(hw->devices, s.devices);
    s.n_steps = HYP_ARRAY_LEN(usual_types) + hw->n_devices + 1 + (request->path != NULL ? 18 : 0);
    if (r == HYP_OK) r = do_machine(&s, err);
    if (r == HYP_OK) r = do_disk(&s, err);
    if (r == HYP_OK) *ret = *profile;
    free(profile);
    return r;
}

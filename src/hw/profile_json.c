/* profile_json.c - a profile to text and back. What is read may be anything: every number is checked before use. */
#include "base/mem.h"
#include "hw/profile_priv.h"

#include <math.h>
#include <string.h>
#include <yyjson.h>

/* 2: memory is measured past the cache, repacking is timed. */
enum { FORMAT = 2 };

static yyjson_mut_val *begin(yyjson_mut_doc *doc, const char *key, double now_s, hyp_profile_source source) {
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_int(doc, root, "format", FORMAT);
    yyjson_mut_obj_add_str(doc, root, "key", key);
    yyjson_mut_obj_add_real(doc, root, "measured_at", now_s);
    yyjson_mut_obj_add_bool(doc, root, "quick", source == HYP_PROFILE_QUICK);
    return root;
}

static char *finish(yyjson_mut_doc *doc, size_t *ret_n) {
    char *text = doc != NULL ? yyjson_mut_write(doc, YYJSON_WRITE_PRETTY, ret_n) : NULL;
    yyjson_mut_doc_free(doc);
    return text;
}

char *hyp_profile_machine_json(const hyp_profile *profile, const char *key, double now_s, size_t *ret_n) {
    const hyp_hardware *hw = &profile->hardware;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    if (doc == NULL) return NULL;
    yyjson_mut_val *root = begin(doc, key, now_s, profile->machine_source);
    yyjson_mut_obj_add_bool(doc, root, "disturbed", profile->machine_disturbed);
    yyjson_mut_obj_add_real(doc, root, "memory_bytes_per_s", hw->memory_bytes_per_s);
    yyjson_mut_obj_add_real(doc, root, "node_s", hw->node_s);
    yyjson_mut_val *rates = yyjson_mut_obj_add_arr(doc, root, "rates"),
                   *devices = yyjson_mut_obj_add_arr(doc, root, "devices");
    for (size_t i = 0; i < hw->n_rates; i++) {
        const hyp_weight_rate *r = &hw->rates[i];
        yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, rates);
        yyjson_mut_obj_add_int(doc, o, "type", r->type);
        yyjson_mut_obj_add_real(doc, o, "decode_bytes_per_s", r->decode_bytes_per_s);
        yyjson_mut_obj_add_real(doc, o, "decode_cached_bytes_per_s", r->decode_cached_bytes_per_s);
        yyjson_mut_obj_add_real(doc, o, "repacked_bytes_per_s", r->repacked_bytes_per_s);
        yyjson_mut_obj_add_real(doc, o, "repacked_cached_bytes_per_s", r->repacked_cached_bytes_per_s);
        yyjson_mut_obj_add_real(doc, o, "prefill_flop_per_s", r->prefill_flop_per_s);
        yyjson_mut_obj_add_real(doc, o, "repacked_flop_per_s", r->repacked_flop_per_s);
        if (r->repack_bytes_per_s > 0) yyjson_mut_obj_add_real(doc, o, "repack_bytes_per_s", r->repack_bytes_per_s);
    }
    for (size_t i = 0; i < hw->n_devices; i++) {
        const hyp_device *d = &hw->devices[i];
        yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, devices);
        yyjson_mut_obj_add_str(doc, o, "name", d->name);
        yyjson_mut_obj_add_real(doc, o, "weight_bytes_per_s", d->weight_bytes_per_s);
        yyjson_mut_obj_add_real(doc, o, "flop_per_s", d->flop_per_s);
        yyjson_mut_obj_add_real(doc, o, "copy_bytes_per_s", d->copy_bytes_per_s);
        yyjson_mut_obj_add_real(doc, o, "hop_s", d->hop_s);
    }
    return finish(doc, ret_n);
}

char *hyp_profile_disk_json(const hyp_profile *profile, const char *key, double now_s, size_t *ret_n) {
    const hyp_profile_disk *disk = &profile->disk;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    if (doc == NULL) return NULL;
    yyjson_mut_val *root = begin(doc, key, now_s, profile->disk_source);
    yyjson_mut_obj_add_bool(doc, root, "direct", disk->direct);
    yyjson_mut_obj_add_int(doc, root, "backend", disk->backend);
    yyjson_mut_obj_add_uint(doc, root, "chunk_bytes", disk->chunk_bytes);
    yyjson_mut_obj_add_uint(doc, root, "prefetch_depth", disk->prefetch_depth);
    yyjson_mut_obj_add_uint(doc, root, "depth", disk->depth);
    yyjson_mut_obj_add_real(doc, root, "bytes_per_s", disk->bytes_per_s);
    yyjson_mut_obj_add_real(doc, root, "sequential_bytes_per_s", disk->sequential_bytes_per_s);
    yyjson_mut_obj_add_real(doc, root, "best_bytes_per_s", disk->best_bytes_per_s);
    yyjson_mut_obj_add_real(doc, root, "fault_bytes_per_s", profile->hardware.disk_fault_bytes_per_s);
    yyjson_mut_val *points = yyjson_mut_obj_add_arr(doc, root, "points");
    for (size_t i = 0; i < disk->n_points; i++) {
        const hyp_probe_point *p = &disk->points[i];
        yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, points);
        yyjson_mut_obj_add_int(doc, o, "backend", p->backend);
        yyjson_mut_obj_add_int(doc, o, "cache", p->cache);
        yyjson_mut_obj_add_uint(doc, o, "size_bytes", p->size_bytes);
        yyjson_mut_obj_add_uint(doc, o, "chunk_bytes", p->chunk_bytes);
        yyjson_mut_obj_add_uint(doc, o, "depth", p->depth);
        yyjson_mut_obj_add_bool(doc, o, "random", p->random);
        yyjson_mut_obj_add_real(doc, o, "bytes_per_s", p->bytes_per_s);
        yyjson_mut_obj_add_real(doc, o, "cpu_s_per_gb", p->cpu_s_per_gb);
    }
    return finish(doc, ret_n);
}

/* --- back --- */

/* A finite number above zero, else 0 and `*good` cleared: the plan divides by it. */
static double rate(yyjson_val *object, const char *name, bool *good) {
    double value = yyjson_get_num(yyjson_obj_get(object, name));
    if (isfinite(value) && value > 0) return value;
    *good = false;
    return 0;
}

static uint32_t whole(yyjson_val *object, const char *name, uint32_t max) {
    uint64_t value = yyjson_get_uint(yyjson_obj_get(object, name));
    return value <= max ? (uint32_t)value : 0;
}

static yyjson_doc *open_text(const char *text, size_t n, const char *key, double now_s, bool *ret_quick,
                             double *ret_age_s) {
    yyjson_doc *doc = yyjson_read(text, n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    const char *found = yyjson_get_str(yyjson_obj_get(root, "key"));
    bool good = found != NULL && strcmp(found, key) == 0 && yyjson_get_int(yyjson_obj_get(root, "format")) == FORMAT;
    double at = yyjson_get_num(yyjson_obj_get(root, "measured_at"));
    *ret_quick = yyjson_get_bool(yyjson_obj_get(root, "quick"));
    *ret_age_s = HYP_MAX(now_s - at, 0); /* the calendar may have been set back since */
    if (good) return doc;
    yyjson_doc_free(doc);
    return NULL;
}

static bool parse_rates(yyjson_val *list, hyp_hardware *hw) {
    size_t i, n;
    yyjson_val *o;
    bool good = true;
    hw->n_rates = 0;
    yyjson_arr_foreach(list, i, n, o) {
        if (hw->n_rates == HYP_HARDWARE_MAX_RATES) break;
        hyp_weight_rate r = {.type = yyjson_get_int(yyjson_obj_get(o, "type"))};
        r.decode_bytes_per_s = rate(o, "decode_bytes_per_s", &good);
        r.decode_cached_bytes_per_s = rate(o, "decode_cached_bytes_per_s", &good);
        r.repacked_bytes_per_s = rate(o, "repacked_bytes_per_s", &good);
        r.repacked_cached_bytes_per_s = rate(o, "repacked_cached_bytes_per_s", &good);
        r.prefill_flop_per_s = rate(o, "prefill_flop_per_s", &good);
        r.repacked_flop_per_s = rate(o, "repacked_flop_per_s", &good);
        if (yyjson_obj_get(o, "repack_bytes_per_s") != NULL)
            r.repack_bytes_per_s = rate(o, "repack_bytes_per_s", &good);
        hw->rates[hw->n_rates++] = r;
    }
    return good && hw->n_rates > 0;
}

/* Rates go to the devices that are there, by name; the key has seen to it that they are the same ones. */
static bool parse_devices(yyjson_val *list, hyp_hardware *hw) {
    size_t i, n, matched = 0;
    yyjson_val *o;
    bool good = true;
    yyjson_arr_foreach(list, i, n, o) {
        const char *name = yyjson_get_str(yyjson_obj_get(o, "name"));
        for (size_t d = 0; name != NULL && d < hw->n_devices; d++) {
            if (strcmp(hw->devices[d].name, name) != 0) continue;
            hw->devices[d].weight_bytes_per_s = rate(o, "weight_bytes_per_s", &good);
            hw->devices[d].flop_per_s = rate(o, "flop_per_s", &good);
            hw->devices[d].copy_bytes_per_s = rate(o, "copy_bytes_per_s", &good);
            hw->devices[d].hop_s = rate(o, "hop_s", &good);
            matched++;
        }
    }
    return good && matched == hw->n_devices;
}

bool hyp_profile_machine_parse(const char *text, size_t n, const char *key, double now_s, hyp_profile *profile) {
    bool quick, good = true;
    double age;
    yyjson_doc *doc = open_text(text, n, key, now_s, &quick, &age);
    if (doc == NULL) return false;
    yyjson_val *root = yyjson_doc_get_root(doc);
    hyp_hardware hw = profile->hardware;
    bool disturbed = yyjson_get_bool(yyjson_obj_get(root, "disturbed"));
    hw.memory_bytes_per_s = rate(root, "memory_bytes_per_s", &good);
    hw.node_s = rate(root, "node_s", &good);
    good =
        good && parse_rates(yyjson_obj_get(root, "rates"), &hw) && parse_devices(yyjson_obj_get(root, "devices"), &hw);
    yyjson_doc_free(doc);
    if (!good) return false;
    profile->hardware = hw;
    profile->machine_source = quick ? HYP_PROFILE_QUICK : HYP_PROFILE_MEASURED;
    profile->machine_disturbed = disturbed;
    profile->machine_age_s = age;
    return true;
}

static void parse_points(yyjson_val *list, hyp_profile_disk *disk) {
    size_t i, n;
    yyjson_val *o;
    yyjson_arr_foreach(list, i, n, o) {
        bool good = true;
        if (disk->n_points == HYP_PROFILE_MAX_POINTS) break;
        hyp_probe_point p = {.backend = (hyp_io_backend)whole(o, "backend", HYP_IO_PLAIN),
                             .cache = (hyp_probe_cache)whole(o, "cache", HYP_PROBE_WARM)};
        p.size_bytes = whole(o, "size_bytes", UINT32_MAX);
        p.chunk_bytes = whole(o, "chunk_bytes", UINT32_MAX);
        p.depth = whole(o, "depth", 4096);
        p.random = yyjson_get_bool(yyjson_obj_get(o, "random"));
        p.bytes_per_s = rate(o, "bytes_per_s", &good);
        p.cpu_s_per_gb = yyjson_get_num(yyjson_obj_get(o, "cpu_s_per_gb"));
        if (good) disk->points[disk->n_points++] = p;
    }
}

bool hyp_profile_disk_parse(const char *text, size_t n, const char *key, double now_s, hyp_profile *profile) {
    bool quick, good = true;
    double age;
    yyjson_doc *doc = open_text(text, n, key, now_s, &quick, &age);
    if (doc == NULL) return false;
    yyjson_val *root = yyjson_doc_get_root(doc);
    hyp_profile_disk disk = {.direct = yyjson_get_bool(yyjson_obj_get(root, "direct"))};
    disk.backend = (hyp_io_backend)whole(root, "backend", HYP_IO_PLAIN);
    disk.chunk_bytes = whole(root, "chunk_bytes", 1 << 30);
    disk.prefetch_depth = whole(root, "prefetch_depth", 4096);
    disk.depth = whole(root, "depth", 4096);
    disk.bytes_per_s = rate(root, "bytes_per_s", &good);
    disk.sequential_bytes_per_s = rate(root, "sequential_bytes_per_s", &good);
    disk.best_bytes_per_s = rate(root, "best_bytes_per_s", &good);
    double fault = rate(root, "fault_bytes_per_s", &good);
    parse_points(yyjson_obj_get(root, "points"), &disk);
    yyjson_doc_free(doc);
    if (!good) return false;
    profile->disk = disk;
    profile->hardware.disk_fault_bytes_per_s = fault;
    profile->disk_source = quick ? HYP_PROFILE_QUICK : HYP_PROFILE_MEASURED;
    profile->disk_age_s = age;
    return true;
}

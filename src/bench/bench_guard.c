#include "bench/bench_guard.h"

#include "base/mem.h"
#include "base/text.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#if __has_include(<sys/sysmacros.h>)
#include <sys/sysmacros.h> /* glibc; elsewhere sys/types.h has major() and minor() */
#endif
#include <time.h>

enum {
    DISK_WATCH_MS = 300,
    DISK_BUSY_PERCENT = 20,
    FREQUENCY_PERCENT = 95,
    DISKSTATS_MAX = 256 << 10,
    READ_AHEAD_KB = 128 /* Linux's default; no warning up to four times that */
};

void hyp_bench_warn(hyp_bench_warnings *w, const char *format, ...) {
    if (w->n == HYP_BENCH_MAX_WARNINGS) return;
    va_list args;
    va_start(args, format);
    vsnprintf(w->items[w->n++], sizeof w->items[0], format, args);
    va_end(args);
}

bool hyp_bench_read_text(const char *root, const char *path, char *buf, size_t size) {
    char full[PATH_MAX];
    buf[0] = '\0';
    if (snprintf(full, sizeof full, "%s%s", root, path) >= (int)sizeof full) return false;
    HYP_AUTOCLOSE int fd = open(full, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    size_t n = 0;
    while (n + 1 < size) {
        ssize_t r = read(fd, buf + n, size - 1 - n);
        if (r < 0 && errno == EINTR) continue;
        if (r <= 0) break;
        n += (size_t)r;
    }
    buf[n] = '\0';
    return n > 0;
}

/* `folder`/`entry`/`file` as a trimmed word. */
static bool read_word(const char *root, const char *folder, const char *entry, const char *file, char *buf,
                      size_t size) {
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s/%s", folder, entry, file) >= (int)sizeof path) return false;
    if (!hyp_bench_read_text(root, path, buf, size)) return false;
    for (size_t n = strlen(buf); n > 0 && isspace((unsigned char)buf[n - 1]);)
        buf[--n] = '\0';
    return true;
}

static uint64_t read_number(const char *root, const char *folder, const char *entry, const char *file) {
    char word[64];
    return read_word(root, folder, entry, file, word, sizeof word) ? strtoull(word, NULL, 10) : 0;
}

/* Call `look` for every entry of `folder` whose name begins with `prefix`. */
static void each_entry(const char *root, const char *folder, const char *prefix,
                       void (*look)(const char *root, const char *folder, const char *entry, void *user), void *user) {
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s%s", root, folder) >= (int)sizeof path) return;
    DIR *dir = opendir(path);
    if (dir == NULL) return;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (entry->d_name[0] != '.' && strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            look(root, folder, entry->d_name, user);
    closedir(dir);
}

/* --- the processor --- */

static void look_at_supply(const char *root, const char *folder, const char *entry, void *user) {
    char word[64];
    bool battery = read_word(root, folder, entry, "type", word, sizeof word) && strcmp(word, "Battery") == 0;
    /* A mouse has a battery too, and says that it powers a device. */
    bool device = read_word(root, folder, entry, "scope", word, sizeof word) && strcmp(word, "Device") == 0;
    if (battery && !device && read_word(root, folder, entry, "status", word, sizeof word) &&
        strcmp(word, "Discharging") == 0)
        *(bool *)user = true;
}

static void look_at_cooling(const char *root, const char *folder, const char *entry, void *user) {
    char word[64];
    if (read_word(root, folder, entry, "type", word, sizeof word) && strcmp(word, "Processor") == 0 &&
        read_number(root, folder, entry, "cur_state") > 0)
        *(bool *)user = true;
}

typedef struct frequency {
    uint64_t allowed_khz, possible_khz; /* of the processor with the smallest share */
} frequency;

static void look_at_frequency(const char *root, const char *folder, const char *entry, void *user) {
    frequency *least = user;
    frequency f = {read_number(root, folder, entry, "cpufreq/scaling_max_freq"),
                   read_number(root, folder, entry, "cpufreq/cpuinfo_max_freq")};
    if (f.allowed_khz == 0 || f.possible_khz == 0) return;
    if (least->possible_khz == 0 ||
        (double)f.allowed_khz / (double)f.possible_khz < (double)least->allowed_khz / (double)least->possible_khz)
        *least = f;
}

static void look_at_throttling(const char *root, const char *folder, const char *entry, void *user) {
    uint64_t n = read_number(root, folder, entry, "thermal_throttle/package_throttle_count");
    /* Every processor of a package reports the count of the whole package: one of them is enough. */
    *(uint64_t *)user = HYP_MAX(*(uint64_t *)user, n);
}

uint64_t hyp_bench_guard_throttled(const char *root) {
    uint64_t n = 0;
    each_entry(root, "/sys/devices/system/cpu", "cpu", look_at_throttling, &n);
    return n;
}

void hyp_bench_guard_check(const char *root, uint32_t cores, hyp_bench_warnings *w) {
    bool on_battery = false, cooling = false;
    frequency least = {0};
    char text[128];
    each_entry(root, "/sys/class/power_supply", "", look_at_supply, &on_battery);
    each_entry(root, "/sys/class/thermal", "cooling_device", look_at_cooling, &cooling);
    each_entry(root, "/sys/devices/system/cpu", "cpu", look_at_frequency, &least);
    if (on_battery) hyp_bench_warn(w, "the machine runs on battery, where it may be slower than on mains");
    if (cooling) hyp_bench_warn(w, "the processor is being throttled for its temperature");
    if (least.possible_khz > 0 && least.allowed_khz * 100 < least.possible_khz * FREQUENCY_PERCENT)
        hyp_bench_warn(w, "the processor is limited to %llu of %llu MHz", (unsigned long long)least.allowed_khz / 1000,
                       (unsigned long long)least.possible_khz / 1000);
    if (!hyp_bench_read_text(root, "/proc/loadavg", text, sizeof text)) return;
    double load = strtod(text, NULL);
    if (cores > 0 && load > cores / 2.0)
        hyp_bench_warn(w, "other programs are at work: the load average is %.1f on %u cores", load, cores);
}

/* --- the drive --- */

static bool in_memory(const char *name) {
    static const char *const prefixes[] = {"loop", "ram", "zram"};
    for (size_t i = 0; i < HYP_ARRAY_LEN(prefixes); i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0) return true;
    return false;
}

bool hyp_bench_guard_disk_of(const char *diskstats, unsigned major, unsigned minor, uint64_t *ret_ms) {
    bool found = false;
    uint64_t most = 0;
    for (const char *line = diskstats; line != NULL && *line != '\0';) {
        unsigned a, b;
        char name[64];
        unsigned long long ms;
        /* major minor name, then eleven numbers of which the tenth is the time with requests in flight */
        if (sscanf(line, "%u %u %63s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu", &a, &b, name, &ms) == 4 &&
            (major != 0 ? a == major && b == minor : !in_memory(name))) {
            found = true;
            most = HYP_MAX(most, ms);
        }
        line = strchr(line, '\n');
        if (line != NULL) line++;
    }
    if (found) *ret_ms = most;
    return found;
}

int hyp_bench_guard_disk_busy_ms(const char *root, const char *path, uint64_t *ret_ms, hyp_err *err) {
    struct stat st;
    unsigned of_major = 0, of_minor = 0;
    if (stat(path, &st) == 0) {
        of_major = (unsigned)major(st.st_dev);
        of_minor = (unsigned)minor(st.st_dev);
    }
    HYP_AUTOFREE char *text = malloc(DISKSTATS_MAX);
    if (text == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory looking at the drives");
    if (hyp_bench_read_text(root, "/proc/diskstats", text, DISKSTATS_MAX) &&
        (hyp_bench_guard_disk_of(text, of_major, of_minor, ret_ms) || hyp_bench_guard_disk_of(text, 0, 0, ret_ms)))
        return HYP_OK;
    return hyp_err_set(err, HYP_EUNSUPPORTED, "this system does not tell how busy its drives are");
}

void hyp_bench_guard_watch_disk(const char *path, hyp_bench_warnings *w) {
    uint64_t before = 0, after = 0;
    hyp_err ignored = HYP_ERR_NONE;
    if (hyp_bench_guard_disk_busy_ms("", path, &before, &ignored) != HYP_OK) return;
    double start = hyp_text_now_s();
    nanosleep(&(struct timespec){.tv_nsec = DISK_WATCH_MS * 1000000L}, NULL);
    if (hyp_bench_guard_disk_busy_ms("", path, &after, &ignored) != HYP_OK || after < before) return;
    double percent = (double)(after - before) / (hyp_text_now_s() - start) / 10;
    if (percent > DISK_BUSY_PERCENT)
        hyp_bench_warn(w, "other programs use the drive: it is busy %.0f %% of the time", HYP_MIN(percent, 100));
}

void hyp_bench_guard_read_ahead(const char *root, const char *path, hyp_bench_warnings *w) {
    struct stat st;
    char id[32];
    if (stat(path, &st) != 0) return;
    snprintf(id, sizeof id, "%u:%u", (unsigned)major(st.st_dev), (unsigned)minor(st.st_dev));
    uint64_t kb = read_number(root, "/sys/class/bdi", id, "read_ahead_kb");
    if (kb > 4 * READ_AHEAD_KB)
        hyp_bench_warn(w,
                       "the drive reads %llu KB ahead at a page fault, where %d are usual: plain mmap of scattered "
                       "experts is slower with it, and of whole layers faster",
                       (unsigned long long)kb, READ_AHEAD_KB);
}

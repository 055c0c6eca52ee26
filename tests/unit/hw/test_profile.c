/* The kept profile: measured once, found again, measured anew when it does not fit. Speeds are never asserted. */
#include "../test.h"
#include "base/paths.h"
#include "hw/bandwidth_priv.h"
#include "hw/profile.h"

#include <fcntl.h>
#include <ggml-backend.h>
#include <ggml.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64], file[96];
static size_t n_steps;

static bool count(double share, const char *what, void *user) {
    assert_true(share >= 0 && share <= 1 && what[0] != '\0');
    n_steps++;
    return user == NULL;
}

static int set_up(void **state) {
    (void)state;
    strcpy(folder, "/tmp/hypura-profile-XXXXXX");
    if (mkdtemp(folder) == NULL) return -1;
    setenv("XDG_CACHE_HOME", folder, 1);
    snprintf(file, sizeof file, "%s/model", folder);
    int fd = open(file, O_CREAT | O_WRONLY, 0600);
    static char block[1 << 20];
    memset(block, 7, sizeof block);
    for (int i = 0; i < 16; i++)
        if (write(fd, block, sizeof block) != sizeof block) return -1;
    n_steps = 0;
    return close(fd);
}

static int tear_down(void **state) {
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static hyp_profile *profile(const hyp_profile_request *request) {
    hyp_profile *p = calloc(1, sizeof *p);
    hyp_err err = HYP_ERR_NONE;
    int r = hyp_profile_load_or_measure(request, p, &err);
    if (r != HYP_OK) print_message("%s\n", err.message);
    assert_int_equal(r, HYP_OK);
    assert_true(p->hardware.ram_budget_bytes > 0 && p->hardware.threads >= 1);
    return p;
}

static void the_first_measures_the_second_remembers(void **state) {
    (void)state;
    hyp_profile_request request = {.path = file, .quick = true, .types = 1u << GGML_TYPE_Q8_0, .progress = count};
    hyp_profile *first = profile(&request);
    assert_int_equal(first->machine_source, HYP_PROFILE_QUICK);
    assert_int_equal(first->disk_source, HYP_PROFILE_QUICK);
    assert_true(n_steps > 0 && first->hardware.n_rates == 1 && first->disk.n_points > 0);
    const hyp_weight_rate *rate = &first->hardware.rates[0];
    assert_true(rate->decode_bytes_per_s > 0 && rate->repacked_bytes_per_s > 0 && rate->prefill_flop_per_s > 0 &&
                rate->repacked_flop_per_s > 0);
    assert_true(first->hardware.disk_bytes_per_s > 0 && first->hardware.disk_fault_bytes_per_s > 0);
    n_steps = 0;
    hyp_profile *second = profile(&request);
    assert_int_equal(n_steps, 0);
    assert_true(fabs(second->hardware.rates[0].decode_bytes_per_s / rate->decode_bytes_per_s - 1) < 1e-9);
    assert_int_equal(second->disk.n_points, first->disk.n_points);
    assert_true(second->disk.depth == first->disk.depth && second->disk.chunk_bytes == first->disk.chunk_bytes);
    /* Only what is there: measures nothing, in an empty cache either. */
    request.cached_only = true;
    hyp_profile *third = profile(&request);
    assert_int_equal(third->disk_source, HYP_PROFILE_QUICK);
    unlink(third->machine_path), unlink(third->disk_path);
    hyp_profile *fourth = profile(&request);
    assert_int_equal(n_steps, 0);
    assert_int_equal(fourth->machine_source, HYP_PROFILE_DEFAULT);
    assert_int_equal(fourth->disk_source, HYP_PROFILE_DEFAULT);
    assert_int_equal(fourth->machine_path[0], '\0');
    free(first), free(second), free(third), free(fourth);
}

/* Every way to be no profile: measured again, never believed. */
static void what_does_not_fit_is_measured_again(void **state) {
    (void)state;
    hyp_profile_request request = {.path = file, .quick = true, .types = 1u << GGML_TYPE_Q8_0, .progress = count};
    hyp_profile *first = profile(&request);
    static const char *const texts[] = {"", "{", "[]", "null", "{\"format\":1,\"key\":\"another\"}", "{\"format\":99}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_int_equal(hyp_paths_write_atomic(first->disk_path, texts[i], strlen(texts[i]), NULL), HYP_OK);
        n_steps = 0;
        hyp_profile *again = profile(&request);
        assert_true(n_steps > 0);
        free(again);
    }
    /* The right key around rates that cannot be. */
    char *text;
    size_t n;
    assert_int_equal(hyp_paths_read(first->machine_path, 1 << 20, &text, &n, NULL), HYP_OK);
    char *at = strstr(text, "\"decode_bytes_per_s\": ");
    assert_non_null(at);
    at[strlen("\"decode_bytes_per_s\": ")] = '-';
    assert_int_equal(hyp_paths_write_atomic(first->machine_path, text, n, NULL), HYP_OK);
    n_steps = 0;
    hyp_profile *again = profile(&request);
    assert_true(n_steps > 0 && again->hardware.rates[0].decode_bytes_per_s > 0);
    free(text), free(first), free(again);
}

/* The kept file with the value of `name` replaced by `value`. */
static void keep_changed(const char *path, const char *name, const char *value) {
    char *text, key[64], *at;
    size_t n;
    assert_int_equal(hyp_paths_read(path, 1 << 20, &text, &n, NULL), HYP_OK);
    snprintf(key, sizeof key, "\"%s\": ", name);
    at = strstr(text, key);
    assert_non_null(at);
    at += strlen(key);
    char *changed = malloc(n + 64);
    int length = snprintf(changed, n + 64, "%.*s%s%s", (int)(at - text), text, value, at + strcspn(at, ",\n"));
    assert_int_equal(hyp_paths_write_atomic(path, changed, (size_t)length, NULL), HYP_OK);
    free(text), free(changed);
}

/* What other programs disturbed is good for a while only; what they did not, for ever. */
static void what_was_disturbed_is_measured_again(void **state) {
    (void)state;
    hyp_profile_request request = {.quick = true, .types = 1u << GGML_TYPE_Q8_0, .progress = count};
    hyp_profile *first = profile(&request);
    const char *path = first->machine_path;
    request.quick = false;
    keep_changed(path, "quick", "false");
    keep_changed(path, "disturbed", "true");
    n_steps = 0;
    hyp_profile *lately = profile(&request);
    assert_true(lately->machine_disturbed);
    keep_changed(path, "measured_at", "1.0");
    keep_changed(path, "disturbed", "false");
    hyp_profile *calm = profile(&request);
    assert_true(!calm->machine_disturbed && calm->machine_age_s > 1e6);
    assert_int_equal(n_steps, 0);
    keep_changed(path, "disturbed", "true");
    request.user = file; /* stops it: that it began is enough, it takes seconds */
    static hyp_profile again;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_profile_load_or_measure(&request, &again, &err), HYP_ECANCELED);
    free(first), free(lately), free(calm);
}

static void it_can_be_stopped(void **state) {
    (void)state;
    static hyp_profile p;
    hyp_err err = HYP_ERR_NONE;
    hyp_profile_request request = {.path = file, .progress = count, .user = file};
    assert_int_equal(hyp_profile_load_or_measure(&request, &p, &err), HYP_ECANCELED);
    assert_int_equal(n_steps, 1);
}

static void a_missing_file_is_an_error(void **state) {
    (void)state;
    static hyp_profile p;
    hyp_err err = HYP_ERR_NONE;
    hyp_profile_request request = {.path = "/nonexistent/model", .quick = true, .types = 1u << GGML_TYPE_Q8_0};
    assert_int_equal(hyp_profile_load_or_measure(&request, &p, &err), HYP_EIO);
    assert_non_null(strstr(err.message, "/nonexistent/model"));
}

static void unknown_types_borrow_their_neighbours_rates(void **state) {
    (void)state;
    hyp_hardware hw;
    hyp_hardware_default(&hw);
    assert_true(hyp_hardware_rate(&hw, GGML_TYPE_Q4_K).decode_bytes_per_s > 0);
    hw.n_rates = 2;
    hw.rates[0] = (hyp_weight_rate){.type = GGML_TYPE_Q4_0, .decode_bytes_per_s = 4};
    hw.rates[1] = (hyp_weight_rate){.type = GGML_TYPE_Q8_0, .decode_bytes_per_s = 8};
    assert_true(hyp_hardware_rate(&hw, GGML_TYPE_Q4_K).decode_bytes_per_s == 4);
    assert_true(hyp_hardware_rate(&hw, GGML_TYPE_F16).decode_bytes_per_s == 8);
    assert_true(hyp_hardware_rate(&hw, GGML_TYPE_Q8_0).decode_bytes_per_s == 8);
    assert_true(hyp_hardware_rate(&hw, 9999).decode_bytes_per_s > 0);
}

static void types_that_cannot_be_made_are_refused(void **state) {
    (void)state;
    hyp_weight_rate rate;
    hyp_err err = HYP_ERR_NONE;
    hyp_bandwidth_probe bench = {.threads = 2, .weight_bytes = 1 << 20, .seconds = 0.001};
    assert_int_equal(hyp_bandwidth_type(&bench, GGML_TYPE_IQ2_XXS, &rate, &err), HYP_EENGINE);
    assert_true(err.message[0] != '\0');
}

int main(void) {
    if (TEST_BACKENDS_DIR[0] != '\0')
        ggml_backend_load_all_from_path(TEST_BACKENDS_DIR);
    else
        ggml_backend_load_all();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_measures_the_second_remembers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_measured_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_disturbed_is_measured_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_can_be_stopped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_missing_file_is_an_error, set_up, tear_down),
        cmocka_unit_test(unknown_types_borrow_their_neighbours_rates),
        cmocka_unit_test(types_that_cannot_be_made_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

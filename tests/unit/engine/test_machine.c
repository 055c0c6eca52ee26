/* Machines that are imagined, and the one choice of devices: nothing here looks at the machine that the test runs on.
 */
#include "../test.h"
#include "base/text.h"
#include "engine/machine.h"
#include "gguf/model.h"

#include <string.h>

static const hyp_model no_model;

static int look(const hyp_machine_wishes *wishes, hyp_machine *ret, hyp_err *err) {
    memset(ret, 0, sizeof *ret);
    return hyp_machine_look(wishes, &no_model, ret, err);
}

static void devices_that_are_not_there(void **state) {
    (void)state;
    static const char *const names[] = {"pc:64G:20G:remote", "none", "gpu:24G", "gpu:24G"};
    const hyp_machine_wishes wishes = {.devices = {.names = names, .n_names = 4},
                                       .look = HYP_LOOK_NOWHERE,
                                       .what_if = true,
                                       .vram_bytes = (uint64_t)99 << 30,
                                       .disk_bytes_per_s = 3000000000u,
                                       .cpu_bytes_per_s = 40000000000u};
    hyp_machine m;
    assert_int_equal(look(&wishes, &m, NULL), HYP_OK);
    assert_true(m.imagined && m.n_points == 0 && m.machine_source == HYP_PROFILE_DEFAULT);
    const hyp_hardware *hw = &m.hardware;
    assert_int_equal(hw->n_devices, 3); /* what is made up may be there twice */
    assert_string_equal(hw->devices[0].name, "pc");
    assert_int_equal(hw->devices[0].kind, HYP_DEVICE_REMOTE);
    assert_true(hw->devices[0].weight_bytes_per_s == 20.0 * (1 << 30));
    assert_string_equal(hw->devices[1].name, "gpu");
    for (size_t d = 0; d < hw->n_devices; d++) /* --vram is of those that are there */
        assert_true(hw->devices[d].assumed && hw->devices[d].free_bytes < (uint64_t)70 << 30);
    assert_int_equal(m.n_notes, 3);
    assert_non_null(strstr(m.notes[0], "pc is not there"));
    assert_true(hw->disk_bytes_per_s == 3e9 && hw->disk_fault_bytes_per_s <= 3e9);
    assert_int_equal(hw->n_rates, 1);
    assert_true(hw->rates[0].decode_bytes_per_s == 40e9 && hw->memory_bytes_per_s == 40e9);
}

static void vram_without_a_device_is_a_gpu(void **state) {
    (void)state;
    static const char *const none[] = {"none"};
    hyp_machine_wishes wishes = {.look = HYP_LOOK_NOWHERE, .what_if = true, .vram_bytes = (uint64_t)8 << 30};
    hyp_machine m;
    assert_int_equal(look(&wishes, &m, NULL), HYP_OK);
    assert_int_equal(m.hardware.n_devices, 1);
    assert_string_equal(m.hardware.devices[0].name, "GPU");
    assert_int_equal(m.n_notes, 2);
    wishes.devices = (hyp_device_choice){.names = none, .n_names = 1};
    assert_int_equal(look(&wishes, &m, NULL), HYP_OK);
    assert_int_equal(m.hardware.n_devices, 0);
    wishes = (hyp_machine_wishes){.look = HYP_LOOK_NOWHERE, .vram_bytes = (uint64_t)8 << 30};
    assert_int_equal(look(&wishes, &m, NULL), HYP_OK);
    assert_int_equal(m.hardware.n_devices, 0); /* an engine runs on what is there */
}

static void what_describes_nothing_is_an_error(void **state) {
    (void)state;
    static const char *const wrong[] = {"gpu9", "gpu:", ":8G", "gpu:8G:", "gpu:8G:1G:far", "gpu:8G:1G:gpu:more",
                                        "gpu:0"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        for (int what_if = 0; what_if < 2; what_if++) {
            const hyp_machine_wishes wishes = {
                .devices = {.names = &wrong[i], .n_names = 1}, .look = HYP_LOOK_NOWHERE, .what_if = what_if != 0};
            hyp_machine m;
            hyp_err err = HYP_ERR_NONE;
            assert_int_equal(look(&wishes, &m, &err), HYP_EINVAL);
            assert_non_null(strstr(err.message, "there is no device"));
            assert_non_null(strstr(err.hint, what_if != 0 ? "NAME:MEMORY" : "ggml found no device"));
        }
    static const char *const described[] = {"gpu:8G"};
    const hyp_machine_wishes real = {.devices = {.names = described, .n_names = 1}, .look = HYP_LOOK_NOWHERE};
    hyp_machine m;
    assert_int_equal(look(&real, &m, NULL), HYP_EINVAL); /* only plans of what would be may describe one */
}

static void real_devices_are_chosen_in_order_and_once(void **state) {
    (void)state;
    hyp_hardware hw = {.n_devices = 3};
    strcpy(hw.devices[0].name, "A");
    strcpy(hw.devices[1].name, "B");
    strcpy(hw.devices[1].description, "llvmpipe (LLVM 15)");
    strcpy(hw.devices[2].name, "C");
    hyp_hardware chosen = hw;
    assert_int_equal(hyp_devices_choose(&(hyp_device_choice){0}, &chosen, NULL), HYP_OK);
    assert_int_equal(chosen.n_devices, 2); /* software only where it is named */
    assert_string_equal(chosen.devices[1].name, "C");
    static const char *const names[] = {"C", "B", "C"};
    chosen = hw;
    assert_int_equal(hyp_devices_choose(&(hyp_device_choice){.names = names, .n_names = 3}, &chosen, NULL), HYP_OK);
    assert_int_equal(chosen.n_devices, 2);
    assert_string_equal(chosen.devices[0].name, "C");
    assert_string_equal(chosen.devices[1].name, "B");
    static const char *const unknown[] = {"D"};
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_devices_choose(&(hyp_device_choice){.names = unknown, .n_names = 1}, &hw, &err), HYP_EINVAL);
    assert_string_equal(err.hint, "there is: A, B, C");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_that_are_not_there),
        cmocka_unit_test(vram_without_a_device_is_a_gpu),
        cmocka_unit_test(what_describes_nothing_is_an_error),
        cmocka_unit_test(real_devices_are_chosen_in_order_and_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Stores of other tools, with what a hostile or broken one may hold. Models themselves are not opened here. */
#include "../test.h"
#include "registry/registry_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char root[] = "/tmp/hypura-registry-XXXXXX";

static void put(const char *path, const char *content) {
    char full[1024];
    snprintf(full, sizeof full, "%s/%s", root, path);
    for (char *slash = strchr(full + strlen(root) + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(full, 0700);
        *slash = '/';
    }
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    fputs(content, f);
    fclose(f);
}

static const candidate *named(const candidates *list, const char *text) {
    for (size_t i = 0; i < list->n; i++) {
        char buf[HYP_NAME_MAX];
        if (strcmp(hyp_name_format(&list->items[i].name, buf, sizeof buf), text) == 0) return &list->items[i];
    }
    return NULL;
}

static const char good_manifest[] =
    "{\"layers\":[{\"mediaType\":\"application/vnd.ollama.image.model\",\"digest\":\"sha256:" HEX
    "\"},{\"mediaType\":\"application/vnd.ollama.image.params\",\"digest\":\"sha256:" HEX "\"}]}";

static void ollamas_manifests_are_read(void **state) {
    (void)state;
    char path[1024];
    put("ollama/blobs/sha256-" HEX, "{\"stop\":[\"x\"]}");
    put("ollama/secret", "top");
    put("ollama/manifests/registry.ollama.ai/library/llama3.2/latest", good_manifest);
    put("ollama/manifests/registry.ollama.ai/me/mine/7b", good_manifest);
    put("ollama/manifests/hf.co/org/repo/Q4_K_M", good_manifest);
    static const char *const hostile[] = {
        "",
        "{",
        "[]",
        "null",
        "{\"layers\":3}",
        "{\"layers\":[1,null,{}]}",
        "{\"layers\":[{\"mediaType\":\"application/vnd.ollama.image.model\",\"digest\":\"sha256:../../secret\"}]}",
        "{\"layers\":[{\"mediaType\":\"application/vnd.ollama.image.model\",\"digest\":\"sha256:" HEX "/../x\"}]}",
        "{\"layers\":[{\"mediaType\":\"application/vnd.ollama.image.model\",\"digest\":7}]}",
        "{\"layers\":[{\"mediaType\":\"application/vnd.ollama.image.model\",\"digest\":\"sha512:" HEX "\"}]}",
        "{\"layers\":[{\"mediaType\":\"application/"
        "vnd.ollama.image.model\",\"digest\":\"sha256:"
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\"}]}"};
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        snprintf(path, sizeof path, "ollama/manifests/registry.ollama.ai/library/bad%zu/latest", i);
        put(path, hostile[i]);
    }
    put("ollama/manifests/registry.ollama.ai/library/bad name/latest", good_manifest);
    put("ollama/manifests/short", good_manifest);
    candidates list = {0};
    snprintf(path, sizeof path, "%s/ollama", root);
    hyp_scan_ollama(&list, path);
    assert_int_equal(list.n, 3);
    const candidate *c = named(&list, "llama3.2:latest");
    assert_non_null(c);
    assert_non_null(strstr(c->path, "/blobs/sha256-" HEX));
    assert_string_equal(c->params, "{\"stop\":[\"x\"]}");
    assert_non_null(named(&list, "me/mine:7b"));
    assert_non_null(named(&list, "hf.co/org/repo:Q4_K_M"));
    hyp_candidates_free(&list);
}

static void hugging_faces_cache_is_read(void **state) {
    (void)state;
    char path[1024];
    put("hub/models--org--Repo-GGUF/snapshots/abc/Model-Q4_K_M.gguf", "x");
    put("hub/models--org--Repo-GGUF/snapshots/abc/Model-Q8_0.gguf", "x");
    put("hub/models--org--Repo-GGUF/snapshots/abc/mmproj-Model-F16.gguf", "x");
    put("hub/models--org--Repo-GGUF/snapshots/abc/README.md", "x");
    put("hub/models--org--Big/snapshots/abc/Big-Q4_0-00001-of-00002.gguf", "x");
    put("hub/models--org--Big/snapshots/abc/Big-Q4_0-00002-of-00002.gguf", "x");
    put("hub/models--noslash/snapshots/abc/a.gguf", "x");
    put("hub/datasets--a--b/snapshots/abc/a.gguf", "x");
    candidates list = {0};
    snprintf(path, sizeof path, "%s/hub", root);
    hyp_scan_huggingface(&list, path);
    assert_int_equal(list.n, 3);
    assert_non_null(named(&list, "hf.co/org/Repo-GGUF:Q4_K_M"));
    assert_non_null(named(&list, "hf.co/org/Repo-GGUF:Q8_0"));
    assert_non_null(named(&list, "hf.co/org/Big:Q4_0"));
    hyp_candidates_free(&list);
}

static void folders_are_walked(void **state) {
    (void)state;
    char path[1024];
    put("plain/a-Q4_0.gguf", "x");
    put("plain/deep/er/b.GGUF", "x");
    put("plain/pub/same.gguf", "x");
    put("plain/zzz/same.gguf", "x");
    put("plain/.hidden.gguf", "x");
    put("plain/note.txt", "x");
    put("plain/1/2/3/4/5/6/far.gguf", "x");
    snprintf(path, sizeof path, "%s/plain/loop", root);
    assert_int_equal(symlink("..", path), 0);
    candidates list = {0};
    snprintf(path, sizeof path, "%s/plain", root);
    hyp_scan_folder(&list, path, "file");
    assert_non_null(named(&list, "a:Q4_0"));
    assert_non_null(named(&list, "b:latest"));
    assert_non_null(named(&list, "same:latest"));
    assert_null(named(&list, "far:latest"));
    hyp_candidates_free(&list);
    hyp_scan_folder(&list, "/nonexistent", "file");
    assert_int_equal(list.n, 0);
}

static void names_are_resolved(void **state) {
    (void)state;
    char path[1024], *found = NULL;
    snprintf(path, sizeof path, "%s/ollama", root);
    setenv("OLLAMA_MODELS", path, 1);
    snprintf(path, sizeof path, "%s/hub", root);
    setenv("HF_HUB_CACHE", path, 1);
    snprintf(path, sizeof path, "%s/plain", root);
    setenv("LLAMA_CACHE", path, 1);
    setenv("HOME", root, 1);
    static const struct {
        const char *name, *in; /* NULL: not found */
    } cases[] = {{"llama3.2", "/blobs/"},   {"LLAMA3.2:latest", "/blobs/"},
                 {"llama3.2:7b", NULL},     {"me/mine:7b", "/blobs/"},
                 {"mine", "/blobs/"},       {"repo-gguf", "Model-Q4_K_M"},
                 {"org/repo", "/blobs/"},   {"hf.co/org/Repo-GGUF:Q8_0", "Model-Q8_0"},
                 {"Big", "00001-of-00002"}, {"a", "a-Q4_0.gguf"},
                 {"a-Q4_0", "a-Q4_0.gguf"}, {"../secret", NULL},
                 {"nothing", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hyp_err err = HYP_ERR_NONE;
        int r = hyp_registry_resolve(cases[i].name, &found, &err);
        if (cases[i].in == NULL) {
            assert_int_equal(r, HYP_ENOTFOUND);
            assert_true(err.hint[0] != '\0');
            continue;
        }
        assert_int_equal(r, HYP_OK);
        assert_non_null(strstr(found, cases[i].in));
        free(found);
    }
}

static int set_up(void **state) {
    (void)state;
    return mkdtemp(root) == NULL;
}

static int tear_down(void **state) {
    (void)state;
    char command[1100];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(ollamas_manifests_are_read),
                                       cmocka_unit_test(hugging_faces_cache_is_read),
                                       cmocka_unit_test(folders_are_walked), cmocka_unit_test(names_are_resolved)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

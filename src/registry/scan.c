/* scan.c - where models lie on a machine: plain folders, and the stores of other tools. */
#include "base/json.h"
#include "base/mem.h"
#include "base/paths.h"
#include "base/platform.h"
#include "base/text.h"
#include "registry/registry_priv.h"

#include <dirent.h>
#include <limits.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { MAX_FILES = 20000, MAX_DEPTH = 4, MAX_MANIFEST = 1 << 20, MAX_LAYER = 256 << 10, MAX_ENTRIES = 100000 };

void hyp_candidates_free(candidates *list) {
    for (size_t i = 0; i < list->n; i++) {
        free(list->items[i].path);
        free(list->items[i].system);
        free(list->items[i].params);
    }
    free(list->items);
    *list = (candidates){0};
}

static bool same_name_taken(const candidates *list, const hyp_name *name) {
    for (size_t i = 0; i < list->n; i++)
        if (hyp_name_equal(&list->items[i].name, name)) return true;
    return false;
}

/* Append; the first of two models of one name stays. NULL when not appended. */
static candidate *add(candidates *list, const hyp_name *name, const char *path, const char *source) {
    struct stat st;
    if (list->n >= MAX_FILES || stat(path, &st) != 0 || !S_ISREG(st.st_mode) || same_name_taken(list, name))
        return NULL;
    if (list->n == list->capacity) {
        size_t capacity = list->capacity == 0 ? 16 : 2 * list->capacity;
        candidate *more = realloc(list->items, capacity * sizeof *more);
        if (more == NULL) return NULL;
        list->items = more;
        list->capacity = capacity;
    }
    char *copy = strdup(path);
    if (copy == NULL) return NULL;
    struct timespec modified = hyp_platform_mtime(&st);
    list->items[list->n] = (candidate){.name = *name,
                                       .path = copy,
                                       .source = source,
                                       .bytes = st.st_size,
                                       .modified_ns = (int64_t)modified.tv_sec * 1000000000 + modified.tv_nsec};
    return &list->items[list->n++];
}

bool hyp_scan_stem(const char *path, char *ret, size_t size) {
    const char *base = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
    size_t n = strlen(base);
    if (n < 6 || strcasecmp(base + n - 5, ".gguf") != 0) return false;
    n -= 5;
    unsigned part = 0, of = 0;
    int used = 0;
    if (n > 15 && sscanf(base + n - 15, "-%5u-of-%5u%n", &part, &of, &used) == 2 && used == 15) {
        if (part != 1) return false;
        n -= 15;
    }
    if (n >= size) return false;
    memcpy(ret, base, n);
    ret[n] = '\0';
    return true;
}

/* "SmolLM2-135M-Instruct-Q4_K_M" becomes SmolLM2-135M-Instruct:Q4_K_M. */
static void name_of_stem(const char *stem, hyp_name *ret) {
    size_t quant = hyp_name_quant_suffix(stem), n = strlen(stem);
    *ret = (hyp_name){0};
    if (quant > 1 && n - quant <= HYP_NAME_PART_MAX) {
        hyp_name_sanitize(stem, quant - 1, ret->model);
        hyp_name_sanitize(stem + quant, n - quant, ret->tag);
    } else {
        hyp_name_sanitize(stem, n, ret->model);
        memcpy(ret->tag, "latest", 7);
    }
}

bool hyp_scan_file(candidates *list, const char *path, const char *source, const char *space) {
    char stem[NAME_MAX + 1];
    hyp_name name;
    if (!hyp_scan_stem(path, stem, sizeof stem) || strcasestr(stem, "mmproj") != NULL) return false;
    name_of_stem(stem, &name);
    if (space != NULL && same_name_taken(list, &name)) hyp_name_sanitize(space, strlen(space), name.space);
    return add(list, &name, path, source) != NULL;
}

typedef void (*visit_fn)(candidates *list, const char *path, const char *parent, const char *source);

static int visible(const struct dirent *e) {
    return e->d_name[0] != '.';
}

/* Call `visit` for every file below `path`, in the order of names, so that what is found first is always the same. */
static void walk(candidates *list, const char *path, int depth, const char *source, visit_fn visit) {
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, visible, alphasort);
    for (int i = 0; i < n; i++) {
        char child[PATH_MAX];
        struct stat st;
        bool fits =
            i < MAX_ENTRIES && snprintf(child, sizeof child, "%s/%s", path, entries[i]->d_name) < (int)sizeof child;
        free(entries[i]);
        if (!fits || stat(child, &st) != 0) continue;
        const char *parent = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
        if (S_ISDIR(st.st_mode) && depth > 0)
            walk(list, child, depth - 1, source, visit);
        else if (S_ISREG(st.st_mode))
            visit(list, child, parent, source);
    }
    if (n >= 0) free(entries);
}

static void visit_gguf(candidates *list, const char *path, const char *parent, const char *source) {
    hyp_scan_file(list, path, source, parent);
}

void hyp_scan_folder(candidates *list, const char *path, const char *source) {
    walk(list, path, MAX_DEPTH, source, visit_gguf);
}

/* --- Ollama: manifests/HOST/NAMESPACE/MODEL/TAG name blobs/sha256-HEX --- */

/* "sha256:<64 hex digits>" becomes ROOT/blobs/sha256-<hex>. Anything else could lead out of the folder. */
static bool blob_path(const char *root, const char *digest, char *ret, size_t size) {
    if (digest == NULL || strncmp(digest, "sha256:", 7) != 0 || strlen(digest) != 71) return false;
    if (strspn(digest + 7, "0123456789abcdef") != 64) return false;
    return snprintf(ret, size, "%s/blobs/sha256-%s", root, digest + 7) < (int)size;
}

static char *read_layer(const char *path) {
    char *text = NULL;
    hyp_err ignored = HYP_ERR_NONE;
    return hyp_paths_read(path, MAX_LAYER, &text, NULL, &ignored) == HYP_OK ? text : NULL;
}

static void read_layers(candidates *list, const char *root, const hyp_name *name, yyjson_val *layers) {
    static const char media[] = "application/vnd.ollama.image.";
    char model[PATH_MAX], path[PATH_MAX];
    model[0] = '\0';
    HYP_AUTOFREE char *system = NULL;
    HYP_AUTOFREE char *params = NULL;
    size_t i, n;
    yyjson_val *layer;
    yyjson_arr_foreach(layers, i, n, layer) {
        const char *type = yyjson_get_str(yyjson_obj_get(layer, "mediaType"));
        if (type == NULL || strncmp(type, media, sizeof media - 1) != 0) continue;
        if (!blob_path(root, yyjson_get_str(yyjson_obj_get(layer, "digest")), path, sizeof path)) continue;
        type += sizeof media - 1;
        if (strcmp(type, "model") == 0 && model[0] == '\0')
            memcpy(model, path, strlen(path) + 1);
        else if (strcmp(type, "system") == 0 && system == NULL)
            system = read_layer(path);
        else if (strcmp(type, "params") == 0 && params == NULL)
            params = read_layer(path);
    }
    candidate *c = model[0] != '\0' ? add(list, name, model, "ollama") : NULL;
    if (c == NULL) return;
    c->system = HYP_TAKE(system);
    c->params = HYP_TAKE(params);
}

/* The last four components of a manifest's path are its name. */
static void visit_manifest(candidates *list, const char *path, const char *parent, const char *root) {
    (void)parent;
    const char *rel = path + strlen(root) + strlen("/manifests/");
    char text[PATH_MAX];
    hyp_name name;
    hyp_err ignored = HYP_ERR_NONE;
    const char *tag = strrchr(rel, '/');
    if (tag == NULL || snprintf(text, sizeof text, "%.*s:%s", (int)(tag - rel), rel, tag + 1) >= (int)sizeof text)
        return;
    if (hyp_name_parse(text, &name, &ignored) != HYP_OK) return;
    HYP_AUTOFREE char *data = NULL;
    size_t n = 0;
    if (hyp_paths_read(path, MAX_MANIFEST, &data, &n, &ignored) != HYP_OK) return;
    yyjson_doc *doc = NULL;
    if (hyp_json_parse(data, n, &doc, &ignored) != HYP_OK) return;
    read_layers(list, root, &name, yyjson_obj_get(yyjson_doc_get_root(doc), "layers"));
    yyjson_doc_free(doc);
}

void hyp_scan_ollama(candidates *list, const char *root) {
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/manifests", root) >= (int)sizeof path) return;
    walk(list, path, MAX_DEPTH, root, visit_manifest);
}

/* --- Hugging Face: models--ORG--NAME/snapshots/REVISION/FILE.gguf --- */

static void visit_snapshot(candidates *list, const char *path, const char *parent, const char *repo) {
    (void)parent;
    char stem[NAME_MAX + 1], text[PATH_MAX];
    hyp_name name;
    hyp_err ignored = HYP_ERR_NONE;
    if (!hyp_scan_stem(path, stem, sizeof stem) || strcasestr(stem, "mmproj") != NULL) return;
    size_t quant = hyp_name_quant_suffix(stem);
    const char *dashes = strstr(repo, "--");
    if (dashes == NULL || snprintf(text, sizeof text, "hf.co/%.*s/%s:%s", (int)(dashes - repo), repo, dashes + 2,
                                   quant > 0 ? stem + quant : "latest") >= (int)sizeof text)
        return;
    if (hyp_name_parse(text, &name, &ignored) == HYP_OK) add(list, &name, path, "huggingface");
}

void hyp_scan_huggingface(candidates *list, const char *root) {
    struct dirent **entries = NULL;
    int n = scandir(root, &entries, visible, alphasort);
    for (int i = 0; i < n; i++) {
        char path[PATH_MAX];
        static const char prefix[] = "models--";
        const char *name = entries[i]->d_name;
        if (strncmp(name, prefix, sizeof prefix - 1) == 0 &&
            snprintf(path, sizeof path, "%s/%s/snapshots", root, name) < (int)sizeof path)
            walk(list, path, MAX_DEPTH, name + sizeof prefix - 1, visit_snapshot);
        free(entries[i]);
    }
    if (n >= 0) free(entries);
}

/* --- where each tool keeps its store --- */

/* $VARIABLE (with `tail` below it), else ~/`below_home`. False without a home. */
static bool store_path(const char *variable, const char *tail, const char *below_home, char *ret, size_t size) {
    const char *value = variable != NULL ? getenv(variable) : NULL, *home = getenv("HOME");
    if (value != NULL && value[0] == '/') return snprintf(ret, size, "%s%s", value, tail) < (int)size;
    return home != NULL && home[0] == '/' && snprintf(ret, size, "%s/%s", home, below_home) < (int)size;
}

void hyp_scan_machine(candidates *list) {
    char path[PATH_MAX];
    if (store_path("HYPURA_MODELS", "", ".local/share/hypura/models", path, sizeof path))
        hyp_scan_folder(list, path, "file");
    if (store_path("OLLAMA_MODELS", "", ".ollama/models", path, sizeof path)) hyp_scan_ollama(list, path);
    if (getenv("OLLAMA_MODELS") == NULL)
        hyp_scan_ollama(list, "/usr/share/ollama/.ollama/models"); /* its system service */
    if (store_path("HF_HUB_CACHE", "", "", path, sizeof path) && getenv("HF_HUB_CACHE") != NULL)
        hyp_scan_huggingface(list, path);
    else if (store_path("HF_HOME", "/hub", ".cache/huggingface/hub", path, sizeof path))
        hyp_scan_huggingface(list, path);
    if (store_path("LLAMA_CACHE", "", ".cache/llama.cpp", path, sizeof path)) hyp_scan_folder(list, path, "llama.cpp");
    if (store_path(NULL, "", ".lmstudio/models", path, sizeof path)) hyp_scan_folder(list, path, "lmstudio");
    if (store_path(NULL, "", ".cache/lm-studio/models", path, sizeof path)) hyp_scan_folder(list, path, "lmstudio");
}

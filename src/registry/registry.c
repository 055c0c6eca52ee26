#include "registry/registry.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/text.h"
#include "registry/gotemplate.h"
#include "registry/registry_priv.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static const double RESCAN_AFTER_S = 1;

typedef struct entries {
    hyp_entry **items;
    size_t n;
} entries;

struct hyp_registry {
    char *root; /* file or folder, or NULL: the machine's stores; immutable */

    pthread_mutex_t lock; /* never held while files are read */
    entries files, aliases;
    double scanned_s;
    bool scanning;        /* one thread looks at the disk; the others are served what was known */
    summary_cache *cache; /* the scanning thread's */
};

hyp_entry *hyp_entry_ref(hyp_entry *entry) {
    atomic_fetch_add((atomic_uint *)entry->refs, 1);
    return entry;
}

void hyp_entry_unref(hyp_entry *entry) {
    if (entry == NULL || atomic_fetch_sub((atomic_uint *)entry->refs, 1) != 1) return;
    free(entry->refs);
    free(entry->path);
    free(entry->parent);
    free(entry->system);
    free(entry->template_text);
    free(entry->messages);
    hyp_params_free(&entry->params);
    free(entry);
}

static hyp_entry *entry_new(const hyp_name *name, const char *path) {
    hyp_entry *entry = calloc(1, sizeof *entry);
    atomic_uint *refs = calloc(1, sizeof *refs);
    char *copy = strdup(path);
    if (entry == NULL || refs == NULL || copy == NULL) {
        free(entry);
        free(refs);
        free(copy);
        return NULL;
    }
    atomic_init(refs, 1);
    entry->refs = refs;
    entry->path = copy;
    entry->name = *name;
    hyp_name_format(name, entry->display, sizeof entry->display);
    hyp_params_init(&entry->params);
    return entry;
}

static void entries_free(entries *list) {
    for (size_t i = 0; i < list->n; i++)
        hyp_entry_unref(list->items[i]);
    free(list->items);
    *list = (entries){0};
}

/* Takes the reference. */
static bool entries_add(entries *list, hyp_entry *entry) {
    hyp_entry **more = realloc(list->items, (list->n + 1) * sizeof *more);
    if (more == NULL) {
        hyp_entry_unref(entry);
        return false;
    }
    list->items = more;
    list->items[list->n++] = entry;
    return true;
}

static hyp_entry *entry_of(const candidate *c, const hyp_model_summary *summary) {
    hyp_entry *entry = entry_new(&c->name, c->path);
    if (entry == NULL) return NULL;
    entry->source = c->source;
    entry->modified_ns = c->modified_ns;
    entry->summary = *summary;
    if (c->system != NULL) entry->system = strdup(c->system);
    yyjson_doc *doc = NULL;
    hyp_err ignored = HYP_ERR_NONE;
    if (c->params != NULL && hyp_json_parse(c->params, strlen(c->params), &doc, &ignored) == HYP_OK &&
        hyp_params_apply(&entry->params, yyjson_doc_get_root(doc), &ignored) != HYP_OK) {
        hyp_params_free(&entry->params);
        hyp_params_init(&entry->params);
    }
    yyjson_doc_free(doc);
    return entry;
}

static int by_name(const void *a, const void *b) {
    return strcasecmp((*(hyp_entry *const *)a)->display, (*(hyp_entry *const *)b)->display);
}

static bool is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Read the disk. The last failure to open a model is left in `err`; others are merely left out of the list. */
static void scan(hyp_registry *registry, entries *ret, hyp_err *err) {
    candidates found = {0};
    double begin_s = hyp_text_now_s();
    if (registry->root == NULL)
        hyp_scan_machine(&found);
    else if (is_folder(registry->root))
        hyp_scan_folder(&found, registry->root, "file");
    else
        hyp_scan_file(&found, registry->root, "file", NULL);
    for (size_t i = 0; i < found.n; i++) {
        hyp_model_summary summary;
        hyp_err why = HYP_ERR_NONE;
        if (hyp_summary_get(registry->cache, &found.items[i], &summary, &why) != HYP_OK) {
            HYP_LOG(SESSION, DEBUG, "left out %s: %s", found.items[i].path, why.message);
            *err = why;
            continue;
        }
        hyp_entry *entry = entry_of(&found.items[i], &summary);
        if (entry != NULL) entries_add(ret, entry);
    }
    HYP_LOG(SESSION, DEBUG, "looked for models in %s: %zu of %zu files in %.3f s",
            registry->root != NULL ? registry->root : "this machine's stores", ret->n, found.n,
            hyp_text_now_s() - begin_s);
    hyp_candidates_free(&found);
    if (ret->n > 1) qsort(ret->items, ret->n, sizeof *ret->items, by_name);
    hyp_summary_cache_save(registry->cache);
}

static void refresh(hyp_registry *registry, bool now) {
    pthread_mutex_lock(&registry->lock);
    bool mine = !registry->scanning && (now || hyp_text_now_s() - registry->scanned_s > RESCAN_AFTER_S);
    if (mine) registry->scanning = true;
    pthread_mutex_unlock(&registry->lock);
    if (!mine) return;
    entries fresh = {0};
    hyp_err ignored = HYP_ERR_NONE;
    scan(registry, &fresh, &ignored);
    pthread_mutex_lock(&registry->lock);
    entries old = registry->files;
    registry->files = fresh;
    registry->scanned_s = hyp_text_now_s();
    registry->scanning = false;
    pthread_mutex_unlock(&registry->lock);
    entries_free(&old);
}

static int nothing_found(const hyp_registry *registry, const hyp_err *why, hyp_err *err) {
    if (why->code != 0) return hyp_err_pass(err, why);
    if (registry->root == NULL)
        hyp_err_set(err, HYP_ENOTFOUND, "no model was found on this machine");
    else
        hyp_err_set(err, HYP_ENOTFOUND, "there is no GGUF model in %s", registry->root);
    hyp_err_hint(err, "name a GGUF file or a folder that holds some: hypura serve ~/models");
    return HYP_ENOTFOUND;
}

int hyp_registry_open(const char *path, hyp_registry **ret, hyp_err *err) {
    HYP_AUTOFREE char *root = NULL;
    if (path != NULL && is_folder(path))
        root = strdup(path);
    else if (path != NULL) {
        int r = hyp_registry_resolve(path, &root, err);
        if (r != HYP_OK) return r;
    }
    hyp_registry *registry = calloc(1, sizeof *registry);
    if (registry != NULL) registry->cache = hyp_summary_cache_open();
    if (registry == NULL || registry->cache == NULL || (path != NULL && root == NULL)) {
        free(registry);
        return hyp_err_set(err, HYP_ENOMEM, "out of memory for the list of models");
    }
    registry->root = HYP_TAKE(root);
    pthread_mutex_init(&registry->lock, NULL);
    hyp_err why = HYP_ERR_NONE;
    scan(registry, &registry->files, &why);
    registry->scanned_s = hyp_text_now_s();
    if (registry->files.n == 0 && registry->root != NULL) {
        int r = nothing_found(registry, &why, err);
        hyp_registry_close(registry);
        return r;
    }
    *ret = registry;
    return HYP_OK;
}

void hyp_registry_close(hyp_registry *registry) {
    if (registry == NULL) return;
    entries_free(&registry->files);
    entries_free(&registry->aliases);
    hyp_summary_cache_close(registry->cache);
    pthread_mutex_destroy(&registry->lock);
    free(registry->root);
    free(registry);
}

static const entries *both(const hyp_registry *registry, size_t which) {
    return which == 0 ? &registry->aliases : &registry->files;
}

int hyp_registry_list(hyp_registry *registry, hyp_entry ***ret, size_t *ret_n, hyp_err *err) {
    refresh(registry, false);
    pthread_mutex_lock(&registry->lock);
    size_t n = 0, total = registry->aliases.n + registry->files.n;
    hyp_entry **list = calloc(total > 0 ? total : 1, sizeof *list);
    for (size_t w = 0; list != NULL && w < 2; w++)
        for (size_t i = 0; i < both(registry, w)->n; i++)
            list[n++] = hyp_entry_ref(both(registry, w)->items[i]);
    pthread_mutex_unlock(&registry->lock);
    if (list == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    qsort(list, n, sizeof *list, by_name);
    *ret = list;
    *ret_n = n;
    return HYP_OK;
}

void hyp_registry_free_list(hyp_entry **list, size_t n) {
    for (size_t i = 0; list != NULL && i < n; i++)
        hyp_entry_unref(list[i]);
    free(list);
}

/* How well an entry answers to a name: 0 not at all; the highest wins, the first among equals. */
static int match(const hyp_name *have, const char *path, const hyp_name *want) {
    char stem[256], model[HYP_NAME_PART_MAX + 1];
    if (hyp_name_equal(have, want)) return 100;
    bool tag_fits = !want->tagged || strcasecmp(have->tag, want->tag) == 0;
    int bonus = strcasecmp(have->tag, "latest") == 0 ? 3 : strcasecmp(have->tag, "Q4_K_M") == 0 ? 2 : 1;
    if (hyp_name_same_model(have, want) && !want->tagged) return 60 + bonus;
    if (want->space[0] == '\0' && hyp_scan_stem(path, stem, sizeof stem) &&
        (!want->tagged || strcasecmp(want->tag, "latest") == 0)) {
        hyp_name_sanitize(stem, strlen(stem), model);
        if (strcasecmp(model, want->model) == 0) return 50;
    }
    bool space_fits = want->host[0] == '\0' && (want->space[0] == '\0' || strcasecmp(have->space, want->space) == 0);
    if (!space_fits || !tag_fits) return 0;
    if (strcasecmp(have->model, want->model) == 0) return 20 + bonus;
    /* A repository's name mostly ends in "-GGUF", which nobody types. */
    size_t n = strlen(have->model);
    if (n > 5 && strcasecmp(have->model + n - 5, "-GGUF") == 0 && strlen(want->model) == n - 5 &&
        strncasecmp(have->model, want->model, n - 5) == 0)
        return 10 + bonus;
    return 0;
}

static hyp_entry *find_known(hyp_registry *registry, const hyp_name *want) {
    hyp_entry *best = NULL;
    int best_score = 0;
    pthread_mutex_lock(&registry->lock);
    for (size_t w = 0; w < 2; w++)
        for (size_t i = 0; i < both(registry, w)->n; i++) {
            hyp_entry *entry = both(registry, w)->items[i];
            int score =
                entry->alias ? (hyp_name_equal(&entry->name, want) ? 101 : 0) : match(&entry->name, entry->path, want);
            if (score > best_score) {
                best = entry;
                best_score = score;
            }
        }
    if (best != NULL) hyp_entry_ref(best);
    pthread_mutex_unlock(&registry->lock);
    return best;
}

int hyp_registry_find(hyp_registry *registry, const char *name, hyp_entry **ret, hyp_err *err) {
    hyp_name want;
    int r = hyp_name_parse(name, &want, err);
    if (r != HYP_OK) return r;
    refresh(registry, false);
    hyp_entry *found = find_known(registry, &want);
    if (found == NULL) {
        refresh(registry, true);
        found = find_known(registry, &want);
    }
    if (found == NULL) return hyp_err_set(err, HYP_ENOTFOUND, "model '%.200s' not found", name);
    *ret = found;
    return HYP_OK;
}

static char *copy_or(const char *text, const char *fallback) {
    const char *from = text != NULL ? text : fallback;
    return from != NULL ? strdup(from) : NULL;
}

const char *hyp_entry_chat_template(const hyp_entry *entry) {
    return entry->template_text != NULL && hyp_gotemplate_is_jinja(entry->template_text) ? entry->template_text : NULL;
}

static hyp_entry *alias_entry(const hyp_alias *alias, const hyp_name *name, const hyp_entry *from, hyp_err *err) {
    hyp_entry *entry = entry_new(name, from->path);
    if (entry == NULL) return NULL;
    entry->source = from->source;
    entry->modified_ns = from->modified_ns;
    entry->summary = from->summary;
    entry->alias = true;
    entry->parent = strdup(from->display);
    entry->system = copy_or(alias->system, from->system);
    entry->template_text = copy_or(alias->template_text, from->template_text);
    entry->messages = copy_or(alias->messages, from->messages);
    if (hyp_entry_chat_template(entry) != NULL) {
        entry->summary.capabilities &= ~(unsigned)(HYP_CAN_TOOLS | HYP_CAN_THINK);
        entry->summary.capabilities |= hyp_summary_template_capabilities(entry->template_text);
    }
    hyp_params_free(&entry->params);
    if (hyp_params_copy(&entry->params, alias->params != NULL ? alias->params : &from->params, err) == HYP_OK)
        return entry;
    hyp_entry_unref(entry);
    return NULL;
}

int hyp_registry_add_alias(hyp_registry *registry, const hyp_alias *alias, hyp_err *err) {
    hyp_name name;
    hyp_entry *from = NULL;
    int r = hyp_name_parse(alias->name, &name, err);
    if (r == HYP_OK) r = hyp_registry_find(registry, alias->from, &from, err);
    if (r != HYP_OK) return r;
    hyp_entry *entry = alias_entry(alias, &name, from, err), *old = NULL;
    hyp_entry_unref(from);
    if (entry == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    pthread_mutex_lock(&registry->lock);
    for (size_t i = 0; i < registry->files.n; i++)
        if (hyp_name_equal(&registry->files.items[i]->name, &name))
            r = hyp_err_set(err, HYP_EINVAL, "\"%s\" is the name of a file", alias->name);
    for (size_t i = 0; r == HYP_OK && i < registry->aliases.n && old == NULL; i++)
        if (hyp_name_equal(&registry->aliases.items[i]->name, &name)) {
            old = registry->aliases.items[i];
            registry->aliases.items[i] = entry;
        }
    if (r == HYP_OK && old == NULL && !entries_add(&registry->aliases, entry))
        r = hyp_err_set(err, HYP_ENOMEM, "out of memory");
    else if (r != HYP_OK)
        old = entry;
    pthread_mutex_unlock(&registry->lock);
    hyp_entry_unref(old);
    return r;
}

int hyp_registry_remove_alias(hyp_registry *registry, const char *name, hyp_err *err) {
    hyp_entry *entry = NULL;
    int r = hyp_registry_find(registry, name, &entry, err);
    if (r != HYP_OK) return r;
    if (!entry->alias) {
        r = hyp_err_set(err, HYP_EUNSUPPORTED, "\"%s\" is a file of this machine, which this server does not delete",
                        name);
        hyp_entry_unref(entry);
        return r;
    }
    pthread_mutex_lock(&registry->lock);
    for (size_t i = 0; i < registry->aliases.n; i++)
        if (registry->aliases.items[i] == entry) {
            registry->aliases.items[i] = registry->aliases.items[--registry->aliases.n];
            hyp_entry_unref(entry);
            break;
        }
    pthread_mutex_unlock(&registry->lock);
    hyp_entry_unref(entry);
    return HYP_OK;
}

static int not_found(const candidates *found, const char *text, hyp_err *err) {
    hyp_err_set(err, HYP_ENOTFOUND, "there is no file and no model called \"%s\"", text);
    const char *names[64];
    char display[64][HYP_NAME_PART_MAX + 1];
    size_t n = HYP_MIN(found->n, HYP_ARRAY_LEN(names));
    for (size_t i = 0; i < n; i++) {
        snprintf(display[i], sizeof display[i], "%s", found->items[i].name.model);
        names[i] = display[i];
    }
    const char *near = hyp_options_nearest(text, names, n);
    if (near != NULL)
        hyp_err_hint(err, "did you mean \"%s\"? \"hypura list\" shows what is known", near);
    else
        hyp_err_hint(err, "name a GGUF file, or a model that \"hypura list\" shows");
    return HYP_ENOTFOUND;
}

int hyp_registry_resolve(const char *text, char **ret_path, hyp_err *err) {
    struct stat st;
    if (stat(text, &st) == 0) {
        if (S_ISDIR(st.st_mode)) return hyp_err_set(err, HYP_EINVAL, "%s is a folder, not a model", text);
        *ret_path = strdup(text);
        return *ret_path != NULL ? HYP_OK : hyp_err_set(err, HYP_ENOMEM, "out of memory");
    }
    candidates found = {0};
    hyp_name want;
    hyp_err ignored = HYP_ERR_NONE;
    const candidate *best = NULL;
    int best_score = 0;
    hyp_scan_machine(&found);
    if (hyp_name_parse(text, &want, &ignored) == HYP_OK)
        for (size_t i = 0; i < found.n; i++) {
            int score = match(&found.items[i].name, found.items[i].path, &want);
            if (score > best_score) {
                best = &found.items[i];
                best_score = score;
            }
        }
    int r = HYP_OK;
    if (best == NULL)
        r = not_found(&found, text, err);
    else if ((*ret_path = strdup(best->path)) == NULL)
        r = hyp_err_set(err, HYP_ENOMEM, "out of memory");
    hyp_candidates_free(&found);
    return r;
}

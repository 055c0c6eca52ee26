/* inspect_json.c - `hypura inspect --json`; docs/json.md describes the object. */
#include "cli/inspect.h"

#include "cli/print_json.h"
#include "gguf/model_json.h"

static bool add_sum(yyjson_mut_doc *doc, yyjson_mut_val *object, const hyp_inspect_sum *sum) {
    return yyjson_mut_obj_add_uint(doc, object, "tensors", sum->tensors) &&
           yyjson_mut_obj_add_uint(doc, object, "bytes", sum->bytes) &&
           yyjson_mut_obj_add_uint(doc, object, "touched_bytes", sum->touched_bytes);
}

static bool add_details(yyjson_mut_doc *doc, yyjson_mut_val *m, const hyp_model *model) {
    bool good = yyjson_mut_obj_add_uint(doc, m, "n_params", model->n_params) &&
                yyjson_mut_obj_add_uint(doc, m, "tensor_bytes", model->tensor_bytes) &&
                yyjson_mut_obj_add_uint(doc, m, "n_layers_nextn", model->n_layers_nextn) &&
                yyjson_mut_obj_add_uint(doc, m, "n_embd", model->n_embd) &&
                yyjson_mut_obj_add_uint(doc, m, "n_vocab", model->n_vocab) &&
                yyjson_mut_obj_add_uint(doc, m, "n_ctx_train", model->n_ctx_train) &&
                yyjson_mut_obj_add_str(doc, m, "digest", model->digest);
    yyjson_mut_val *files = yyjson_mut_obj_add_arr(doc, m, "files");
    for (size_t i = 0; good && i < model->n_files; i++) {
        yyjson_mut_val *file = yyjson_mut_arr_add_obj(doc, files);
        good = yyjson_mut_obj_add_str(doc, file, "path", model->files[i].path) &&
               yyjson_mut_obj_add_uint(doc, file, "bytes", model->files[i].bytes);
    }
    return good;
}

static bool add_roles(yyjson_mut_doc *doc, yyjson_mut_val *root, const hyp_inspect_sums *sums) {
    yyjson_mut_val *roles = yyjson_mut_obj_add_arr(doc, root, "roles");
    bool good = roles != NULL;
    for (int r = 0; good && r < HYP_N_ROLES; r++) {
        if (sums->roles[r].tensors == 0) continue;
        yyjson_mut_val *role = yyjson_mut_arr_add_obj(doc, roles);
        good = yyjson_mut_obj_add_str(doc, role, "role", hyp_role_name((hyp_role)r)) &&
               add_sum(doc, role, &sums->roles[r]);
    }
    return good;
}

static bool add_layers(yyjson_mut_doc *doc, yyjson_mut_val *root, const hyp_model *model,
                       const hyp_inspect_sums *sums) {
    yyjson_mut_val *layers = yyjson_mut_obj_add_arr(doc, root, "layers");
    bool good = layers != NULL;
    for (uint32_t i = 0; good && i < model->n_layers; i++) {
        hyp_inspect_sum all = {0};
        for (int r = 0; r < HYP_N_ROLES; r++) {
            all.tensors += sums->layers[i][r].tensors;
            all.bytes += sums->layers[i][r].bytes;
            all.touched_bytes += sums->layers[i][r].touched_bytes;
        }
        yyjson_mut_val *layer = yyjson_mut_arr_add_obj(doc, layers);
        good = yyjson_mut_obj_add_uint(doc, layer, "layer", i) && add_sum(doc, layer, &all);
    }
    return good;
}

static bool add_tensor(yyjson_mut_doc *doc, yyjson_mut_val *array, const hyp_model *model, const hyp_tensor *t) {
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, array);
    bool good = yyjson_mut_obj_add_str(doc, object, "name", t->name) &&
                yyjson_mut_obj_add_str(doc, object, "role", hyp_role_name(t->role)) &&
                yyjson_mut_obj_add_int(doc, object, "layer", t->layer) &&
                yyjson_mut_obj_add_str(doc, object, "type", hyp_tensor_type_name(t->type));
    yyjson_mut_val *shape = yyjson_mut_obj_add_arr(doc, object, "shape");
    int dims = 4;
    while (dims > 1 && t->ne[dims - 1] == 1)
        dims--;
    for (int i = 0; good && i < dims; i++)
        good = yyjson_mut_arr_add_int(doc, shape, t->ne[i]);
    return good && yyjson_mut_obj_add_uint(doc, object, "bytes", t->bytes) &&
           yyjson_mut_obj_add_uint(doc, object, "touched_bytes", hyp_tensor_touched_bytes(model, t)) &&
           yyjson_mut_obj_add_uint(doc, object, "n_experts", t->n_experts) &&
           yyjson_mut_obj_add_uint(doc, object, "expert_bytes", t->expert_bytes) &&
           yyjson_mut_obj_add_uint(doc, object, "file", t->file) &&
           yyjson_mut_obj_add_uint(doc, object, "offset", t->offset);
}

static bool add_plan(yyjson_mut_doc *doc, yyjson_mut_val *root, const hyp_inspect_plan *plan) {
    if (plan->plan != NULL) return hyp_plan_view_json(doc, root, plan->machine, plan->plan);
    return plan->failure == NULL || yyjson_mut_obj_add_str(doc, root, "plan_error", plan->failure->message);
}

int hyp_inspect_print_json(const hyp_model *model, const hyp_inspect_sums *sums, bool tensors,
                           const hyp_inspect_plan *plan, hyp_err *err) {
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_val *m = hyp_model_add_json(doc, root, model);
    bool good =
        m != NULL && add_details(doc, m, model) && add_roles(doc, root, sums) && add_layers(doc, root, model, sums) &&
        yyjson_mut_obj_add_uint(doc, root, "touched_bytes", sums->total.touched_bytes) && add_plan(doc, root, plan) &&
        hyp_sidecar_view_state_json(doc, yyjson_mut_obj_add_obj(doc, root, "sidecar"), plan->packed);
    yyjson_mut_val *array = good && tensors ? yyjson_mut_obj_add_arr(doc, root, "tensors") : NULL;
    for (size_t i = 0; good && tensors && i < model->n_tensors; i++)
        good = add_tensor(doc, array, model, &model->tensors[i]);
    int e = good ? hyp_print_json(doc, err) : hyp_err_set(err, HYP_ENOMEM, "out of memory printing JSON");
    yyjson_mut_doc_free(doc);
    return e;
}

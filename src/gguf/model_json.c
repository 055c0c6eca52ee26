#include "gguf/model_json.h"

yyjson_mut_val *hyp_model_add_json(yyjson_mut_doc *doc, yyjson_mut_val *object, const hyp_model *model) {
    yyjson_mut_val *m = yyjson_mut_obj_add_obj(doc, object, "model");
    bool good = m != NULL && yyjson_mut_obj_add_str(doc, m, "path", model->path) &&
                yyjson_mut_obj_add_str(doc, m, "name", model->name) &&
                yyjson_mut_obj_add_str(doc, m, "arch", model->arch) &&
                yyjson_mut_obj_add_str(doc, m, "quant", model->quant) &&
                yyjson_mut_obj_add_uint(doc, m, "bytes", model->bytes) &&
                yyjson_mut_obj_add_uint(doc, m, "n_layers", model->n_layers) &&
                yyjson_mut_obj_add_uint(doc, m, "n_experts", model->n_experts) &&
                yyjson_mut_obj_add_uint(doc, m, "n_experts_used", model->n_experts_used);
    return good ? m : NULL;
}

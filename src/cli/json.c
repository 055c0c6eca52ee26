#include "cli/json.h"

#include "base/mem.h"

#include <errno.h>

yyjson_mut_val *hyp_json_add_model(yyjson_mut_doc *doc, yyjson_mut_val *object, const hyp_model *model) {
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

int hyp_json_print(const yyjson_mut_doc *doc, hyp_err *err) {
    size_t n = 0;
    yyjson_write_flag flags = YYJSON_WRITE_PRETTY_TWO_SPACES | YYJSON_WRITE_ALLOW_INVALID_UNICODE;
    HYP_AUTOFREE char *text = yyjson_mut_write_opts(doc, flags, NULL, &n, NULL);
    if (text == NULL) return hyp_err_set(err, HYP_ENOMEM, "no memory to print JSON");
    if (fwrite(text, 1, n, stdout) != n || putchar('\n') == EOF || fflush(stdout) != 0)
        return hyp_err_set_sys(err, HYP_EIO, errno, "cannot write to standard output");
    return HYP_OK;
}

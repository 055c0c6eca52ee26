#include "cli/print_json.h"

#include "base/mem.h"

#include <errno.h>

int hyp_print_json(const yyjson_mut_doc *doc, hyp_err *err) {
    size_t n = 0;
    yyjson_write_flag flags = YYJSON_WRITE_PRETTY_TWO_SPACES | YYJSON_WRITE_ALLOW_INVALID_UNICODE;
    HYP_AUTOFREE char *text = yyjson_mut_write_opts(doc, flags, NULL, &n, NULL);
    if (text == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory printing JSON");
    if (fwrite(text, 1, n, stdout) != n || putchar('\n') == EOF || fflush(stdout) != 0)
        return hyp_err_set_sys(err, HYP_EIO, errno, "cannot write to standard output");
    return HYP_OK;
}

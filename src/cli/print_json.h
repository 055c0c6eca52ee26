/* print_json.h - how every command prints its JSON. docs/json.md describes what. */
#pragma once
#include "base/err.h"

#include <yyjson.h>

/* Print `doc` to standard output indented, with a line feed at its end. Bytes of a path that are not UTF-8
 * are passed on as they are. Errors: HYP_ENOMEM, HYP_EIO. */
HYP_NODISCARD int hyp_print_json(const yyjson_mut_doc *doc, hyp_err *err);

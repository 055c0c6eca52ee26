/* save.h - results that a command writes into a file that the user named. */
#pragma once
#include "base/text.h"

/* Whether `path` could be written: for asking before hours of measuring. Creates nothing. NULL is fine. Errors:
 * HYP_EINVAL (a GGUF file is there, which nothing replaces), HYP_EIO. */
HYP_NODISCARD int hyp_save_check(const char *path, hyp_err *err);

/* Write `text` to `path`, replacing what is there. Errors: HYP_ENOMEM (the text failed), those of hyp_save_check(). */
HYP_NODISCARD int hyp_save_text(const char *path, const hyp_str *text, hyp_err *err);

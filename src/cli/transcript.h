/* transcript.h - a conversation in a file: one JSON object, {"model": ..., "messages": [{"role", "content", ...}, ...],
 * "tools"?: [...]}, which is the body of a request to /api/chat. */
#pragma once
#include "session/conversation.h"

/* Save to `path` (replaced as a whole), `model` beside the messages. Errors: HYP_EIO, HYP_ENOMEM. */
HYP_NODISCARD int hyp_transcript_save(const hyp_conversation *c, const char *model, const char *path, hyp_err *err);

/* Read a saved file, messages and tools. The caller frees `*ret`. Errors: HYP_EIO, HYP_ELIMIT (beyond 64 MB),
 * HYP_EFORMAT (also images: nothing here shows them to a model), HYP_ENOMEM. */
HYP_NODISCARD int hyp_transcript_load(const char *path, hyp_conversation **ret, hyp_err *err);

/* fixture.h - a small mixture-of-experts model on disk, with weights that differ everywhere, and its sidecar's layout.
 */
#pragma once
#include "../gguf/sample.h"
#include "../test.h"
#include "sidecar/sidecar_priv.h"

enum { PAGE = 4096 };

/* Write a model of 2 layers of 4 experts of 3 streamed parts each, which share pages with their neighbours, as `name`,
 * its weights filled from `seed`, and open it. `*ret_path` is where. */
hyp_model *fixture_model(const char *name, unsigned seed, const char **ret_path);

/* The layout of its sidecar; ranking NULL: by number. */
hyp_sidecar *fixture_layout(const hyp_model *model, const hyp_sidecar_ranking *ranking);

/* All bytes of a file; freed by the caller. */
uint8_t *fixture_read(const char *path, size_t *ret_n);
void fixture_write(const char *path, const void *data, size_t n);

/* `path` with `suffix`; static storage, four turns. */
const char *fixture_beside(const char *path, const char *suffix);

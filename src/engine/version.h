/* version.h - what libllama says of itself. */
#pragma once

/* One line naming ggml's version and commit. Static storage; thread-safe after the first call. */
const char *hyp_engine_library_version(void);

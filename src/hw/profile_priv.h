/* profile_priv.h - for profile.c and profile_json.c. */
#pragma once
#include "hw/profile.h"

/* The two halves of a profile as JSON text with their key and time; the caller frees. NULL without memory. */
char *hyp_profile_machine_json(const hyp_profile *profile, const char *key, double now_s, size_t *ret_n);
char *hyp_profile_disk_json(const hyp_profile *profile, const char *key, double now_s, size_t *ret_n);

/* Read them back into `profile`. False, with `profile` untouched, when the text is not such a profile or has another
 * key. */
bool hyp_profile_machine_parse(const char *text, size_t n, const char *key, double now_s, hyp_profile *profile);
bool hyp_profile_disk_parse(const char *text, size_t n, const char *key, double now_s, hyp_profile *profile);

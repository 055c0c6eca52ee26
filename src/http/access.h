/* access.h - who may talk to the server: origins (CORS), Host (DNS rebinding), API keys. Pure functions on header
 * values. */
#pragma once
#include "base/err.h"

/* May a page of `origin` use the server reached as `host` (the Host header, may be NULL)? `extra`: further allowed
 * origins, separated by commas; "*" allows all, one asterisk inside an entry stands for any run of characters. The
 * scheme and the host are matched exactly and the port as digits, so "http://localhost.evil.example" is not let in. */
bool hyp_access_origin_allowed(const char *origin, const char *host, const char *extra);

/* May a request with this Host header (NULL: none) be served by a server bound to loopback? Empty, localhost, this
 * machine's name, *.localhost, *.local, *.internal and loopback, private, unspecified or own addresses are; a name that
 * an attacker's DNS could point here is not. */
bool hyp_access_host_allowed(const char *host);

/* Is `authorization` "Bearer KEY" with the right key? Takes the same time wherever they differ. */
bool hyp_access_key_matches(const char *authorization, const char *key);
/* Is `given` (may be NULL) the key itself? Takes the same time wherever they differ. */
bool hyp_access_bare_key_matches(const char *given, const char *key);

/* Is this a loopback address or a name for it? */
bool hyp_access_is_loopback(const char *host);

/* address.h - hosts and ports as people, browsers and OLLAMA_HOST write them. Pure functions on untrusted text. */
#pragma once
#include "base/err.h"

#include <stddef.h>

/* Is this a port's number: digits, and nothing else? Its size is not checked. */
bool hyp_address_is_port(const char *text);

/* Copy the host of "host", "host:port", "[v6]", "[v6]:port" or a bare "v6" without brackets or port. False when it is
 * malformed or takes more than `size` bytes with its end. */
bool hyp_address_host(const char *text, char *ret_host, size_t size);

/* Split OLLAMA_HOST ("host", ":port", "host:port", "http://host:port/", "[::1]:11434") into a host (empty when not
 * given) and a port (0 when not given; 80 or 443 for a bare scheme). Errors: HYP_EINVAL. */
HYP_NODISCARD int hyp_address_split(const char *text, char *ret_host, size_t size, int *ret_port, hyp_err *err);

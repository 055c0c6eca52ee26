#include "base/address.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool hyp_address_is_port(const char *text) {
    if (*text == '\0') return false;
    for (; *text != '\0'; text++)
        if (!isdigit((unsigned char)*text)) return false;
    return true;
}

bool hyp_address_host(const char *text, char *ret_host, size_t size) {
    const char *end;
    if (text[0] == '[') {
        text++;
        end = strchr(text, ']');
        if (end == NULL || (end[1] != '\0' && (end[1] != ':' || !hyp_address_is_port(end + 2)))) return false;
    } else {
        end = strchr(text, ':');
        /* More than one colon, and no brackets: all of it is an address of IPv6. */
        if (end == NULL || strchr(end + 1, ':') != NULL)
            end = text + strlen(text);
        else if (!hyp_address_is_port(end + 1))
            return false;
    }
    size_t n = (size_t)(end - text);
    if (n >= size) return false;
    memcpy(ret_host, text, n);
    ret_host[n] = '\0';
    return true;
}

int hyp_address_split(const char *text, char *ret_host, size_t size, int *ret_port, hyp_err *err) {
    char buf[256];
    int port = 0;
    const char *rest = text + strspn(text, " \t\"'");
    if (strncasecmp(rest, "http://", 7) == 0)
        rest += 7, port = 80;
    else if (strncasecmp(rest, "https://", 8) == 0)
        rest += 8, port = 443;
    size_t n = strcspn(rest, "/ \t\"'");
    if (n >= sizeof buf) return hyp_err_set(err, HYP_EINVAL, "the host in \"%.40s...\" is too long", text);
    memcpy(buf, rest, n);
    buf[n] = '\0';
    char *colon = strrchr(buf, ':');
    bool bare_v6 = colon != NULL && strchr(buf, ':') != colon && buf[0] != '[';
    if (colon != NULL && !bare_v6 && strchr(colon, ']') == NULL) {
        long value = hyp_address_is_port(colon + 1) ? strtol(colon + 1, NULL, 10) : -1;
        if (value < 0 || value > 65535) return hyp_err_set(err, HYP_EINVAL, "\"%s\" has no valid port", text);
        port = (int)value;
        *colon = '\0';
    }
    char name[256];
    if (!hyp_address_host(buf, name, sizeof name) || strlen(name) >= size)
        return hyp_err_set(err, HYP_EINVAL, "\"%s\" does not name a host", text);
    memcpy(ret_host, name, strlen(name) + 1);
    *ret_port = port;
    return HYP_OK;
}

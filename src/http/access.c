#include "http/access.h"

#include "base/address.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

typedef struct address {
    int family;
    struct in_addr v4;
    struct in6_addr v6;
} address;

static bool parse_address(const char *text, address *ret) {
    if (inet_pton(AF_INET, text, &ret->v4) == 1) {
        ret->family = AF_INET;
        return true;
    }
    if (inet_pton(AF_INET6, text, &ret->v6) != 1) return false;
    ret->family = AF_INET6;
    if (IN6_IS_ADDR_V4MAPPED(&ret->v6)) {
        memcpy(&ret->v4, &ret->v6.s6_addr[12], 4);
        ret->family = AF_INET;
    }
    return true;
}

static bool address_is_loopback(const address *a) {
    return a->family == AF_INET ? ntohl(a->v4.s_addr) >> 24 == 127 : IN6_IS_ADDR_LOOPBACK(&a->v6);
}

/* RFC 1918 and RFC 4193. */
static bool address_is_private(const address *a) {
    if (a->family == AF_INET6) return (a->v6.s6_addr[0] & 0xfe) == 0xfc;
    uint32_t v = ntohl(a->v4.s_addr);
    return v >> 24 == 10 || v >> 20 == 0xac1 || v >> 16 == 0xc0a8;
}

static bool address_is_unspecified(const address *a) {
    return a->family == AF_INET ? a->v4.s_addr == 0 : IN6_IS_ADDR_UNSPECIFIED(&a->v6);
}

static bool address_is_own(const address *a) {
    struct ifaddrs *list = NULL;
    if (getifaddrs(&list) != 0) return false;
    bool own = false;
    for (const struct ifaddrs *i = list; i != NULL && !own; i = i->ifa_next) {
        if (i->ifa_addr == NULL || i->ifa_addr->sa_family != a->family) continue;
        if (a->family == AF_INET)
            own = ((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr.s_addr == a->v4.s_addr;
        else
            own = memcmp(&((const struct sockaddr_in6 *)(const void *)i->ifa_addr)->sin6_addr, &a->v6, 16) == 0;
    }
    freeifaddrs(list);
    return own;
}

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n > m && strcasecmp(text + n - m, end) == 0;
}

bool hyp_access_is_loopback(const char *host) {
    char name[256];
    address a;
    if (strcasecmp(host, "localhost") == 0) return true;
    return hyp_address_host(host, name, sizeof name) && parse_address(name, &a) && address_is_loopback(&a);
}

bool hyp_access_host_allowed(const char *host) {
    char name[256], own[256];
    address a;
    if (host == NULL || host[0] == '\0') return true;
    if (!hyp_address_host(host, name, sizeof name)) return false;
    if (parse_address(name, &a))
        return address_is_loopback(&a) || address_is_private(&a) || address_is_unspecified(&a) || address_is_own(&a);
    if (name[0] == '\0' || strcasecmp(name, "localhost") == 0) return true;
    if (gethostname(own, sizeof own) == 0) {
        own[sizeof own - 1] = '\0';
        if (own[0] != '\0' && strcasecmp(name, own) == 0) return true;
    }
    return ends_with(name, ".localhost") || ends_with(name, ".local") || ends_with(name, ".internal");
}

/* Does `text` match `pattern`, in which one asterisk stands for any run of characters? */
static bool wildcard(const char *pattern, size_t n, const char *text) {
    const char *star = memchr(pattern, '*', n);
    if (star == NULL) return strlen(text) == n && strncasecmp(pattern, text, n) == 0;
    size_t head = (size_t)(star - pattern), tail = n - head - 1, len = strlen(text);
    return len >= head + tail && strncasecmp(pattern, text, head) == 0 &&
           strncasecmp(star + 1, text + len - tail, tail) == 0;
}

static bool in_list(const char *list, const char *origin) {
    while (list != NULL && *list != '\0') {
        size_t n = strcspn(list, ",");
        const char *item = list;
        size_t len = n;
        while (len > 0 && isspace((unsigned char)*item)) {
            item++;
            len--;
        }
        while (len > 0 && (isspace((unsigned char)item[len - 1]) || item[len - 1] == '/'))
            len--;
        if (len > 0 && wildcard(item, len, origin)) return true;
        list += n + (list[n] == ',');
    }
    return false;
}

bool hyp_access_origin_allowed(const char *origin, const char *host, const char *extra) {
    static const char *const schemes[] = {"app://", "file://", "tauri://", "vscode-webview://", "vscode-file://"};
    static const char *const hosts[] = {"localhost", "127.0.0.1", "0.0.0.0"};
    for (size_t i = 0; i < HYP_ARRAY_LEN(schemes); i++)
        if (strncasecmp(origin, schemes[i], strlen(schemes[i])) == 0) return true;
    const char *rest = strncasecmp(origin, "http://", 7) == 0    ? origin + 7
                       : strncasecmp(origin, "https://", 8) == 0 ? origin + 8
                                                                 : NULL;
    if (rest != NULL) {
        if (host != NULL && host[0] != '\0' && strcasecmp(rest, host) == 0) return true;
        for (size_t i = 0; i < HYP_ARRAY_LEN(hosts); i++) {
            size_t n = strlen(hosts[i]);
            if (strncasecmp(rest, hosts[i], n) == 0 &&
                (rest[n] == '\0' || (rest[n] == ':' && hyp_address_is_port(rest + n + 1))))
                return true;
        }
    }
    return in_list(extra, origin);
}

bool hyp_access_key_matches(const char *authorization, const char *key) {
    if (authorization == NULL || strncasecmp(authorization, "Bearer ", 7) != 0) return false;
    return hyp_access_bare_key_matches(authorization + 7, key);
}

bool hyp_access_bare_key_matches(const char *given, const char *key) {
    if (given == NULL) return false;
    /* Every given byte is looked at, wherever they differ: the time depends on nothing but its length, which the
     * guesser knows. */
    size_t n = strlen(key), m = strlen(given);
    unsigned differ = n != m;
    for (size_t i = 0; i < m; i++)
        differ |= (unsigned char)(given[i] ^ key[n > 0 ? i % n : 0]);
    return differ == 0;
}

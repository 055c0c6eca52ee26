/* hugepages_macos.c - nothing to ask for: the system's pages are of 16 KiB, and it has no advice for larger ones. */
#include "host/hugepages.h"

void hyp_hugepages_enable(bool enable) {
    (void)enable;
}

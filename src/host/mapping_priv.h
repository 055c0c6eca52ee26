/* mapping_priv.h - private to mapping*.c: how the system's file reports to mapping.c where libllama has mapped what. */
#pragma once
#include "host/mapping.h"

#include <sys/types.h>

/* Is a load going on? */
bool hyp_mapping_is_watching(void);

/* The watched file that `device` and `inode` identify, or -1; also when nothing is being watched. Takes no lock and
 * allocates nothing: it runs inside mmap(). */
int hyp_mapping_watched(dev_t device, ino_t inode);

/* Are its pages to stay out of memory? Likewise for an address inside one of them. */
bool hyp_mapping_is_lazy(void);
bool hyp_mapping_is_lazy_at(const void *address);

/* Byte 0 of watched file `file` is at `base`. */
void hyp_mapping_found(int file, void *base);

/* Called at the end of a load, still watching: find what was not reported to hyp_mapping_found() yet. */
void hyp_mapping_search(void);

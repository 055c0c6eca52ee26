/* process.h - what the kernel reports of this process: process_linux.c, process_macos.c. */
#pragma once
#include <stdint.h>

/* Compute threads worth using: the physical cores this process may run on (a hyper-thread's sibling adds contention,
 * not arithmetic), at least 1. */
int hyp_process_default_threads(void);

/* Bytes this process caused to be read from storage, and page faults that needed a read; 0 where the system does not
 * report them. */
uint64_t hyp_process_read_bytes(void);
uint64_t hyp_process_major_faults(void);

/* The most memory this process ever had resident, bytes. */
uint64_t hyp_process_peak_rss(void);

/* Private memory that is resident now (heap, buffers, stacks; neither files nor frames), bytes. */
uint64_t hyp_process_anonymous_bytes(void);

/* Give freed heap memory back to the system, where the C library can: what follows is measured against what is
 * resident. */
void hyp_process_trim_heap(void);

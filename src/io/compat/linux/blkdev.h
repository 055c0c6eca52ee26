/* blkdev.h - stands in for the kernel's header of this name (Linux 6.12), which recent liburing headers include and
 * older kernel headers lack; meson.build puts it on the path only then. liburing.h needs this one number, for a call we
 * do not make. */
#pragma once
#include <linux/ioctl.h>

#define BLOCK_URING_CMD_DISCARD _IO(0x12, 0)

/* tier.h - where a tensor may lie. How much a tier holds and how fast it is are the machine's, not the tier's:
 * hyp_hardware has them (RAM, disk, a row a device), and the planner's hyp_place_device what of it may be used. */
#pragma once
#include "hw/hardware.h"

typedef enum hyp_tier {
    HYP_TIER_PINNED, /* in RAM from start to end */
    HYP_TIER_CACHE,  /* comes from the SSD on demand and stays in a bounded cache: routed experts */
    HYP_TIER_STREAM, /* comes from the SSD in every pass: a dense FFN without room */
    HYP_TIER_FILE,   /* left to the kernel's page cache: a row a token, or not used at all; in mode mmap everything */
    HYP_TIER_DEVICE, /* + d: on hardware->devices[d] */
    HYP_N_TIERS = HYP_TIER_DEVICE + HYP_HARDWARE_MAX_DEVICES,
} hyp_tier;

/* "pinned in RAM", "RAM cache", "SSD", "page cache", "device 0"... Static storage; "?" for what is no tier. */
const char *hyp_tier_name(hyp_tier tier);

/* The questions, all pure. */

/* Does the CPU compute with what lies there, through the mapping of the model's file? */
bool hyp_tier_on_host(hyp_tier tier);

/* Does the pager hold it: pinned, in the cache, or on its way through the ring? */
bool hyp_tier_is_paged(hyp_tier tier);

/* The site that computes with it, as plans and placements number them: 0 the CPU, 1 + d device d; and back, for a
 * device's site. */
uint8_t hyp_tier_site(hyp_tier tier);
hyp_tier hyp_tier_of_site(uint8_t site);

// What the program that plays a network card and who loads it share. C, because
// the program is.

#ifndef KYUU_BENCH_CARD_H_
#define KYUU_BENCH_CARD_H_

#include <linux/types.h>

#define KYUU_CARD_FLOWS_MAX 8192
/* Ethernet, IPv6, UDP and ChannelData; of shorter ones the payload's beginning
 * belongs to it. */
#define KYUU_CARD_HEAD 72

struct kyuu_card_head {
  __u8 bytes[KYUU_CARD_HEAD];
};

struct kyuu_card_config {
  __u32 flows;
  __u32 drop; /* Nothing gets further: what the card alone costs. */
  /* The same, but that all goes to an interface that takes nothing. */
  __u32 sink;
};

#endif /* KYUU_BENCH_CARD_H_ */

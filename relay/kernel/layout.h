// What the program in the kernel and the process that loads it share: the maps'
// keys and values. C, because the program is.
//
// Addresses are of 16 bytes, an IPv4 address the first four and zeros, so that
// one sum is right for both families. Ports and channels are in network order.

#ifndef KYUU_RELAY_KERNEL_LAYOUT_H_
#define KYUU_RELAY_KERNEL_LAYOUT_H_

#include <linux/types.h>

#define KYUU_LISTENERS_MAX 16

enum kyuu_family { KYUU_V4 = 4, KYUU_V6 = 6 };

/* A direction of a flow, as its datagrams come: from whom, to which address of
 * ours, and the channel of what a client sends, or 0 of what a peer sends. */
struct kyuu_flow_key {
  __u32 remote[4];
  __u32 local[4];
  __u16 remote_port;
  __u16 local_port;
  __u16 channel;
  __u16 family;
};

struct kyuu_flow {
  /* As they leave. */
  __u32 source[4];
  __u32 destination[4];
  __u16 source_port;
  __u16 destination_port;
  __u16 channel; /* To be put in front, or 0. */
  __u8 family;
  __u8 metered;
  /* One's complement sums: of the addresses that come and the protocol, as a
   * checksum that nobody has finished begins with; and of what the addresses
   * and ports that leave have more than those that come. */
  __u16 pseudo;
  __u16 delta;
  __u32 way;   /* Index of `ways`. */
  __u32 slot;  /* Index of `counts`. */
  __u64 until; /* CLOCK_MONOTONIC, in nanoseconds. */
};

/* How frames reach a destination. */
struct kyuu_way {
  __u32 ifindex; /* 0: not known at present. */
  __u32 mtu;     /* Of IP packets. */
  __u8 destination[6];
  __u8 source[6];
};

struct kyuu_count {
  __u64 datagrams;
  __u64 bytes; /* Of payload. */
  __s64 funds; /* Bytes that a metered flow may still relay. */
  __u64 unused;
};

/* What is counted: why something of a flow was not relayed here (all but the
 * first are left to the process), and other things seen. */
enum kyuu_total {
  KYUU_HOP_LIMIT, /* Dropped: it was at its end (RFC 8656 section 15). */
  KYUU_NO_WAY,    /* No neighbour is known. */
  KYUU_TOO_BIG,   /* For the MTU of the way. */
  KYUU_UNFUNDED,  /* Beyond the bytes that it has. */
  KYUU_UNSUMMED,  /* Without a checksum, or one that is to be finished. */
  KYUU_BINDINGS,  /* Binding requests answered. */
  KYUU_BINDINGS_LIMITED, /* Dropped: beyond what one source is answered. */
  KYUU_NARROWED,         /* Routers' words that something was too long. */
  KYUU_TOTALS
};

struct kyuu_config {
  __u16 listeners[KYUU_LISTENERS_MAX]; /* Ports in host order; 0 ends them. */
  __u32 binding_per_s;                 /* Of one source; 0: none is answered. */
  __u32 binding_burst;
};

/* A source of Binding requests: an IPv4 address, or an IPv6 /64. */
struct kyuu_source {
  __u32 address[2];
  __u32 family;
};

struct kyuu_budget {
  __u64 filled; /* When, in nanoseconds. */
  __u64 left;   /* Answers. */
};

#endif /* KYUU_RELAY_KERNEL_LAYOUT_H_ */

/* Relays ChannelData of established flows (RFC 8656 section 12) as it comes from
 * the network, before there is a socket buffer. Whatever it does not know, or is
 * not sure of, passes on to the process, which decides as if this did not exist.
 */

#include "relay/kernel/layout.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

/* Sizes are set when it is loaded. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 1);
  __type(key, struct kyuu_flow_key);
  __type(value, struct kyuu_flow);
} flows SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct kyuu_way);
} ways SEC(".maps");

/* A flow's datagrams come to one core, as they have one 5-tuple: the additions
 * below wait for nobody. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct kyuu_count);
} counts SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, KYUU_TOTALS);
  __type(key, __u32);
  __type(value, __u64);
} totals SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 1);
  __type(key, struct kyuu_source);
  __type(value, struct kyuu_budget);
} sources SEC(".maps");

const volatile struct kyuu_config config = {};

#define ETHERNET ((__u32)sizeof(struct ethhdr))
#define UDP ((__u32)sizeof(struct udphdr))
#define CHANNEL_HEADER 4
#define BINDING_REQUEST bpf_htons(0x0001)
#define BINDING_SUCCESS bpf_htons(0x0101)
#define MAGIC_COOKIE bpf_htonl(0x2112a442)
#define XOR_MAPPED_ADDRESS bpf_htons(0x0020)

struct stun {
  __be16 type;
  __be16 length;
  __be32 cookie;
  __be32 id[3];
};

/* A datagram of UDP, wherever it lies in its frame. */
struct packet {
  struct kyuu_flow_key key;
  __u32 network; /* Size of the IP header. */
  __u16 udp_length;
  __u16 check;
  __u8 traffic_class;
  __u8 hop_limit;
};

static __always_inline void count_total(__u32 which) {
  __u64* total = bpf_map_lookup_elem(&totals, &which);
  if (total) ++*total;
}

static __always_inline __u16 fold(__u64 sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return (__u16)sum;
}

static __always_inline __u64 sum_words(const __u32 address[4]) {
  __u64 sum = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    sum += (address[i] & 0xffff) + (address[i] >> 16);
  }
  return sum;
}

static __always_inline int is_listener(__u16 port) {
#pragma unroll
  for (int i = 0; i < KYUU_LISTENERS_MAX; ++i) {
    if (config.listeners[i] == 0) return 0;
    if (config.listeners[i] == port) return 1;
  }
  return 0;
}

/* Reads the headers. False of what has options, is a fragment, or is not what
 * its lengths say. */
static __always_inline int read_headers(void* data, void* end,
                                        struct packet* p) {
  struct ethhdr* ethernet = data;
  struct udphdr* udp;
  if ((void*)(ethernet + 1) > end) return 0;
  if (ethernet->h_proto == bpf_htons(ETH_P_IP)) {
    struct iphdr* ip = (void*)(ethernet + 1);
    udp = (void*)(ip + 1);
    if ((void*)(udp + 1) > end) return 0;
    if (ip->version != 4 || ip->ihl != 5 || ip->protocol != IPPROTO_UDP ||
        (ip->frag_off & bpf_htons(0xbfff)) ||
        bpf_ntohs(ip->tot_len) != sizeof *ip + bpf_ntohs(udp->len)) {
      return 0;
    }
    p->key.remote[0] = ip->saddr;
    p->key.local[0] = ip->daddr;
    p->key.family = KYUU_V4;
    p->network = sizeof *ip;
    p->traffic_class = ip->tos;
    p->hop_limit = ip->ttl;
  } else if (ethernet->h_proto == bpf_htons(ETH_P_IPV6)) {
    struct ipv6hdr* ip = (void*)(ethernet + 1);
    udp = (void*)(ip + 1);
    if ((void*)(udp + 1) > end) return 0;
    if (ip->version != 6 || ip->nexthdr != IPPROTO_UDP ||
        ip->payload_len != udp->len) {
      return 0;
    }
    __builtin_memcpy(p->key.remote, &ip->saddr, 16);
    __builtin_memcpy(p->key.local, &ip->daddr, 16);
    p->key.family = KYUU_V6;
    p->network = sizeof *ip;
    p->traffic_class = (__u8)(ip->priority << 4 | ip->flow_lbl[0] >> 4);
    p->hop_limit = ip->hop_limit;
  } else {
    return 0;
  }
  p->key.remote_port = udp->source;
  p->key.local_port = udp->dest;
  p->udp_length = bpf_ntohs(udp->len);
  p->check = udp->check;
  return (void*)udp + p->udp_length <= end;
}

/* ICMP's "packet too big" (RFC 1191, RFC 4443 section 3.2): the kernel learns from
 * it, and whoever keeps the ways has to hear of it. */
static __always_inline void note_narrowing(void* data, void* end) {
  struct ethhdr* ethernet = data;
  if ((void*)(ethernet + 1) > end) return;
  if (ethernet->h_proto == bpf_htons(ETH_P_IP)) {
    struct iphdr* ip = (void*)(ethernet + 1);
    __u8* icmp = (void*)(ip + 1);
    if ((void*)(icmp + 2) <= end && ip->protocol == IPPROTO_ICMP &&
        ip->ihl == 5 && icmp[0] == 3 && icmp[1] == 4) {
      count_total(KYUU_NARROWED);
    }
  } else if (ethernet->h_proto == bpf_htons(ETH_P_IPV6)) {
    struct ipv6hdr* ip = (void*)(ethernet + 1);
    __u8* icmp = (void*)(ip + 1);
    if ((void*)(icmp + 1) <= end && ip->nexthdr == IPPROTO_ICMPV6 &&
        icmp[0] == 2) {
      count_total(KYUU_NARROWED);
    }
  }
}

static __always_inline void write_v4(struct iphdr* ip, const __u32 source,
                                     const __u32 destination,
                                     const struct packet* p, __u8 hop_limit,
                                     __u16 udp_length) {
  __u16* words = (void*)ip;
  __u64 sum = 0;
  ip->version = 4;
  ip->ihl = 5;
  ip->tos = p->traffic_class;
  ip->tot_len = bpf_htons((__u16)(sizeof *ip + udp_length));
  ip->id = (__u16)bpf_get_prandom_u32();
  ip->frag_off = 0;
  ip->ttl = hop_limit;
  ip->protocol = IPPROTO_UDP;
  ip->check = 0;
  ip->saddr = source;
  ip->daddr = destination;
#pragma unroll
  for (int i = 0; i < 10; ++i) sum += words[i];
  ip->check = (__u16)~fold(sum);
}

static __always_inline void write_v6(struct ipv6hdr* ip, const __u32 source[4],
                                     const __u32 destination[4],
                                     const struct packet* p, __u8 hop_limit,
                                     __u16 udp_length) {
  ip->version = 6;
  ip->priority = p->traffic_class >> 4;
  ip->flow_lbl[0] = (__u8)(p->traffic_class << 4);
  ip->flow_lbl[1] = 0;
  ip->flow_lbl[2] = 0;
  ip->payload_len = bpf_htons(udp_length);
  ip->nexthdr = IPPROTO_UDP;
  ip->hop_limit = hop_limit;
  __builtin_memcpy(&ip->saddr, source, 16);
  __builtin_memcpy(&ip->daddr, destination, 16);
}

/* Sends a datagram of `payload` bytes on; `header` is what was in front of it
 * (ChannelData's), and nothing of it has been changed yet. */
static __always_inline int relay(struct xdp_md* ctx, const struct packet* p,
                                 const struct kyuu_flow* flow,
                                 const struct kyuu_way* way, __u16 payload,
                                 __u32 header, __u32 header_sum) {
  const __u32 put = flow->channel ? CHANNEL_HEADER : 0;
  const __u32 network = flow->family == KYUU_V4 ? sizeof(struct iphdr)
                                                : sizeof(struct ipv6hdr);
  const __u16 udp_length = (__u16)(UDP + put + payload);
  const __u32 frame = ETHERNET + network + udp_length;
  const int shrink = (int)(p->network + header) - (int)(network + put);
  if (bpf_xdp_adjust_head(ctx, shrink)) return XDP_PASS;
  /* What is behind the datagram is padding of a short frame. */
  const int excess = (int)bpf_xdp_get_buff_len(ctx) - (int)frame;
  if (excess > 0 && bpf_xdp_adjust_tail(ctx, -excess)) return XDP_DROP;

  void* data = (void*)(long)ctx->data;
  void* end = (void*)(long)ctx->data_end;
  struct ethhdr* ethernet = data;
  struct udphdr* udp;
  if ((void*)(ethernet + 1) > end) return XDP_DROP;
  __builtin_memcpy(ethernet->h_dest, way->destination, 6);
  __builtin_memcpy(ethernet->h_source, way->source, 6);
  if (flow->family == KYUU_V4) {
    struct iphdr* ip = (void*)(ethernet + 1);
    udp = (void*)(ip + 1);
    if ((void*)(udp + 1) > end) return XDP_DROP;
    ethernet->h_proto = bpf_htons(ETH_P_IP);
    write_v4(ip, flow->source[0], flow->destination[0], p, p->hop_limit - 1,
             udp_length);
  } else {
    struct ipv6hdr* ip = (void*)(ethernet + 1);
    udp = (void*)(ip + 1);
    if ((void*)(udp + 1) > end) return XDP_DROP;
    ethernet->h_proto = bpf_htons(ETH_P_IPV6);
    write_v6(ip, flow->source, flow->destination, p, p->hop_limit - 1,
             udp_length);
  }
  /* RFC 1624: the sum as it was, without what went and with what came. Both
   * lengths stand twice in it, in the header and before it. */
  __u64 sum = (__u16)~p->check;
  sum += flow->delta;
  sum += 2 * (__u64)(__u16)~bpf_htons(p->udp_length);
  sum += 2 * (__u64)bpf_htons(udp_length);
  sum += header_sum;
  if (put) {
    __be16* channel = (void*)(udp + 1);
    if ((void*)(channel + 2) > end) return XDP_DROP;
    channel[0] = flow->channel;
    channel[1] = bpf_htons(payload);
    sum += (__u64)channel[0] + channel[1];
  }
  const __u16 check = (__u16)~fold(sum);
  udp->source = flow->source_port;
  udp->dest = flow->destination_port;
  udp->len = bpf_htons(udp_length);
  udp->check = check ? check : 0xffff;
  /* XDP_TX would do where it leaves as it came, but a veth keeps such frames
   * until its other end has a program too. */
  return (int)bpf_redirect(way->ifindex, 0);
}

/* Whether a metered flow has bytes left: anything is enough for a whole
 * datagram, as with the process's own buckets. */
static __always_inline int take_funds(struct kyuu_count* count, __u16 payload) {
  if (count->funds <= 0) return 0;
  __sync_fetch_and_add(&count->funds, -(__s64)payload);
  return 1;
}

/* A bucket for each source, so that nobody makes us answer without end. */
static __always_inline int may_answer(const struct packet* p) {
  const __u64 now = bpf_ktime_get_coarse_ns();
  struct kyuu_source source = {{p->key.remote[0], p->key.remote[1]},
                               p->key.family};
  struct kyuu_budget* budget = bpf_map_lookup_elem(&sources, &source);
  if (!budget) {
    struct kyuu_budget fresh = {now, config.binding_burst};
    bpf_map_update_elem(&sources, &source, &fresh, BPF_ANY);
    return 1;
  }
  /* Cores may race here, and give some answers more. */
  const __u64 passed = now - budget->filled;
  const __u64 more = passed > 1000000000
                         ? config.binding_per_s
                         : passed * config.binding_per_s / 1000000000;
  if (more > 0) {
    const __u64 left = budget->left + more;
    budget->filled = now;
    budget->left = left < config.binding_burst ? left : config.binding_burst;
  }
  if (budget->left == 0) return 0;
  --budget->left;
  return 1;
}

/* Answers a Binding request that has no attributes (RFC 8489 section 6.3.1) to
 * where it came from; any other is the process's. */
static __always_inline int answer_binding(struct xdp_md* ctx,
                                          const struct packet* p) {
  const __u32 at = ETHERNET + p->network + UDP;
  void* data = (void*)(long)ctx->data;
  void* end = (void*)(long)ctx->data_end;
  if (at > ETHERNET + sizeof(struct ipv6hdr) + UDP) return XDP_PASS;
  struct stun* request = data + at;
  if ((void*)(request + 1) > end || p->udp_length != UDP + sizeof *request ||
      request->type != BINDING_REQUEST || request->length != 0 ||
      request->cookie != MAGIC_COOKIE || p->key.remote_port == 0) {
    return XDP_PASS;
  }
  if (!may_answer(p)) {
    count_total(KYUU_BINDINGS_LIMITED);
    return XDP_DROP;
  }
  const int v4 = p->key.family == KYUU_V4;
  const __u16 value = v4 ? 8 : 20;
  const __u32 size = at + sizeof *request + 4 + value;
  const __be32 id[3] = {request->id[0], request->id[1], request->id[2]};
  __u8 macs[12];
  __builtin_memcpy(macs, data, sizeof macs);
  /* There is always room in front, and not always behind. */
  if (bpf_xdp_adjust_head(ctx, -(4 + value))) return XDP_PASS;
  const int excess = (int)bpf_xdp_get_buff_len(ctx) - (int)size;
  if (excess > 0 && bpf_xdp_adjust_tail(ctx, -excess)) return XDP_DROP;
  data = (void*)(long)ctx->data;
  end = (void*)(long)ctx->data_end;

  struct ethhdr* ethernet = data;
  if ((void*)(ethernet + 1) > end) return XDP_DROP;
  __builtin_memcpy(ethernet->h_dest, macs + 6, 6);
  __builtin_memcpy(ethernet->h_source, macs, 6);
  ethernet->h_proto = v4 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
  struct udphdr* udp;
  struct stun* answer;
  const __u16 udp_length = (__u16)(UDP + sizeof *answer + 4 + value);
  if (v4) {
    struct iphdr* ip = (void*)(ethernet + 1);
    udp = (void*)(ip + 1);
    answer = (void*)(udp + 1);
    if ((void*)(answer + 1) + 12 > end) return XDP_DROP;
    write_v4(ip, p->key.local[0], p->key.remote[0], p, 64, udp_length);
  } else {
    struct ipv6hdr* ip = (void*)(ethernet + 1);
    udp = (void*)(ip + 1);
    answer = (void*)(udp + 1);
    if ((void*)(answer + 1) + 24 > end) return XDP_DROP;
    write_v6(ip, p->key.local, p->key.remote, p, 64, udp_length);
  }
  udp->source = p->key.local_port;
  udp->dest = p->key.remote_port;
  udp->len = bpf_htons(udp_length);
  udp->check = 0;
  answer->type = BINDING_SUCCESS;
  answer->length = bpf_htons(4 + value);
  answer->cookie = MAGIC_COOKIE;
  answer->id[0] = id[0];
  answer->id[1] = id[1];
  answer->id[2] = id[2];
  __be16* attribute = (void*)(answer + 1);
  attribute[0] = XOR_MAPPED_ADDRESS;
  attribute[1] = bpf_htons(value);
  attribute[2] = bpf_htons(v4 ? 1 : 2);
  attribute[3] = p->key.remote_port ^ (__u16)MAGIC_COOKIE;
  __u32* address = (void*)(attribute + 4);
  address[0] = p->key.remote[0] ^ MAGIC_COOKIE;
  __u64 sum = sum_words(p->key.remote) + sum_words(p->key.local);
  sum += bpf_htons(IPPROTO_UDP) + (__u64)bpf_htons(udp_length);
  __u16* words = (void*)udp;
  if (v4) {
#pragma unroll
    for (int i = 0; i < 20; ++i) sum += words[i];
  } else {
#pragma unroll
    for (int i = 0; i < 3; ++i) address[i + 1] = p->key.remote[i + 1] ^ id[i];
#pragma unroll
    for (int i = 0; i < 26; ++i) sum += words[i];
  }
  const __u16 check = (__u16)~fold(sum);
  udp->check = check ? check : 0xffff;
  count_total(KYUU_BINDINGS);
  return (int)bpf_redirect(ctx->ingress_ifindex, 0);
}

SEC("xdp")
int kyuu_turn(struct xdp_md* ctx) {
  void* data = (void*)(long)ctx->data;
  void* end = (void*)(long)ctx->data_end;
  struct packet p = {};
  if (!read_headers(data, end, &p)) {
    note_narrowing(data, end);
    return XDP_PASS;
  }

  const __u32 at = ETHERNET + p.network + UDP;
  __u16 payload = p.udp_length - UDP;
  __u32 header = 0;
  __u32 header_sum = 0;
  if (is_listener(bpf_ntohs(p.key.local_port))) {
    if (at > ETHERNET + sizeof(struct ipv6hdr) + UDP) return XDP_PASS;
    __be16* channel = data + at;
    if ((void*)(channel + 2) > end || payload < CHANNEL_HEADER) return XDP_PASS;
    const __u16 number = bpf_ntohs(channel[0]);
    if (number < 0x4000) {
      return config.binding_per_s ? answer_binding(ctx, &p) : XDP_PASS;
    }
    /* Padded data, as a client may send it, is the process's to cut. */
    if (number >= 0x8000 ||
        bpf_ntohs(channel[1]) != payload - CHANNEL_HEADER) {
      return XDP_PASS;
    }
    p.key.channel = channel[0];
    header = CHANNEL_HEADER;
    header_sum = (__u32)(__u16)~channel[0] + (__u16)~channel[1];
    payload -= CHANNEL_HEADER;
  }
  struct kyuu_flow* flow = bpf_map_lookup_elem(&flows, &p.key);
  if (!flow || payload == 0) return XDP_PASS;
  if (flow->until <= bpf_ktime_get_coarse_ns()) return XDP_PASS;

  const __u32 network = flow->family == KYUU_V4 ? sizeof(struct iphdr)
                                                : sizeof(struct ipv6hdr);
  const __u32 size =
      network + UDP + (flow->channel ? CHANNEL_HEADER : 0) + payload;
  struct kyuu_way* way = bpf_map_lookup_elem(&ways, &flow->way);
  struct kyuu_count* count = bpf_map_lookup_elem(&counts, &flow->slot);
  if (!way || !count || way->ifindex == 0) {
    count_total(KYUU_NO_WAY);
    return XDP_PASS;
  }
  if (size > way->mtu) {
    count_total(KYUU_TOO_BIG);
    return XDP_PASS;
  }
  /* A checksum that a machine beside us has left to its network card is the sum
   * of the addresses and the length, and nothing to go on from. */
  if (p.check == 0 ||
      p.check == fold((__u64)flow->pseudo + bpf_htons(p.udp_length))) {
    count_total(KYUU_UNSUMMED);
    return XDP_PASS;
  }
  if (p.hop_limit <= 1) {
    count_total(KYUU_HOP_LIMIT);
    return XDP_DROP;
  }
  if (flow->metered && !take_funds(count, payload)) {
    count_total(KYUU_UNFUNDED);
    return XDP_PASS;
  }
  const int verdict = relay(ctx, &p, flow, way, payload, header, header_sum);
  if (verdict != XDP_PASS && verdict != XDP_DROP) {
    __sync_fetch_and_add(&count->datagrams, 1);
    __sync_fetch_and_add(&count->bytes, payload);
  }
  return verdict;
}

/* Sends a frame out of the interface whose number stands behind its header: to
 * see whether what is sent from here leaves there. */
SEC("xdp")
int kyuu_probe(struct xdp_md* ctx) {
  void* data = (void*)(long)ctx->data;
  void* end = (void*)(long)ctx->data_end;
  __u32* ifindex = data + ETHERNET;
  if ((void*)(ifindex + 1) > end) return XDP_ABORTED;
  return bpf_redirect(*ifindex, 0);
}

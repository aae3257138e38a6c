/* A network card: puts the header of the next datagram onto each frame, and gives
 * it to what is at the interface, or to the machine behind it. */

#include "bench/card.h"

#include <bpf/bpf_helpers.h>
#include <linux/bpf.h>

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, KYUU_CARD_FLOWS_MAX);
  __type(key, __u32);
  __type(value, struct kyuu_card_head);
} heads SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u32);
} behind SEC(".maps");

const volatile struct kyuu_card_config config = {};

/* One thread runs it. */
static __u32 next;

SEC("xdp")
int kyuu_card(struct xdp_md* ctx) {
  void* data = (void*)(long)ctx->data;
  void* end = (void*)(long)ctx->data_end;
  const __u32 flow = next;
  const struct kyuu_card_head* head = bpf_map_lookup_elem(&heads, &flow);
  if (!head || data + sizeof head->bytes > end) return XDP_ABORTED;
  __builtin_memcpy(data, head->bytes, sizeof head->bytes);
  next = flow + 1 < config.flows ? flow + 1 : 0;
  if (config.drop) return XDP_DROP;
  if (config.sink) return bpf_redirect(config.sink, 0);
  bpf_tail_call(ctx, &behind, 0);
  return XDP_PASS; /* Nobody is there. */
}

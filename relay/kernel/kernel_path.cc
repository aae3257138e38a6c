#include "relay/kernel/kernel_path.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/status_macros.h"

namespace kyuu::relay::kernel {

using turn::Direction;
using turn::Flow;

namespace {

// The program may be at work with a flow that was just erased, for as long as
// the kernel gives it: a slot is not used again at once.
constexpr absl::Duration kRest = absl::Seconds(1);
// Routes may change without a word: all are asked for again, some at a time, so
// that other work need not wait.
constexpr absl::Duration kRenewInterval = absl::Seconds(10);
// How often is looked whether a router has said that a path is narrower.
constexpr absl::Duration kLookInterval = absl::Milliseconds(500);
constexpr absl::Duration kScanPause = absl::Milliseconds(10);
constexpr size_t kScanned = 256;
uint16_t Fold(uint64_t sum) {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

// The address as the program has it.
void Write(const IpAddress& ip, __u32 (&out)[4]) {
  memset(out, 0, sizeof out);
  memcpy(out, ip.bytes().data(), ip.bytes().size());
}

// The sum of its words, or with all bits of `flip` what takes them off a sum of
// one's complement.
uint64_t Sum(const __u32 (&address)[4], uint16_t flip) {
  uint64_t sum = 0;
  for (const uint32_t word : address) {
    sum += (word & 0xffff) ^ flip;
    sum += (word >> 16) ^ flip;
  }
  return sum;
}

// What datagrams of one direction have on them as they come and as they leave.
struct Ends {
  TransportAddress remote;
  TransportAddress local;
  uint16_t channel = 0;
  TransportAddress source;
  TransportAddress destination;
  uint16_t put_channel = 0;
  absl::Time until;
};

Ends EndsOf(const Flow& flow, Direction direction) {
  if (direction == Direction::kToPeers) {
    return {flow.client.remote, flow.client.local, flow.channel,
            flow.relay,         flow.peer,         0,
            flow.to_peer_until};
  }
  return {flow.peer,           flow.relay,         0,
          flow.client.local,   flow.client.remote, flow.channel,
          flow.to_client_until};
}

kyuu_flow_key KeyOf(const Ends& ends) {
  kyuu_flow_key key{};
  Write(ends.remote.ip, key.remote);
  Write(ends.local.ip, key.local);
  key.remote_port = htons(ends.remote.port);
  key.local_port = htons(ends.local.port);
  key.channel = htons(ends.channel);
  key.family = ends.remote.ip.is_v4() ? KYUU_V4 : KYUU_V6;
  return key;
}

kyuu_flow FlowOf(const Ends& ends, const kyuu_flow_key& key, bool metered) {
  kyuu_flow flow{};
  Write(ends.source.ip, flow.source);
  Write(ends.destination.ip, flow.destination);
  flow.source_port = htons(ends.source.port);
  flow.destination_port = htons(ends.destination.port);
  flow.channel = htons(ends.put_channel);
  flow.family = ends.destination.ip.is_v4() ? KYUU_V4 : KYUU_V6;
  flow.metered = metered ? 1 : 0;
  const uint64_t came = Sum(key.remote, 0) + Sum(key.local, 0);
  flow.pseudo = Fold(came + htons(IPPROTO_UDP));
  const uint64_t gone = Sum(key.remote, 0xffff) + Sum(key.local, 0xffff) +
                        (key.remote_port ^ 0xffff) + (key.local_port ^ 0xffff);
  flow.delta = Fold(gone + Sum(flow.source, 0) + Sum(flow.destination, 0) +
                    flow.source_port + flow.destination_port);
  // Both clocks are CLOCK_MONOTONIC.
  flow.until = static_cast<uint64_t>(
      std::max<int64_t>(absl::ToUnixNanos(ends.until), 0));
  return flow;
}

}  // namespace

absl::StatusOr<KernelPath::Prepared> KernelPath::Prepare(Options options) {
  KYUU_ASSIGN_OR_RETURN(Program program, Program::Load(options.program));
  KYUU_ASSIGN_OR_RETURN(Places places,
                        Places::Open(std::move(program), options.addresses,
                                     std::move(options.kept)));
  return Prepared{std::move(options), std::move(places)};
}

absl::StatusOr<std::unique_ptr<KernelPath>> KernelPath::Open(
    net::Loop& loop, Prepared prepared) {
  KYUU_ASSIGN_OR_RETURN(Routes routes, Routes::Open());
  std::unique_ptr<KernelPath> path(
      new KernelPath(loop, std::move(prepared), std::move(routes)));
  RouteWatch::Handlers handlers;
  handlers.on_neighbor = [p = path.get()](uint32_t ifindex,
                                          const IpAddress& ip) {
    const std::lock_guard lock(p->mutex_);
    p->ways_.OnNeighbor(ifindex, ip);
  };
  handlers.on_change = [p = path.get()] { p->ScanSoon(); };
  KYUU_ASSIGN_OR_RETURN(path->watch_,
                        RouteWatch::Open(loop, std::move(handlers)));
  // What has happened since it was prepared nobody has watched.
  path->ScanSoon();
  path->renew_at_ = net::Loop::Now() + kRenewInterval;
  path->look_alarm_.Set(net::Loop::Now() + kLookInterval);
  return path;
}

absl::StatusOr<std::unique_ptr<KernelPath>> KernelPath::Open(net::Loop& loop,
                                                             Options options) {
  KYUU_ASSIGN_OR_RETURN(Prepared prepared, Prepare(std::move(options)));
  return Open(loop, std::move(prepared));
}

KernelPath::KernelPath(net::Loop& loop, Prepared prepared, Routes routes)
    : options_(std::move(prepared.options)),
      entries_max_(options_.program.flows_max / 2),
      places_(std::move(prepared.places)),
      program_(places_.program()),
      told_(places_.Where(), absl::OkStatus()),
      ways_(program_, std::move(routes), options_.program.flows_max),
      scan_alarm_(loop, [this] { Scan(); }),
      look_alarm_(loop, [this] { Look(); }) {
  ways_.SetLinks(places_.links());
}

KernelPath::~KernelPath() = default;

// --- Interfaces -------------------------------------------------------------

absl::Status KernelPath::Follow() {
  absl::Status status = places_.Follow(options_.addresses);
  const std::lock_guard lock(mutex_);
  ways_.SetLinks(places_.links());
  return status;
}

void KernelPath::SetAddresses(std::vector<IpAddress> addresses) {
  options_.addresses = std::move(addresses);
  ScanSoon();
}

std::vector<Attachment> KernelPath::Leave() {
  scan_alarm_.Stop();
  look_alarm_.Stop();
  watch_.reset();
  const std::lock_guard lock(mutex_);
  for (const std::optional<Entry>& entry : entries_) {
    if (!entry.has_value()) continue;
    for (const kyuu_flow_key& key : entry->keys) program_.Erase(key);
  }
  return places_.Leave();
}

// One that is at work goes on: changes without end must not keep it from its
// own.
void KernelPath::ScanSoon() {
  again_ = true;
  if (scan_alarm_.deadline() == absl::InfiniteFuture()) {
    scan_alarm_.Set(net::Loop::Now() + kScanPause);
  }
}

void KernelPath::Look() {
  const absl::Time now = net::Loop::Now();
  const uint64_t narrowed = program_.Totals()[KYUU_NARROWED];
  if (std::exchange(narrowed_, narrowed) != narrowed || renew_at_ <= now) {
    ScanSoon();
    renew_at_ = now + kRenewInterval;
  }
  look_alarm_.Set(now + kLookInterval);
}

void KernelPath::Scan() {
  if (scanned_ == 0) {
    again_ = false;
    absl::Status status = Follow();
    std::pair<std::string, absl::Status> now = {places_.Where(),
                                                std::move(status)};
    if (now != told_) {
      told_ = std::move(now);
      if (options_.on_change) options_.on_change(told_.first, told_.second);
    }
  }
  const std::lock_guard lock(mutex_);
  const std::optional<size_t> next = ways_.Renew(scanned_, kScanned);
  scanned_ = next.value_or(0);
  if (next.has_value() || again_) {
    scan_alarm_.Set(net::Loop::Now() + kScanPause);
  }
}

// --- Flows ------------------------------------------------------------------

std::optional<uint32_t> KernelPath::TakePlace(absl::Time now) {
  if (!free_.empty() && free_.front().first + kRest <= now) {
    const uint32_t place = free_.front().second;
    free_.pop_front();
    return place;
  }
  if (entries_.size() >= entries_max_) return std::nullopt;
  entries_.emplace_back();
  return static_cast<uint32_t>(entries_.size() - 1);
}

// Writes what the program is to do; false if it cannot do it.
bool KernelPath::Fill(Entry& entry, uint32_t place, const Flow& flow) {
  size_t filled = 0;
  for (const Direction direction :
       {Direction::kToPeers, Direction::kToClients}) {
    const auto i = static_cast<size_t>(direction);
    const Ends ends = EndsOf(flow, direction);
    const std::optional<uint32_t> way =
        ways_.Take(ends.source.ip, ends.destination.ip);
    if (!way.has_value()) break;
    entry.keys[i] = KeyOf(ends);
    entry.flows[i] = FlowOf(ends, entry.keys[i], flow.metered);
    entry.flows[i].way = *way;
    entry.flows[i].slot = place * 2 + static_cast<uint32_t>(i);
    program_.counts()[entry.flows[i].slot] = {};
    if (!program_.Put(entry.keys[i], entry.flows[i]).ok()) {
      ways_.Give(*way);
      break;
    }
    ++filled;
  }
  if (filled == entry.flows.size()) return true;
  for (size_t i = 0; i < filled; ++i) {
    program_.Erase(entry.keys[i]);
    ways_.Give(entry.flows[i].way);
  }
  return false;
}

std::optional<FlowPath::Handle> KernelPath::Install(const Flow& flow) {
  const absl::Time now = net::Loop::Now();
  const std::lock_guard lock(mutex_);
  const std::optional<uint32_t> place = TakePlace(now);
  if (!place.has_value()) return std::nullopt;
  Entry entry;
  if (!Fill(entry, *place, flow)) {
    free_.emplace_back(now, *place);
    return std::nullopt;
  }
  entries_[*place] = entry;
  return Handle{*place};
}

void KernelPath::Update(Handle handle, const Flow& flow) {
  const std::lock_guard lock(mutex_);
  Entry& entry = *entries_[static_cast<uint32_t>(handle)];
  for (const Direction direction :
       {Direction::kToPeers, Direction::kToClients}) {
    const auto i = static_cast<size_t>(direction);
    const uint32_t way = entry.flows[i].way;
    const uint32_t slot = entry.flows[i].slot;
    entry.flows[i] =
        FlowOf(EndsOf(flow, direction), entry.keys[i], flow.metered);
    entry.flows[i].way = way;
    entry.flows[i].slot = slot;
    // The kernel has no memory: it must not go on by what holds no more.
    if (!program_.Put(entry.keys[i], entry.flows[i]).ok()) {
      program_.Erase(entry.keys[i]);
    }
  }
}

FlowPath::Counts KernelPath::Remove(Handle handle) {
  const auto place = static_cast<uint32_t>(handle);
  const std::lock_guard lock(mutex_);
  const Entry& entry = *entries_[place];
  for (size_t i = 0; i < entry.flows.size(); ++i) {
    program_.Erase(entry.keys[i]);
    ways_.Give(entry.flows[i].way);
  }
  const Counts counts = Read(handle);
  entries_[place].reset();
  free_.emplace_back(net::Loop::Now(), place);
  return counts;
}

kyuu_count& KernelPath::CountOf(Handle handle, Direction direction) const {
  return program_.counts()[static_cast<size_t>(handle) * 2 +
                           static_cast<size_t>(direction)];
}

FlowPath::Counts KernelPath::Read(Handle handle) const {
  Counts counts;
  for (const Direction direction :
       {Direction::kToPeers, Direction::kToClients}) {
    const kyuu_count& count = CountOf(handle, direction);
    counts[static_cast<size_t>(direction)] = {
        __atomic_load_n(&count.datagrams, __ATOMIC_RELAXED),
        __atomic_load_n(&count.bytes, __ATOMIC_RELAXED)};
  }
  return counts;
}

void KernelPath::Fund(Handle handle, Direction direction, int64_t bytes) {
  __atomic_fetch_add(&CountOf(handle, direction).funds, bytes,
                     __ATOMIC_RELAXED);
}

int64_t KernelPath::Funds(Handle handle, Direction direction) const {
  return __atomic_load_n(&CountOf(handle, direction).funds, __ATOMIC_RELAXED);
}

KernelStats KernelPath::stats() const {
  const std::array<uint64_t, KYUU_TOTALS> totals = program_.Totals();
  return {.hop_limit = totals[KYUU_HOP_LIMIT],
          .no_way = totals[KYUU_NO_WAY],
          .too_big = totals[KYUU_TOO_BIG],
          .unfunded = totals[KYUU_UNFUNDED],
          .unsummed = totals[KYUU_UNSUMMED],
          .bindings = totals[KYUU_BINDINGS],
          .bindings_limited = totals[KYUU_BINDINGS_LIMITED],
          .narrowed = totals[KYUU_NARROWED]};
}

}  // namespace kyuu::relay::kernel

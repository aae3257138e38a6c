#include "signaling/backplane/links.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

namespace kyuu::signaling {
namespace {

constexpr absl::string_view kMagic = "kl";
constexpr uint8_t kVersion = 1;

enum class Kind : uint8_t { kAlive = 1, kLeaving = 2, kData = 3 };

constexpr size_t kHeaderBytes = 4 + 8;
constexpr size_t kDataHeaderBytes = kHeaderBytes + 5 * 8 + 2;
// What a message costs beside its text.
constexpr size_t kMessageBytes = 64;

std::string ShortPacket(Kind kind, NodeId from) {
  std::string bytes(kHeaderBytes, '\0');
  Writer w(absl::MakeSpan(reinterpret_cast<uint8_t*>(bytes.data()),  //
                          bytes.size()));
  w.Text(kMagic);
  w.U8(kVersion);
  w.U8(static_cast<uint8_t>(kind));
  w.U64(static_cast<uint64_t>(from));
  return bytes;
}

}  // namespace

Links::Links(LinksOptions options, NodeId self)
    : options_(options), self_(self) {}

Links::Link* Links::Find(absl::Time now, NodeId node) {
  const auto it = links_.find(node);
  if (it != links_.end()) return &it->second;
  if (links_.size() >= options_.max_nodes) {
    ++stats_.too_many_nodes;
    return nullptr;
  }
  Link& link = links_[node];
  link.heard = now;
  Restart(node, link);
  return &link;
}

void Links::Restart(NodeId node, Link& link) {
  if (link.up) {
    ++stats_.nodes_lost;
    events_.push_back(NodeLost{node});
  }
  const absl::Time heard = link.heard;
  link = Link();
  link.heard = heard;
  link.epoch = ++last_epoch_;
  link.owes_packet = true;
}

Links::Map::iterator Links::Lose(Map::iterator it) {
  if (it->second.up) {
    ++stats_.nodes_lost;
    events_.push_back(NodeLost{it->first});
  }
  return links_.erase(it);
}

bool Links::Send(absl::Time /*now*/, NodeId to, std::string message) {
  const auto it = links_.find(to);
  if (it == links_.end() || !it->second.up) return false;
  Link& link = it->second;
  const size_t bytes = message.size() + kMessageBytes;
  if (message.size() > options_.max_message_bytes ||
      link.kept_bytes + bytes > options_.max_kept_bytes) {
    ++stats_.nodes_overflown;
    Restart(to, link);
    return false;
  }
  link.kept_bytes += bytes;
  link.kept.push_back(std::move(message));
  return true;
}

void Links::HandleReconnected(absl::Time now) {
  alive_at_ = now;
  for (auto& [node, link] : links_) {
    link.owes_packet = true;
    link.sent = link.acknowledged;
    link.in_flight = 0;
    link.backoff = options_.resend_after;
  }
}

void Links::Leave() {
  leaving_ = true;
  links_.clear();
  alive_at_ = absl::InfinitePast();
}

void Links::HandlePacket(absl::Time now, Packet in) {
  Reader r(AsBytes(in.bytes));
  const bool is_ours = r.Text(kMagic.size()) == kMagic && r.U8() == kVersion;
  const auto kind = static_cast<Kind>(r.U8());
  const NodeId from{r.U64()};
  if (!r.ok() || !is_ours || from == NodeId{}) {
    ++stats_.malformed;
    return;
  }
  // What is told to all comes back.
  if (from == self_ || leaving_) return;
  switch (kind) {
    case Kind::kAlive:
      if (!r.Finish()) break;
      if (Link* link = Find(now, from)) link->heard = now;
      return;
    case Kind::kLeaving: {
      if (!r.Finish()) break;
      const auto it = links_.find(from);
      if (it != links_.end()) Lose(it);
      return;
    }
    case Kind::kData:
      return HandleData(now, from, r);
  }
  ++stats_.malformed;
}

bool Links::IsLate(absl::Time now, NodeId from, Link& link) {
  ++stats_.stale;
  link.stale_since = std::min(link.stale_since, now);
  if (now < link.stale_since + options_.lifetime) return true;
  Restart(from, link);
  return false;
}

void Links::HandleData(absl::Time now, NodeId from, Reader& r) {
  const NodeId to{r.U64()};
  const uint64_t epoch = r.U64();
  const uint64_t ours = r.U64();
  const uint64_t acknowledged = r.U64();
  uint64_t number = r.U64();
  const uint16_t count = r.U16();
  std::vector<absl::string_view> messages;
  for (uint16_t i = 0; i < count && r.ok(); ++i) {
    messages.push_back(r.Text(r.U32()));
  }
  const bool is_sane =
      epoch != 0 && number != 0 &&
      number < std::numeric_limits<uint64_t>::max() - count &&
      std::all_of(messages.begin(), messages.end(), [&](absl::string_view m) {
        return m.size() <= options_.max_message_bytes;
      });
  if (!r.Finish() || !is_sane) {
    ++stats_.malformed;
    return;
  }
  if (to != self_) return;
  Link* link = Find(now, from);
  if (link == nullptr) return;
  if (epoch < link->other && IsLate(now, from, *link)) return;
  link->heard = now;
  if (epoch > link->other) {
    // Theirs began anew, so what ours had said is lost. One that was not up has
    // said nothing: if it began anew as well, the two would do so for ever.
    if (link->up) Restart(from, *link);
    link->other = epoch;
    link->owes_packet = true;
  }
  if (ours != link->epoch) {
    // Said to an older link, or before they knew of this one: tell them.
    if (ours != 0) ++stats_.stale;
    link->owes_packet = true;
    return;
  }
  link->stale_since = absl::InfiniteFuture();
  if (!link->up) {
    link->up = true;
    link->owes_packet = true;
    link->backoff = options_.resend_after;
    events_.push_back(NodeUp{from});
  }
  Acknowledge(now, from, *link, acknowledged);
  // The other one may not be up yet, as our answer was lost, and say its first
  // word again. One that is up and has said nothing looks the same: a pause
  // keeps two of these from answering each other for ever.
  const bool may_be_first_word = acknowledged == 0 && number == 1;
  if (!messages.empty() || (may_be_first_word && now >= link->answer_at)) {
    link->owes_packet = true;
    link->answer_at = now + options_.resend_after;
  }
  if (number > link->received + 1) {
    ++stats_.gaps;
    return;
  }
  for (const absl::string_view message : messages) {
    if (number++ <= link->received) {
      ++stats_.repeated;
      continue;
    }
    ++link->received;
    events_.push_back(NodeMessage{from, std::string(message)});
  }
}

void Links::Acknowledge(absl::Time now, NodeId node, Link& link,
                        uint64_t number) {
  // More than was ever there is a lie; more than was sent lately is not.
  if (number > link.acknowledged + link.kept.size()) {
    ++stats_.malformed;
    return;
  }
  if (number <= link.acknowledged) return;
  while (link.acknowledged < number) {
    const size_t bytes = link.kept.front().size() + kMessageBytes;
    link.kept_bytes -= bytes;
    if (++link.acknowledged <= link.sent) link.in_flight -= bytes;
    link.kept.pop_front();
  }
  events_.push_back(NodeHas{node, number});
  link.sent = std::max(link.sent, link.acknowledged);
  link.backoff = options_.resend_after;
  link.resend_at = link.sent > link.acknowledged ? now + link.backoff
                                                 : absl::InfiniteFuture();
}

void Links::HandleTimeout(absl::Time now) {
  for (auto it = links_.begin(); it != links_.end();) {
    Link& link = it->second;
    if (now >= link.heard + options_.lifetime) {
      it = Lose(it);
      continue;
    }
    if (now >= link.resend_at) {
      link.backoff = std::min(2 * link.backoff, options_.alive_interval);
      stats_.resent += link.sent - link.acknowledged;
      link.sent = link.acknowledged;
      link.in_flight = 0;
      link.resend_at = absl::InfiniteFuture();
      link.owes_packet = true;
    }
    ++it;
  }
}

bool Links::FitsWindow(const Link& link, size_t bytes) const {
  return link.in_flight == 0 || link.in_flight + bytes <= options_.window_bytes;
}

bool Links::WantsToSend(const Link& link) const {
  if (link.owes_packet) return true;
  const size_t next = link.sent - link.acknowledged;
  return link.up && next < link.kept.size() &&
         FitsWindow(link, link.kept[next].size() + kMessageBytes);
}

std::string Links::BuildData(absl::Time now, NodeId to, Link& link) {
  const size_t first = link.sent - link.acknowledged;
  size_t count = 0;
  size_t bytes = 0;
  if (link.up) {
    for (; first + count < link.kept.size() && count < 1000; ++count) {
      const size_t size = link.kept[first + count].size() + kMessageBytes;
      if (bytes > 0 && bytes + size > options_.packet_bytes) break;
      if (!FitsWindow(link, size)) break;
      bytes += size;
      link.in_flight += size;
    }
  }
  std::string packet(kDataHeaderBytes + bytes, '\0');
  Writer w(
      absl::MakeSpan(reinterpret_cast<uint8_t*>(packet.data()), packet.size()));
  w.Text(kMagic);
  w.U8(kVersion);
  w.U8(static_cast<uint8_t>(Kind::kData));
  w.U64(static_cast<uint64_t>(self_));
  w.U64(static_cast<uint64_t>(to));
  w.U64(link.epoch);
  w.U64(link.other);
  w.U64(link.received);
  w.U64(link.sent + 1);
  w.U16(static_cast<uint16_t>(count));
  for (size_t i = first; i < first + count; ++i) {
    w.U32(static_cast<uint32_t>(link.kept[i].size()));
    w.Text(link.kept[i]);
  }
  packet.resize(w.size());
  link.sent += count;
  link.owes_packet = false;
  if (!link.up) {
    // The first word is repeated with the other's next sign of life at the
    // latest.
    link.backoff = std::max(link.backoff, options_.resend_after);
    link.resend_at = now + link.backoff;
  } else if (count > 0) {
    link.resend_at = std::min(link.resend_at, now + link.backoff);
  }
  return packet;
}

std::optional<Links::Packet> Links::PollTransmit(absl::Time now,
                                                 absl::Span<uint8_t> /*out*/) {
  if (now >= alive_at_) {
    alive_at_ =
        leaving_ ? absl::InfiniteFuture() : now + options_.alive_interval;
    return Packet{NodeId{}, ShortPacket(leaving_ ? Kind::kLeaving  //
                                                 : Kind::kAlive,
                                        self_)};
  }
  for (auto& [node, link] : links_) {
    if (WantsToSend(link)) return Packet{node, BuildData(now, node, link)};
  }
  return std::nullopt;
}

std::optional<Links::Event> Links::PollEvent() {
  if (events_.empty()) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

absl::Time Links::NextTimeout() const {
  absl::Time next = alive_at_;
  for (const auto& [node, link] : links_) {
    next = std::min({next, link.heard + options_.lifetime, link.resend_at});
  }
  return next;
}

bool Links::IsUp(NodeId node) const {
  const auto it = links_.find(node);
  return it != links_.end() && it->second.up;
}

std::vector<NodeId> Links::nodes() const {
  std::vector<NodeId> nodes;
  for (const auto& [node, link] : links_) {
    if (link.up) nodes.push_back(node);
  }
  return nodes;
}

size_t Links::kept_bytes() const {
  size_t bytes = 0;
  for (const auto& [node, link] : links_) bytes += link.kept_bytes;
  return bytes;
}

}  // namespace kyuu::signaling

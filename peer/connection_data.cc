// How a datagram travels: up in HandlePacket, down in PollTransmit. Nothing
// else joins two protocols (docs/life_of_a_datagram.md).

#include <algorithm>
#include <cstring>
#include <utility>

#include "peer/connection.h"

namespace kyuu::peer {

namespace {

// RFC 7983 section 7: what the first byte of a datagram says.
enum class Protocol { kStun, kTurnChannel, kDtls, kUnknown };

Protocol Classify(absl::Span<const uint8_t> bytes) {
  if (bytes.empty()) return Protocol::kUnknown;
  if (bytes[0] <= 3) return Protocol::kStun;
  if (bytes[0] >= 20 && bytes[0] <= 63) return Protocol::kDtls;
  if (bytes[0] >= 64 && bytes[0] <= 79) return Protocol::kTurnChannel;
  return Protocol::kUnknown;
}

// ChannelData's header, left free in front of what may be relayed.
constexpr size_t kRelayHeadroom = 4;

}  // namespace

void Connection::HandlePacket(absl::Time now, const Datagram& datagram) {
  last_now_ = std::max(last_now_, now);
  ++counters_.datagrams_received;
  counters_.bytes_received += datagram.bytes.size();
  Datagram inner = datagram;
  Protocol protocol = Classify(datagram.bytes);
  // From a server: an answer to our gatherer, or a datagram of the peer, which
  // passes this switch once more.
  if (gatherer_ &&
      (protocol == Protocol::kStun || protocol == Protocol::kTurnChannel)) {
    if (std::optional<Datagram> relayed = gatherer_->Unwrap(datagram)) {
      inner = *relayed;
      protocol = Classify(inner.bytes);
    } else if (gatherer_->Expects(datagram)) {
      gatherer_->HandlePacket(now, datagram);
      React(now);
      return;
    }
  }
  if (closing_) {
    ++counters_.discarded_closed;
    return;
  }
  switch (protocol) {
    case Protocol::kStun:
      agent_.HandlePacket(now, inner);
      break;
    case Protocol::kDtls:
      HandleDtls(now, inner);
      break;
    case Protocol::kTurnChannel:
    case Protocol::kUnknown:
      ++counters_.discarded_unknown;
      break;
  }
  React(now);
}

void Connection::HandleDtls(absl::Time now, const Datagram& datagram) {
  if (!agent_.IsKnownPath(datagram.path)) {
    ++counters_.discarded_unknown_path;
    return;
  }
  if (dtls_) {
    FeedDtls(now, datagram.bytes);
    return;
  }
  // The peer is faster than its answer. Kept, it saves a retransmission.
  if (early_dtls_.size() >= options_.early_dtls_datagrams_max) {
    ++counters_.discarded_early_dtls;
    return;
  }
  early_dtls_.emplace_back(datagram.bytes.begin(), datagram.bytes.end());
}

void Connection::FeedDtls(absl::Time now, absl::Span<const uint8_t> bytes) {
  dtls_->HandlePacket(now, bytes);
  while (std::optional<dtls::Session::Event> event = dtls_->PollEvent()) {
    On(now, *event);
  }
  while (const auto plaintext =
             dtls_->ReadPlaintext(absl::MakeSpan(plaintext_))) {
    channels_.HandlePacket(now, *plaintext);
  }
}

std::optional<Datagram> Connection::PollTransmit(absl::Time now,
                                                 absl::Span<uint8_t> out) {
  std::optional<Datagram> next = NextIce(now, out);
  if (!next && gatherer_) next = gatherer_->PollTransmit(now, out);
  if (!next) next = NextDtls(now, out);
  if (!next) next = NextData(now, out);
  if (next) {
    ++counters_.datagrams_sent;
    counters_.bytes_sent += next->bytes.size();
  } else if (closing_) {
    ReviewClosing(now);
    React(now);
  }
  return next;
}

std::optional<Datagram> Connection::NextIce(absl::Time now,
                                            absl::Span<uint8_t> out) {
  while (const std::optional<Datagram> check = agent_.PollTransmit(now, out)) {
    if (auto datagram = Wrap(now, *check, out)) return datagram;
  }
  return std::nullopt;
}

std::optional<Datagram> Connection::NextDtls(absl::Time now,
                                             absl::Span<uint8_t> out) {
  // Before the alert: what was sealed before it.
  if (!dtls_ || !farewell_.empty()) return std::nullopt;
  const std::optional<Path> path =
      closing_ ? farewell_path_ : agent_.selected_path();
  if (!path) return std::nullopt;
  while (const auto flight = dtls_->PollTransmit(now, out)) {
    if (auto datagram = Wrap(now, {*path, *flight}, out)) return datagram;
  }
  return std::nullopt;
}

std::optional<Datagram> Connection::NextData(absl::Time now,
                                             absl::Span<uint8_t> out) {
  if (!farewell_.empty()) {
    const std::vector<uint8_t> record = std::exchange(farewell_, {});
    if (record.size() > out.size()) return std::nullopt;
    std::memcpy(out.data(), record.data(), record.size());
    return Wrap(now, {*farewell_path_, out.first(record.size())}, out);
  }
  if (closing_ || !dtls_ || !dtls_->connected()) return std::nullopt;
  const std::optional<Path> path = agent_.selected_path();
  if (!path || out.size() < kDatagramMax) return std::nullopt;
  const size_t offset =
      gatherer_ && gatherer_->IsRelayed(path->local) ? kRelayHeadroom : 0;
  while (const auto packet =
             channels_.PollTransmit(now, absl::MakeSpan(packet_))) {
    const absl::StatusOr<size_t> size =
        dtls_->Seal(*packet, out.subspan(offset));
    // Only a session that just died refuses; SCTP sends it again if not.
    if (!size.ok()) return std::nullopt;
    const Datagram sealed{*path, out.subspan(offset, *size)};
    if (offset == 0) return sealed;
    if (auto datagram = Wrap(now, sealed, out)) return datagram;
  }
  return std::nullopt;
}

std::optional<Datagram> Connection::Wrap(absl::Time now, const Datagram& inner,
                                         absl::Span<uint8_t> out) {
  if (!gatherer_ || !gatherer_->IsRelayed(inner.path.local)) return inner;
  const absl::StatusOr<Datagram> outer = gatherer_->Wrap(now, inner, out);
  if (outer.ok()) return *outer;
  ++counters_.discarded_unwrappable;
  return std::nullopt;
}

}  // namespace kyuu::peer

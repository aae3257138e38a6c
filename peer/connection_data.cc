// How a datagram travels: up in HandlePacket, down in PollTransmit. Nothing
// else joins two protocols (docs/life_of_a_datagram.md).

#include <algorithm>
#include <array>
#include <utility>

#include "dtls/record.h"
#include "peer/connection.h"

namespace kyuu::peer {
namespace {

// No datagram carries a larger record.
constexpr size_t kRecordMax = dtls::kPlaintextMax + dtls::kRecordOverheadMax;

}  // namespace

void Connection::HandlePacket(absl::Time now, const Datagram& datagram) {
  last_now_ = std::max(last_now_, now);
  ++counters_.datagrams_received;
  counters_.bytes_received += datagram.bytes.size();
  // Whatever finds and keeps the path ends here; the rest is the peer's.
  if (const auto payload = ice_.HandlePacket(now, datagram)) {
    if (closing_) {
      ++counters_.discarded_closed;
    } else if (payload->bytes[0] > 63) {
      ++counters_.discarded_unknown;  // SRTP (RFC 7983 section 7).
    } else {
      HandleDtls(now, payload->bytes);
    }
  }
  React(now);
}

void Connection::HandleDtls(absl::Time now, absl::Span<const uint8_t> bytes) {
  if (dtls_) {
    FeedDtls(now, bytes);
    return;
  }
  // The peer is faster than its answer. Kept, it saves a retransmission.
  if (early_dtls_.size() >= options_.early_dtls_datagrams_max) {
    ++counters_.discarded_early_dtls;
    return;
  }
  early_dtls_.emplace_back(bytes.begin(), bytes.end());
}

void Connection::FeedDtls(absl::Time now, absl::Span<const uint8_t> bytes) {
  std::array<uint8_t, kRecordMax> buffer;
  while (const auto plaintext =
             dtls_->Open(now, bytes, absl::MakeSpan(buffer))) {
    channels_.HandlePacket(now, *plaintext);
  }
  while (std::optional<dtls::Session::Event> event = dtls_->PollEvent()) {
    On(now, *event);
  }
  // What came before Connected.
  while (const auto plaintext = dtls_->ReadPlaintext(absl::MakeSpan(buffer))) {
    channels_.HandlePacket(now, *plaintext);
  }
}

std::optional<Datagram> Connection::PollTransmit(absl::Time now,
                                                 absl::Span<uint8_t> out) {
  std::optional<Datagram> next = ice_.PollTransmit(now, out);
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

// Gives ICE the flight that waits, to carry it before there is a path.
void Connection::EmbedDtls(absl::Time now) {
  if (!dtls_ || closing_ || !ice_.embedded_dtls().active() ||
      PeerAwaitsDtls()) {
    return;
  }
  std::vector<std::vector<uint8_t>> flight;
  std::array<uint8_t, kDatagramMax> buffer;
  while (const auto datagram =
             dtls_->PollTransmit(now, absl::MakeSpan(buffer))) {
    flight.emplace_back(datagram->begin(), datagram->end());
  }
  if (!flight.empty()) ice_.embedded_dtls().SetFlight(std::move(flight));
}

std::optional<Datagram> Connection::NextDtls(absl::Time now,
                                             absl::Span<uint8_t> out) {
  // Before the alert: what was sealed before it.
  if (!dtls_ || (closing_ && !closing_->farewell.empty()) ||
      !PeerAwaitsDtls()) {
    return std::nullopt;
  }
  // What the peer may have got already, embedded, and has not acknowledged.
  while (const auto flight = ice_.embedded_dtls().TakeUnacknowledged()) {
    if (auto datagram = ice_.Send(now, *flight, out)) return datagram;
  }
  while (const auto flight = dtls_->PollTransmit(now, out)) {
    if (auto datagram = ice_.Send(now, *flight, out)) return datagram;
  }
  return std::nullopt;
}

std::optional<Datagram> Connection::NextData(absl::Time now,
                                             absl::Span<uint8_t> out) {
  if (closing_ && !closing_->farewell.empty()) {
    const std::vector<uint8_t> record = std::exchange(closing_->farewell, {});
    return ice_.Send(now, record, out);
  }
  if (closing_ || !dtls_ || !dtls_->connected()) return std::nullopt;
  if (!ice_.selected_path() || out.size() < kDatagramMax) return std::nullopt;
  // The packet is written where its record needs it, and sealed there.
  const absl::Span<uint8_t> place = out.subspan(ice_.headroom());
  const absl::Span<uint8_t> text = place.subspan(dtls_->record_header_bytes());
  while (const auto packet = channels_.PollTransmit(
             now, text.first(text.size() - dtls::kRecordTagBytes))) {
    const absl::StatusOr<absl::Span<const uint8_t>> record =
        dtls_->SealInPlace(place, packet->size());
    // Only a session that just died refuses; SCTP sends it again if not.
    if (!record.ok()) return std::nullopt;
    if (auto datagram = ice_.Send(now, *record, out)) {
      datagram->dont_fragment = channels_.sent_probe();
      return datagram;
    }
  }
  return std::nullopt;
}

}  // namespace kyuu::peer

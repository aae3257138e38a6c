#include "dtls/internal/established.h"

#include <algorithm>

#include "base/bytes.h"

namespace kyuu::dtls::internal {
namespace {

// Our Finished, of which OpenSSL shows the record only. Empty if `ours` do not
// open it, which would be a wrong derivation.
std::vector<uint8_t> OpenOwn(const WriteKeys& ours,
                             std::vector<uint8_t> bytes) {
  absl::Span<const uint8_t> rest = bytes;
  const std::optional<Record> record = TakeRecord(rest);
  if (!record) return {};
  const Opened opened = Opener(ours).Open(*record, absl::MakeSpan(bytes));
  return {opened.plaintext.begin(), opened.plaintext.end()};
}

}  // namespace

std::unique_ptr<Established> Established::From(const Connection& connection,
                                               Connection::Side side) {
  const std::optional<Connection::Handover> from = connection.HandOver();
  if (!from) return nullptr;
  const bool client = side == Connection::Side::kClient;
  std::unique_ptr<Established> result(new Established(
      connection, *from, client ? from->keys.client : from->keys.server,
      client ? from->keys.server : from->keys.client, side));
  return result->finished_.empty() ? nullptr : std::move(result);
}

Established::Established(const Connection& connection,
                         const Connection::Handover& from,
                         const WriteKeys& ours, const WriteKeys& theirs,
                         Connection::Side side)
    : sealer_(ours, from.start),
      opener_(theirs),
      peer_{connection.PeerFingerprint(HashAlgorithm::kSha256),
            connection.PeerFingerprint(HashAlgorithm::kSha384),
            connection.PeerFingerprint(HashAlgorithm::kSha512)},
      verdict_(connection.JudgeWithoutFingerprints()),
      version_(connection.version()),
      cipher_(connection.cipher()),
      cipher_suite_(connection.cipher_suite()),
      finished_(OpenOwn(ours, from.finished)),
      side_(side),
      clear_sequence_(from.clear_sequence) {}

Verdict Established::Judge(absl::Span<const Fingerprint> accepted) const {
  if (verdict_) return *verdict_;
  return JudgeBy(accepted, [this](HashAlgorithm algorithm) {
    return peer_[static_cast<size_t>(algorithm)];
  });
}

std::vector<uint8_t> Established::Seal(ContentType type,
                                       absl::Span<const uint8_t> message) {
  std::vector<uint8_t> datagram(sealer_.header_bytes() + message.size() +
                                kRecordTagBytes);
  std::copy(
      message.begin(), message.end(),
      datagram.begin() + static_cast<std::ptrdiff_t>(sealer_.header_bytes()));
  if (!sealer_.Seal(type, absl::MakeSpan(datagram), message.size())) return {};
  return datagram;
}

std::vector<uint8_t> Established::RepeatFlight(absl::Time now,
                                               absl::Duration interval) {
  if (side_ == Connection::Side::kClient || now < repeat_after_) return {};
  const std::vector<uint8_t> finished =
      Seal(ContentType::kHandshake, finished_);
  if (finished.empty()) return {};
  repeat_after_ = now + interval;
  std::vector<uint8_t> datagram(Record::kHeaderBytes + 1 + finished.size());
  Writer w(absl::MakeSpan(datagram));
  w.U8(static_cast<uint8_t>(ContentType::kChangeCipherSpec));
  w.U16(kDtls12);
  w.U16(kClearEpoch);
  w.U48(clear_sequence_++);
  w.U16(1);
  w.U8(1);
  w.Bytes(finished);
  return datagram;
}

}  // namespace kyuu::dtls::internal

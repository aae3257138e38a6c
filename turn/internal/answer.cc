#include "turn/internal/answer.h"

#include "stun/message.h"
#include "turn/internal/nonce.h"

namespace kyuu::turn::internal {

namespace {

constexpr size_t kAttributeHeader = 4;

size_t Padded(size_t size) { return (size + 3) / 4 * 4; }

absl::Span<const uint8_t> BuildIndication(const Answer& answer,
                                          absl::Span<uint8_t> out) {
  const bool attempt = answer.attempt.has_value();
  stun::MessageWriter w(
      out, stun::MessageClass::kIndication,
      attempt ? stun::Method::kConnectionAttempt : stun::Method::kData,
      answer.id);
  if (attempt) {
    w.Add(stun::ConnectionId{*answer.connection});
    w.Add(stun::XorPeerAddress{*answer.attempt});
  } else {
    w.Add(stun::XorPeerAddress{answer.report->peer});
    w.Add(answer.report->icmp);
  }
  return w.Finish();
}

// RFC 7635 section 6.1: in a 401 only.
bool NamesTokenServer(const Answer& answer, absl::string_view token_server) {
  return answer.error == stun::Error::kUnauthenticated && answer.challenge &&
         !token_server.empty();
}

}  // namespace

size_t ErrorSize(const Answer& answer, absl::string_view realm,
                 absl::string_view token_server) {
  size_t size = stun::kHeaderSize + kAttributeHeader + 4;  // ERROR-CODE
  if (!answer.unknown.empty()) {
    size += kAttributeHeader + Padded(2 * answer.unknown.count);
  }
  if (answer.challenge) {
    size += kAttributeHeader + Padded(realm.size()) +  // REALM
            kAttributeHeader + Padded(NonceMaker::SizeOf(answer.offers_sha256));
    if (answer.offers_sha256) {
      size += kAttributeHeader +
              stun::PasswordAlgorithms::Sha256ThenMd5().encoded.size();
    }
  }
  if (NamesTokenServer(answer, token_server)) {
    size += kAttributeHeader + Padded(token_server.size());
  }
  if (answer.fingerprint) size += kAttributeHeader + stun::Fingerprint::kSize;
  return size;
}

absl::Span<const uint8_t> Build(const Answer& answer, absl::string_view realm,
                                absl::string_view token_server,
                                absl::string_view nonce,
                                absl::string_view software,
                                absl::Span<uint8_t> out) {
  if (answer.classic.has_value()) {
    return stun::WriteClassicAnswer(*answer.classic, *answer.mapped, out);
  }
  if (answer.unasked()) return BuildIndication(answer, out);
  const auto cls = answer.error.has_value() ? stun::MessageClass::kError
                                            : stun::MessageClass::kSuccess;
  stun::MessageWriter w(out, cls, answer.method, answer.id);
  if (answer.error.has_value()) {
    // The words are for people who read captures. To whom has proven nothing
    // they would only be amplification.
    w.Add(stun::ErrorCode{*answer.error, answer.key.has_value()
                                             ? stun::ReasonPhrase(*answer.error)
                                             : absl::string_view()});
  }
  if (!answer.unknown.empty()) w.Add(answer.unknown);
  if (answer.alternate.has_value()) {
    w.Add(stun::AlternateServer{*answer.alternate});
  }
  if (answer.challenge) {
    w.Add(stun::Realm{realm});
    w.Add(stun::Nonce{nonce});
    if (answer.offers_sha256) {
      w.Add(stun::PasswordAlgorithms::Sha256ThenMd5());
    }
  }
  if (NamesTokenServer(answer, token_server)) {
    w.Add(stun::ThirdPartyAuthorization{token_server});
  }
  if (answer.relayed.has_value()) {
    w.Add(stun::XorRelayedAddress{*answer.relayed});
  }
  if (answer.additional.has_value()) {
    w.Add(stun::XorRelayedAddress{*answer.additional});
  }
  if (answer.connection.has_value()) {
    w.Add(stun::ConnectionId{*answer.connection});
  }
  if (answer.lifetime_seconds.has_value()) {
    w.Add(stun::Lifetime{*answer.lifetime_seconds});
  }
  if (answer.mapped.has_value()) w.Add(stun::XorMappedAddress{*answer.mapped});
  if (answer.whereabouts.has_value()) {
    answer.whereabouts->Write(w, answer.path.local);
  }
  if (answer.reservation.has_value()) {
    w.Add(stun::ReservationToken{*answer.reservation});
  }
  if (answer.refused.has_value()) {
    w.Add(stun::AddressErrorCode{answer.refused->family, answer.refused->error,
                                 stun::ReasonPhrase(answer.refused->error)});
  }
  if (answer.ticket.has_value()) w.Add(stun::MobilityTicket{*answer.ticket});
  if (answer.key.has_value()) {
    if (!software.empty()) w.Add(stun::Software{software});
    if (answer.integrity != Integrity::kSha256) w.AddIntegrity(*answer.key);
    if (answer.integrity != Integrity::kSha1) w.AddIntegritySha256(*answer.key);
  }
  if (answer.fingerprint) w.AddFingerprint();
  return w.Finish();
}

}  // namespace kyuu::turn::internal

// A peer that has shaken hands honestly and then says what a test tells it to,
// under the right keys.

#ifndef KYUU_DTLS_TESTING_SCRIPTED_PEER_H_
#define KYUU_DTLS_TESTING_SCRIPTED_PEER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/check.h"
#include "dtls/certificate.h"
#include "dtls/internal/connection.h"
#include "dtls/internal/record_protection.h"
#include "dtls/session.h"
#include "dtls/testing/two.h"

namespace kyuu::dtls {

class ScriptedPeer {
 public:
  using ContentType = internal::ContentType;

  // Takes the role that `session` does not have, and connects with it.
  ScriptedPeer(absl::Time now, Session& session)
      : client_(session.role() == Role::kServer),
        connection_(CertificateOf(2).context(),
                    client_ ? internal::Connection::Side::kClient
                            : internal::Connection::Side::kServer,
                    internal::Connection::Options{.mtu_bytes = 1200}) {
    connection_.SetFingerprints(
        {CertificateOf(0).fingerprint(), CertificateOf(1).fingerprint()});
    KYUU_CHECK(
        session.SetRemoteFingerprints(now, {CertificateOf(2).fingerprint()})
            .ok());
    session.Start(now);
    for (int i = 0; i < 4; ++i) {
      for (const Bytes& datagram : Drain(session, now)) {
        connection_.SetIncoming(datagram);
        connection_.Handshake();
      }
      connection_.Handshake();
      const std::vector<Bytes> flight = connection_.TakeOutgoing();
      if (!flight.empty()) last_flight_ = flight;
      for (const Bytes& datagram : flight) session.HandlePacket(now, datagram);
    }
    const auto from = connection_.HandOver();
    KYUU_CHECK(from.has_value() && session.connected());
    sealer_.emplace(client_ ? from->keys.client : from->keys.server,
                    from->start);
    opener_.emplace(client_ ? from->keys.server : from->keys.client);
  }

  // The datagrams of our last flight.
  const std::vector<Bytes>& last_flight() const { return last_flight_; }

  Bytes Seal(ContentType type, absl::Span<const uint8_t> plaintext) {
    Bytes place(sealer_->header_bytes());
    place.insert(place.end(), plaintext.begin(), plaintext.end());
    place.resize(place.size() + kRecordTagBytes);
    KYUU_CHECK(sealer_->Seal(type, absl::MakeSpan(place), plaintext.size())
                   .has_value());
    return place;
  }

  // The plaintext of `record`; nullopt if it does not open.
  std::optional<Bytes> Open(Bytes record) {
    absl::Span<const uint8_t> rest = record;
    const auto taken = internal::TakeRecord(rest);
    if (!taken || !rest.empty()) return std::nullopt;
    const auto opened = opener_->Open(*taken, absl::MakeSpan(record));
    if (opened.outcome != internal::Opened::Outcome::kOpened) {
      return std::nullopt;
    }
    return Bytes(opened.plaintext.begin(), opened.plaintext.end());
  }

 private:
  bool client_;
  internal::Connection connection_;
  std::vector<Bytes> last_flight_;
  std::optional<internal::Sealer> sealer_;
  std::optional<internal::Opener> opener_;
};

}  // namespace kyuu::dtls

#endif  // KYUU_DTLS_TESTING_SCRIPTED_PEER_H_

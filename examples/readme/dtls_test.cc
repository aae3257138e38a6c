// The example of dtls/README.md: two sessions in one process.

#include <array>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/testing.h"
#include "dtls/session.h"

namespace {

using namespace kyuu;  // NOLINT: as in the README.

void Carry(absl::Time now, dtls::Session& from, dtls::Session& to) {
  std::array<uint8_t, 2048> packet;
  while (auto p = from.PollTransmit(now, absl::MakeSpan(packet))) {
    to.HandlePacket(now, *p);
  }
}

TEST(DtlsReadme, ExampleWorks) {
  const absl::Time wall_clock_now = absl::FromUnixSeconds(1'700'000'000);
  const absl::Time now = absl::UnixEpoch();
  auto peer_certificate = *dtls::Certificate::Generate(wall_clock_now);
  const std::string from_sdp = peer_certificate.fingerprint().ToString();

  dtls::Certificate certificate = *dtls::Certificate::Generate(wall_clock_now);
  dtls::Session session(dtls::Role::kClient, certificate, {});
  ASSERT_OK(session.SetRemoteFingerprints(
      now, {*dtls::Fingerprint::Parse(from_sdp)}));
  session.Start(now);

  dtls::Session peer(dtls::Role::kServer, peer_certificate, {});
  ASSERT_OK(peer.SetRemoteFingerprints(now, {certificate.fingerprint()}));
  for (int i = 0; i < 10; ++i) {
    Carry(now, session, peer);
    Carry(now, peer, session);
  }
  ASSERT_TRUE(session.connected() && peer.connected());

  std::array<uint8_t, 2048> datagram, buffer;
  absl::StatusOr<size_t> size =
      session.Seal(AsBytes("hello"), absl::MakeSpan(datagram));
  ASSERT_OK(size);
  peer.HandlePacket(now, absl::MakeConstSpan(datagram).first(*size));
  std::string heard;
  while (auto plaintext = peer.ReadPlaintext(absl::MakeSpan(buffer))) {
    heard += std::string(AsText(*plaintext));
  }
  EXPECT_EQ(heard, "hello");
}

}  // namespace

// Datagrams into a DTLS session in various states of its handshake: nothing
// crashes, nothing unauthenticated comes out, the outgoing queue stays bounded.

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "base/bytes.h"
#include "base/check.h"
#include "dtls/session.h"

namespace {

using kyuu::dtls::Certificate;
using kyuu::dtls::Role;
using kyuu::dtls::Session;

const Certificate& Identity() {
  static const Certificate* const certificate =
      new Certificate(*Certificate::Generate(absl::UnixEpoch()));
  return *certificate;
}

// Hands flights from one session to the other; they may be replayed later.
void Exchange(absl::Time now, Session& from, Session& to,
              std::vector<std::vector<uint8_t>>& seen) {
  std::array<uint8_t, 2048> buffer;
  while (auto packet = from.PollTransmit(now, absl::MakeSpan(buffer))) {
    seen.emplace_back(packet->begin(), packet->end());
    to.HandlePacket(now, *packet);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kyuu::Reader r(absl::MakeConstSpan(data, size));
  absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  const uint8_t start = r.U8();
  Session client(Role::kClient, Identity(), {});
  Session server(Role::kServer, Identity(), {});
  Session& target = start & 1 ? client : server;
  Session& other = start & 1 ? server : client;
  KYUU_CHECK(other.SetRemoteFingerprints(now, {Identity().fingerprint()}).ok());
  if (start & 2) {
    KYUU_CHECK(
        target.SetRemoteFingerprints(now, {Identity().fingerprint()}).ok());
  }
  std::vector<std::vector<uint8_t>> seen;
  client.Start(now);
  for (int flight = 0; flight < (start >> 2) % 8; ++flight) {
    Exchange(now, flight % 2 == 0 ? client : server,
             flight % 2 == 0 ? server : client, seen);
  }
  std::array<uint8_t, kyuu::dtls::kPlaintextMax> plaintext;
  std::array<uint8_t, 2048> out;
  while (!r.empty()) {
    const uint8_t op = r.U8();
    if (op < 8) {
      now += absl::Milliseconds(op * 500);
      target.HandleTimeout(now);
    } else if (op < 16 && !seen.empty()) {
      // A real datagram with one byte changed, or none.
      std::vector<uint8_t> bent = seen[r.U8() % seen.size()];
      bent[r.U16() % bent.size()] ^= r.U8();
      target.HandlePacket(now, bent);
    } else if (op == 16) {
      target.Close(now);
    } else if (op < 20) {
      // A record under the right keys, perhaps with one byte changed.
      const std::vector<uint8_t> text(1 + r.U8(), op);
      std::vector<uint8_t> record(text.size() + kyuu::dtls::kRecordOverheadMax);
      if (!other.Seal(text, absl::MakeSpan(record)).ok()) continue;
      if (op == 18) record[r.U16() % record.size()] ^= r.U8();
      seen.push_back(record);
      Session::Packet rest = seen.back();
      while (target.Open(now, rest, absl::MakeSpan(out))) {
        KYUU_CHECK((start & 2) != 0);
      }
    } else {
      target.HandlePacket(
          now, r.Bytes(std::min<size_t>(r.U8() * 4u, r.remaining())));
    }
    while (target.ReadPlaintext(absl::MakeSpan(plaintext))) {
      KYUU_CHECK((start & 2) != 0);
    }
    for (int n = 0; target.PollTransmit(now, absl::MakeSpan(out)); ++n) {
      KYUU_CHECK(n <= 64);
    }
    while (target.PollEvent()) {
    }
  }
  return 0;
}

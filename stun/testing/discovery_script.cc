#include "stun/testing/discovery_script.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <variant>

#include "absl/time/time.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/random.h"
#include "stun/nat_discovery.h"
#include "stun/server.h"

namespace kyuu::stun {

void RunDiscoveryScript(absl::Span<const uint8_t> script) {
  const TransportAddress local{IpAddress::V4(10, 0, 0, 1), 5000};
  const TransportAddress asker{local.ip, 5001};
  const TransportAddress probe{local.ip, 5002};
  const TransportAddress primary{IpAddress::V4(192, 0, 2, 1), 3478};
  const TransportAddress alternate{IpAddress::V4(192, 0, 2, 2), 3479};
  SeededRandom random(1);
  NatDiscovery discovery(random, {.local = local,
                                  .server = primary,
                                  .other_server = alternate,
                                  .asker = asker,
                                  .probes = {{probe, absl::Seconds(20)}}});
  Server server({.discovery = Server::Discovery{primary, alternate}});
  std::array<uint8_t, 2048> out;
  std::array<uint8_t, 2048> answer;
  absl::Time now = absl::UnixEpoch();
  int closed = 0;
  const auto drain = [&discovery, &closed] {
    while (const auto event = discovery.PollEvent()) {
      if (std::holds_alternative<NatDiscovery::Closed>(*event)) ++closed;
    }
  };
  KYUU_CHECK(discovery.Start(now).ok());
  Reader r(script);
  while (!r.empty()) {
    const uint8_t op = r.U8();
    const uint8_t arg = r.U8();
    const auto sent = op % 4 < 2
                          ? discovery.PollTransmit(now, absl::MakeSpan(out))
                          : std::nullopt;
    if (op % 4 == 0 && sent) {
      // By a NAT whose outside port is what the script says.
      const TransportAddress outside{IpAddress::V4(203, 0, 113, 1),
                                     static_cast<uint16_t>(1 + arg % 4)};
      const auto reply = server.Answer(
          {{sent->path.remote, outside}, sent->bytes}, absl::MakeSpan(answer));
      const TransportAddress back = arg & 0x80 ? probe : sent->path.local;
      if (reply) {
        discovery.HandlePacket(now, {{back, reply->path.local}, reply->bytes});
      }
    }
    // It hears itself, or noise.
    if (op % 4 == 1 && sent) discovery.HandlePacket(now, *sent);
    if (op % 4 == 2) {
      discovery.HandlePacket(
          now,
          {{local, primary}, r.Bytes(std::min<size_t>(arg, r.remaining()))});
    }
    if (op % 4 == 3) discovery.HandleTimeout(now += absl::Seconds(arg));
    drain();
  }
  discovery.Close();
  drain();
  KYUU_CHECK(closed == 1);
}

}  // namespace kyuu::stun

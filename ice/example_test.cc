// The example of ice/README.md, compiled and run: two peers in one process.

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/status_macros.h"
#include "base/system_random.h"
#include "base/testing.h"
#include "ice/agent.h"
#include "ice/candidate.h"
#include "ice/credentials.h"
#include "ice/gatherer.h"
#include "ice/transport.h"

namespace kyuu {
namespace {

absl::Status Gather(absl::Time now, const TransportAddress& bound_socket,
                    ice::IceTransport& transport,
                    const std::function<void(std::string)>& Signal) {
  KYUU_RETURN_IF_ERROR(transport.AddHost(now, {bound_socket}));
  transport.Gather(now);
  while (auto event = transport.PollEvent()) {
    if (auto* found = std::get_if<ice::Gatherer::CandidateFound>(&*event)) {
      Signal(found->candidate.ToString());
    }
  }
  return absl::OkStatus();
}

// Carries what `from` sends to `to`; returns whether there was anything.
bool Carry(absl::Time now, ice::IceTransport& from, ice::IceTransport& to) {
  std::array<uint8_t, 1500> buffer;
  bool any = false;
  while (auto d = from.PollTransmit(now, absl::MakeSpan(buffer))) {
    to.HandlePacket(
        now, {{d->path.remote, d->path.local, d->path.transport}, d->bytes});
    any = true;
  }
  return any;
}

TEST(Example, TwoPeersInOneProcess) {
  SystemRandom random;
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  ice::IceTransport a(ice::Role::kControlling,
                      ice::Credentials::Generate(random), random);
  ice::IceTransport b(ice::Role::kControlled,
                      ice::Credentials::Generate(random), random);
  ASSERT_OK(a.SetRemoteCredentials(now, b.agent().local_credentials()));
  ASSERT_OK(b.SetRemoteCredentials(now, a.agent().local_credentials()));
  ASSERT_OK(Gather(now, TransportAddress::Parse("192.0.2.1:5000").value(), a,
                   [&](std::string line) {
                     b.AddRemoteCandidate(now, *ice::Candidate::Parse(line));
                   }));
  ASSERT_OK(Gather(now, TransportAddress::Parse("192.0.2.2:6000").value(), b,
                   [&](std::string line) {
                     a.AddRemoteCandidate(now, *ice::Candidate::Parse(line));
                   }));
  while (Carry(now, a, b) || Carry(now, b, a)) {
  }
  EXPECT_EQ(a.agent().state(), ice::AgentState::kCompleted);
  EXPECT_EQ(a.selected_path()->ToString(),
            "192.0.2.1:5000->192.0.2.2:6000/udp");
}

}  // namespace
}  // namespace kyuu

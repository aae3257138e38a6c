// The example of ice/README.md, compiled and run: two peers in one process.

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/random.h"
#include "base/status_macros.h"
#include "base/system_random.h"
#include "base/testing.h"
#include "ice/agent.h"
#include "ice/candidate.h"
#include "ice/credentials.h"
#include "ice/gatherer.h"

namespace kyuu {
namespace {

absl::Status Gather(absl::Time now, ice::Agent& agent, ice::Gatherer& gatherer,
                    const std::function<void(std::string)>& Signal) {
  KYUU_RETURN_IF_ERROR(gatherer.Start(now));
  while (auto event = gatherer.PollEvent()) {
    if (auto* found = std::get_if<ice::Gatherer::CandidateFound>(&*event)) {
      KYUU_RETURN_IF_ERROR(agent.AddLocalCandidate(now, found->candidate));
      Signal(found->candidate.ToString());
    }
  }
  return absl::OkStatus();
}

// Carries what `from` sends to `to`; returns whether there was anything.
bool Carry(absl::Time now, ice::Agent& from, ice::Agent& to) {
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
  ice::Agent a(ice::Role::kControlling, ice::Credentials::Generate(random),
               random);
  ice::Agent b(ice::Role::kControlled, ice::Credentials::Generate(random),
               random);
  ice::Gatherer gatherer_a(
      {.hosts = {{TransportAddress::Parse("192.0.2.1:5000").value()}}}, random);
  ice::Gatherer gatherer_b(
      {.hosts = {{TransportAddress::Parse("192.0.2.2:6000").value()}}}, random);

  ASSERT_OK(a.SetRemoteCredentials(now, b.local_credentials()));
  ASSERT_OK(b.SetRemoteCredentials(now, a.local_credentials()));
  ASSERT_OK(Gather(now, a, gatherer_a, [&](std::string line) {
    b.AddRemoteCandidate(now, *ice::Candidate::Parse(line));
  }));
  ASSERT_OK(Gather(now, b, gatherer_b, [&](std::string line) {
    a.AddRemoteCandidate(now, *ice::Candidate::Parse(line));
  }));
  while (Carry(now, a, b) || Carry(now, b, a)) {
  }
  EXPECT_EQ(a.state(), ice::AgentState::kCompleted);
  EXPECT_EQ(a.selected_path()->ToString(),
            "192.0.2.1:5000->192.0.2.2:6000/udp");
}

}  // namespace
}  // namespace kyuu

// AgentTest: one agent and a hand-made peer, which does right or wrong as a
// test says.

#ifndef KYUU_ICE_TESTING_AGENT_FIXTURE_H_
#define KYUU_ICE_TESTING_AGENT_FIXTURE_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/random.h"
#include "base/testing.h"
#include "ice/agent.h"
#include "ice/agent_types.h"
#include "ice/candidate.h"
#include "ice/credentials.h"
#include "stun/attributes.h"
#include "stun/integrity.h"
#include "stun/message.h"
#include "stun/protocol.h"

namespace kyuu::ice::testing {

using Bytes = std::vector<uint8_t>;

inline TransportAddress At(absl::string_view text) {
  return TransportAddress::Parse(text).value();
}

inline const Credentials kOurs{"oursours", "ourpasswordourpassword"};
inline const Credentials kTheirs{"theirs12", "theirpasswordtheirpass"};

// What a request of the peer is made of; the defaults make a good one.
struct Check {
  std::string username = "oursours:theirs12";
  std::string password = kOurs.password;
  bool integrity = true;
  bool integrity_after_fingerprint = false;
  bool use_candidate = false;
  std::optional<uint64_t> controlling;
  std::optional<uint64_t> controlled;
  std::optional<uint32_t> priority = 0x6e0001ff;
  std::optional<uint16_t> unknown;
  uint8_t id = 1;
};

class AgentTest : public ::testing::Test {
 protected:
  AgentTest() : AgentTest(Role::kControlled, {}) {}
  AgentTest(Role role, const AgentOptions& options)
      : random_(7), agent_(role, kOurs, random_, options) {}

  void AddLocal(absl::string_view address, uint32_t priority = 2130706431) {
    Candidate c;
    c.foundation = "1";
    c.priority = priority;
    c.address = At(address);
    EXPECT_OK(agent_.AddLocalCandidate(now_, c));
  }
  void AddRemote(absl::string_view line) {
    agent_.AddRemoteCandidate(now_, Candidate::Parse(line).value());
  }
  // One candidate each, and credentials.
  void Begin() {
    AddLocal("192.0.2.1:1");
    ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
    AddRemote("1 1 udp 2130706431 192.0.2.2 2 typ host");
  }

  static Bytes Make(const Check& check) {
    Bytes buffer(600);
    stun::TransactionId id;
    id.bytes.fill(check.id);
    stun::MessageWriter w(absl::MakeSpan(buffer), stun::MessageClass::kRequest,
                          stun::Method::kBinding, id);
    if (!check.username.empty()) w.Add(stun::Username{check.username});
    if (check.use_candidate) w.Add(stun::UseCandidate{});
    if (check.controlling) w.Add(stun::IceControlling{*check.controlling});
    if (check.controlled) w.Add(stun::IceControlled{*check.controlled});
    if (check.priority) w.Add(stun::Priority{*check.priority});
    if (check.unknown) w.AddRaw(*check.unknown, {});
    if (check.integrity) {
      w.AddIntegrity(stun::IntegrityKey::ShortTerm(check.password));
    }
    w.AddFingerprint();
    const absl::Span<const uint8_t> bytes = w.Finish();
    return Bytes(bytes.begin(), bytes.end());
  }
  void Receive(const Bytes& bytes, absl::string_view from = "192.0.2.2:2",
               absl::string_view to = "192.0.2.1:1") {
    agent_.HandlePacket(now_, {{At(to), At(from), Transport::kUdp}, bytes});
  }
  // The next datagram that the agent sends, copied.
  struct Sent {
    Path path;
    Bytes bytes;
    stun::MessageView view() const {
      return stun::MessageView::Parse(bytes).value();
    }
  };
  std::optional<Sent> Poll() {
    auto d = agent_.PollTransmit(now_, absl::MakeSpan(buffer_));
    if (!d) return std::nullopt;
    return Sent{d->path, Bytes(d->bytes.begin(), d->bytes.end())};
  }
  int PollAll() {
    int count = 0;
    while (Poll()) ++count;
    return count;
  }
  // Lets time pass, running timers and dropping what is sent; counts it.
  int Pass(absl::Duration duration) {
    const absl::Time end = now_ + duration;
    int sent = PollAll();
    while (agent_.NextTimeout() <= end) {
      now_ = std::max(now_, agent_.NextTimeout());
      agent_.HandleTimeout(now_);
      sent += PollAll();
    }
    now_ = end;
    return sent;
  }
  static Bytes Answer(const Sent& request, const std::string& password,
                      bool integrity = true,
                      std::optional<stun::Error> error = std::nullopt) {
    Bytes buffer(600);
    stun::MessageWriter w(
        absl::MakeSpan(buffer),
        error ? stun::MessageClass::kError : stun::MessageClass::kSuccess,
        stun::Method::kBinding, request.view().transaction_id());
    if (error) {
      w.Add(stun::ErrorCode{*error, ""});
    } else {
      w.Add(stun::XorMappedAddress{request.path.local});
    }
    if (integrity) w.AddIntegrity(stun::IntegrityKey::ShortTerm(password));
    w.AddFingerprint();
    const absl::Span<const uint8_t> bytes = w.Finish();
    return Bytes(bytes.begin(), bytes.end());
  }
  // Brings the pair 192.0.2.1:1 - 192.0.2.2:2 to be nominated by the peer.
  void Connect() {
    Begin();
    auto request = Poll();
    ASSERT_TRUE(request);
    Receive(Answer(*request, kTheirs.password));
    Receive(Make({.use_candidate = true, .controlling = 1}));
    EXPECT_EQ(PollAll(), 1);
    ASSERT_EQ(agent_.state(), AgentState::kCompleted);
  }

  SeededRandom random_;
  Agent agent_;
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  std::array<uint8_t, 1500> buffer_;
};

class ControllingAgentTest : public AgentTest {
 protected:
  ControllingAgentTest() : AgentTest(Role::kControlling, {}) {}
};

}  // namespace kyuu::ice::testing

#endif  // KYUU_ICE_TESTING_AGENT_FIXTURE_H_

// One agent and a hand-made peer: what is refused, what is ignored, what is
// bounded. Rows S1 to S8 and S13 name known defects of other agents.

#include "ice/agent.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/random.h"
#include "base/testing.h"
#include "ice/agent_types.h"
#include "ice/candidate.h"
#include "ice/credentials.h"
#include "stun/attributes.h"
#include "stun/integrity.h"
#include "stun/message.h"
#include "stun/protocol.h"

namespace kyuu::ice {
namespace {

using Bytes = std::vector<uint8_t>;

TransportAddress At(absl::string_view text) {
  return TransportAddress::Parse(text).value();
}

const Credentials kOurs{"oursours", "ourpasswordourpassword"};
const Credentials kTheirs{"theirs12", "theirpasswordtheirpass"};

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

// --- Authentication ---

TEST_F(AgentTest, AnswersAGoodCheckAndChecksBack) {
  Begin();
  PollAll();
  Receive(Make({.controlling = 1}), "192.0.2.9:9");
  auto response = Poll();
  ASSERT_TRUE(response);
  const stun::MessageView view = response->view();
  EXPECT_TRUE(view.Is(stun::MessageClass::kSuccess, stun::Method::kBinding));
  EXPECT_EQ(view.Get<stun::XorMappedAddress>()->address, At("192.0.2.9:9"));
  EXPECT_TRUE(
      view.CheckIntegrity(stun::IntegrityKey::ShortTerm(kOurs.password)));
  EXPECT_TRUE(view.CheckFingerprint());
  EXPECT_EQ(response->path.remote, At("192.0.2.9:9"));
  auto check = Poll();
  ASSERT_TRUE(check) << "the triggered check leaves at once";
  const stun::MessageView request = check->view();
  EXPECT_EQ(check->path.remote, At("192.0.2.9:9"));
  EXPECT_EQ(request.Get<stun::Username>()->value, "theirs12:oursours");
  EXPECT_TRUE(request.Has<stun::IceControlled>());
  EXPECT_FALSE(request.Has<stun::UseCandidate>());
  EXPECT_EQ(request.Get<stun::Priority>()->value >> 24, 110u);
  EXPECT_TRUE(
      request.CheckIntegrity(stun::IntegrityKey::ShortTerm(kTheirs.password)));
}

TEST_F(AgentTest, S1UnauthenticatedRequestsChangeNothing) {
  Begin();
  PollAll();
  const std::string before = agent_.DebugString();
  struct Row {
    const char* name;
    Check check;
    uint64_t AgentStats::*counter;
  };
  const Row kRows[] = {
      {"no integrity", {.integrity = false}, &AgentStats::drop_no_integrity},
      {"no username", {.username = ""}, &AgentStats::drop_no_integrity},
      {"wrong password",
       {.password = "ourpasswordourpassworx"},
       &AgentStats::drop_wrong_integrity},
      {"the peer's own password",
       {.password = kTheirs.password},
       &AgentStats::drop_wrong_integrity},
      {"wrong local ufrag",
       {.username = "xxxxxxxx:theirs12"},
       &AgentStats::drop_wrong_username},
      {"wrong remote ufrag",
       {.username = "oursours:xxxxxxxx"},
       &AgentStats::drop_wrong_username},
      {"no colon", {.username = "oursours"}, &AgentStats::drop_wrong_username},
      {"the other way round",
       {.username = "theirs12:oursours"},
       &AgentStats::drop_wrong_username},
      {"longer ufrag",
       {.username = "oursours1:theirs12"},
       &AgentStats::drop_wrong_username},
  };
  for (Row row : kRows) {
    row.check.use_candidate = true;
    row.check.controlling = 1;
    for (const char* from : {"192.0.2.2:2", "198.51.100.66:66"}) {
      const uint64_t count = agent_.stats().*row.counter;
      Receive(Make(row.check), from);
      EXPECT_EQ(agent_.stats().*row.counter, count + 1) << row.name;
      EXPECT_EQ(PollAll(), 0) << row.name;
      EXPECT_EQ(agent_.DebugString(), before) << row.name;
    }
  }
  EXPECT_EQ(agent_.stats().requests_received, 0u);
}

TEST_F(AgentTest, S1IntegrityBehindFingerprintIsNone) {
  Begin();
  PollAll();
  const Bytes good = Make({.use_candidate = true, .controlling = 1});
  // The last 32 bytes are MESSAGE-INTEGRITY (24) and FINGERPRINT (8): swap.
  Bytes swapped(good.begin(), good.end() - 32);
  swapped.insert(swapped.end(), good.end() - 8, good.end());
  swapped.insert(swapped.end(), good.end() - 32, good.end() - 8);
  Receive(swapped);
  EXPECT_EQ(PollAll(), 0);
  EXPECT_EQ(agent_.stats().requests_received, 0u);
}

TEST_F(AgentTest, S1CredentialsBeforeTheLastRestartAreStale) {
  Begin();
  PollAll();
  const Credentials next{"newsours", "newpasswordnewpassword"};
  ASSERT_OK(agent_.Restart(now_, next));
  Receive(Make({.use_candidate = true, .controlling = 1}));
  EXPECT_EQ(PollAll(), 0) << "no pair of that generation worked";
  EXPECT_EQ(agent_.stats().drop_wrong_username, 1u);
}

TEST_F(AgentTest, EveryFlippedBitOfACheckIsRefused) {
  Begin();
  PollAll();
  const Bytes good = Make({.use_candidate = true, .controlling = 1});
  const std::string before = agent_.DebugString();
  const size_t fingerprint = (good.size() - 8) * 8;
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    // With another type it is an attribute that nobody vouches for, and what
    // the integrity covers is good.
    if (bit >= fingerprint && bit < fingerprint + 16) continue;
    Bytes bad = good;
    bad[bit / 8] = static_cast<uint8_t>(bad[bit / 8] ^ 1 << bit % 8);
    Receive(bad);
    ASSERT_EQ(PollAll(), 0) << bit;
  }
  for (size_t size = 0; size < good.size(); ++size) {
    Receive(Bytes(good.begin(), good.begin() + static_cast<long>(size)));
    ASSERT_EQ(PollAll(), 0) << size;
  }
  EXPECT_EQ(agent_.DebugString(), before);
  EXPECT_EQ(agent_.stats().requests_received, 0u);
}

TEST_F(AgentTest, S2ForgedRequestsDoNotDelayTheGoodPeer) {
  Begin();
  Bytes forged = Make({.password = "guessguessguessguessgu",
                       .use_candidate = true,
                       .controlling = 1});
  for (int i = 0; i < 100'000; ++i) {
    Receive(forged, i % 2 != 0 ? "192.0.2.2:2" : "203.0.113.5:5");
  }
  EXPECT_EQ(agent_.stats().drop_wrong_integrity, 100'000u);
  auto request = Poll();
  ASSERT_TRUE(request) << "our check is not held up";
  EXPECT_EQ(request->view().cls(), stun::MessageClass::kRequest);
  Receive(Answer(*request, kTheirs.password));
  Receive(Make({.use_candidate = true, .controlling = 1}));
  EXPECT_EQ(agent_.state(), AgentState::kCompleted);
}

TEST_F(AgentTest, S3UnauthenticatedErrorsChangeNothing) {
  Begin();
  auto request = Poll();
  ASSERT_TRUE(request);
  const std::string before = agent_.DebugString();
  for (stun::Error error :
       {stun::Error::kRoleConflict, stun::Error::kBadRequest,
        stun::Error::kUnauthenticated, stun::Error::kServerError}) {
    Receive(Answer(*request, "", false, error));
    Receive(Answer(*request, kOurs.password, true, error));
  }
  EXPECT_EQ(agent_.DebugString(), before);
  EXPECT_EQ(agent_.role(), Role::kControlled);
  EXPECT_EQ(agent_.stats().drop_no_integrity, 4u);
  EXPECT_EQ(agent_.stats().drop_wrong_integrity, 4u);
  Receive(Answer(*request, kTheirs.password));
  EXPECT_EQ(agent_.state(), AgentState::kConnected);
}

TEST_F(AgentTest, S4AnswersFromElsewhereAreIgnored) {
  Begin();
  AddLocal("192.0.2.7:7", 100);
  auto request = Poll();
  ASSERT_TRUE(request);
  const Bytes answer = Answer(*request, kTheirs.password);
  Receive(answer, "192.0.2.3:2");
  Receive(answer, "192.0.2.2:3");
  Receive(answer, "192.0.2.2:2", "192.0.2.7:7");
  EXPECT_EQ(agent_.stats().drop_asymmetric, 3u);
  EXPECT_EQ(agent_.state(), AgentState::kChecking);
  EXPECT_FALSE(agent_.selected_path());
  Receive(answer);
  EXPECT_EQ(agent_.state(), AgentState::kConnected);
  Receive(answer);  // A replay.
  EXPECT_EQ(agent_.stats().drop_unknown_transaction, 1u);
  Sent other = *request;
  other.bytes[19] ^= 1;  // In the transaction id.
  Receive(Answer(other, kTheirs.password));
  EXPECT_EQ(agent_.stats().drop_unknown_transaction, 2u);
}

TEST_F(AgentTest, S5PathsAreUnknownUntilAuthenticated) {
  Begin();
  PollAll();
  const Path path{At("192.0.2.1:1"), At("192.0.2.2:2"), Transport::kUdp};
  EXPECT_FALSE(agent_.IsKnownPath(path));
  Receive(Make({.integrity = false}));
  EXPECT_FALSE(agent_.IsKnownPath(path));
  Receive(Make({.controlling = 1}));
  EXPECT_TRUE(agent_.IsKnownPath(path));
  Path other = path;
  other.remote.port = 3;
  EXPECT_FALSE(agent_.IsKnownPath(other));
}

TEST_F(AgentTest, S6ManyCandidatesOfOneVictimAreBounded) {
  AddLocal("192.0.2.1:1");
  ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
  for (int i = 1; i <= 1000; ++i) {
    AddRemote(absl::StrCat(i, " 1 udp ", i, " 198.51.100.1 ", i, " typ host"));
  }
  EXPECT_EQ(agent_.pairs().size(), 100u);
  EXPECT_EQ(agent_.stats().candidate_limit, 900u);
  size_t bytes = 0;
  int packets = 0;
  absl::Time last = absl::InfinitePast();
  const absl::Time start = now_;
  while (now_ < start + absl::Minutes(10)) {
    while (auto sent = Poll()) {
      EXPECT_GE(now_ - last, absl::Milliseconds(50));
      last = now_;
      bytes += sent->bytes.size();
      ++packets;
    }
    if (agent_.NextTimeout() == absl::InfiniteFuture()) break;
    now_ = std::max(now_, agent_.NextTimeout());
    agent_.HandleTimeout(now_);
  }
  EXPECT_EQ(packets, 700);  // 100 pairs, seven times each.
  EXPECT_LE(bytes, 700u * 120);
  EXPECT_EQ(agent_.state(), AgentState::kFailed);
}

TEST_F(AgentTest, S6ForbiddenAddressesGetNothing) {
  AddLocal("192.0.2.1:1");
  AddLocal("[2001:db8::1]:1");
  ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
  for (const char* address :
       {"127.0.0.1 5", "127.9.9.9 5", "::1 5", "224.0.0.1 5", "ff02::1 5",
        "255.255.255.255 5", "0.0.0.0 5", ":: 5", "198.51.100.1 0",
        "::ffff:127.0.0.1 5"}) {
    AddRemote(absl::StrCat("1 1 udp 7 ", address, " typ host"));
  }
  // Loopback ones may become of use, with an address of ours.
  EXPECT_EQ(agent_.stats().candidate_ignored_address, 6u);
  EXPECT_TRUE(agent_.pairs().empty());
  EXPECT_EQ(Pass(absl::Seconds(5)), 0);
}

TEST_F(AgentTest, LoopbackIsReachedFromLoopbackOnly) {
  AddLocal("127.0.0.1:1");
  AddLocal("192.0.2.1:1", 100);
  ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
  AddRemote("1 1 udp 7 127.0.0.1 5 typ host");
  AddRemote("1 1 udp 7 192.0.2.2 5 typ host");
  ASSERT_EQ(agent_.pairs().size(), 2u);
  for (const PairInfo& pair : agent_.pairs()) {
    EXPECT_EQ(pair.path.local.ip.IsLoopback(),
              pair.path.remote.ip.IsLoopback());
  }
}

TEST_F(AgentTest, S7AnswersAreNoLargerThanRequests) {
  Begin();
  PollAll();
  const Check kChecks[] = {
      {.controlling = 1},
      {.controlled = 1},  // 487
      {.controlling = 1, .unknown = 0x7fff},
  };
  for (const Check& check : kChecks) {
    const Bytes request = Make(check);
    Receive(request, "192.0.2.2:2");
    auto response = Poll();
    ASSERT_TRUE(response);
    EXPECT_LE(response->bytes.size(), request.size());
  }
}

TEST_F(AgentTest, S8ForgedAnswersDoNotRenewConsent) {
  Connect();
  const absl::Time start = now_;
  while (agent_.selected_path() && now_ < start + absl::Minutes(2)) {
    now_ = std::max(now_, agent_.NextTimeout());
    agent_.HandleTimeout(now_);
    while (auto sent = Poll()) {
      Receive(Answer(*sent, "", false));
      Receive(Answer(*sent, kOurs.password));
      Receive(Answer(*sent, kTheirs.password), "192.0.2.3:3");
      Receive(Answer(*sent, kTheirs.password, true, stun::Error::kServerError));
    }
  }
  EXPECT_EQ(now_, start + absl::Seconds(30));
  EXPECT_EQ(agent_.state(), AgentState::kFailed);
  EXPECT_EQ(Pass(absl::Minutes(10)), 0);
}

TEST_F(AgentTest, S13RebindingDoesNotMoveTheSelectedPair) {
  Connect();
  const Path before = *agent_.selected_path();
  Receive(Make({.use_candidate = true, .controlling = 1}), "198.51.100.3:3");
  EXPECT_EQ(agent_.selected_path(), before);
  // Its old generation's credentials do not, either.
  ASSERT_OK(agent_.Restart(now_, {"newsours", "newpasswordnewpassword"}));
  PollAll();
  Receive(Make({.use_candidate = true, .controlling = 1}), "198.51.100.4:4");
  EXPECT_EQ(PollAll(), 1) << "answered, for the peer's consent";
  EXPECT_EQ(agent_.selected_path(), before);
  EXPECT_FALSE(agent_.IsKnownPath(
      {At("192.0.2.1:1"), At("198.51.100.4:4"), Transport::kUdp}));
}

// --- Noise ---

TEST_F(AgentTest, NoiseIsCounted) {
  Begin();
  PollAll();
  Receive({});
  Receive(Bytes(20, 0x80));
  Receive(Bytes(64, 0));
  EXPECT_EQ(agent_.stats().drop_not_stun, 3u);
  Bytes allocate = Make({.controlling = 1});
  allocate[1] = 3;
  Receive(allocate);
  EXPECT_EQ(agent_.stats().drop_wrong_method, 1u);
  Bytes fingerprint = Make({.controlling = 1});
  fingerprint.back() ^= 1;
  Receive(fingerprint);
  EXPECT_EQ(agent_.stats().drop_bad_fingerprint, 1u);
  Receive(Make({.controlling = 1}), "192.0.2.2:2", "192.0.2.55:1");
  EXPECT_EQ(agent_.stats().drop_unknown_local, 1u);
  EXPECT_EQ(PollAll(), 0);
}

TEST_F(AgentTest, IndicationsMeanNothing) {
  Begin();
  PollAll();
  Bytes indication = Make({.controlling = 1});
  indication[1] = 0x11;
  stun::TransactionId id;
  stun::MessageWriter w(absl::MakeSpan(buffer_),
                        stun::MessageClass::kIndication, stun::Method::kBinding,
                        id);
  const absl::Span<const uint8_t> bytes = w.Finish();
  Receive(Bytes(bytes.begin(), bytes.end()));
  EXPECT_EQ(agent_.stats().indications_received, 1u);
  EXPECT_EQ(PollAll(), 0);
}

TEST_F(AgentTest, UnknownRequiredAttributeIsRefusedWith420) {
  Begin();
  PollAll();
  Receive(Make({.use_candidate = true, .controlling = 1, .unknown = 0x7fff}));
  auto response = Poll();
  ASSERT_TRUE(response);
  const stun::MessageView view = response->view();
  EXPECT_EQ(view.Get<stun::ErrorCode>()->code, stun::Error::kUnknownAttribute);
  EXPECT_EQ(view.Get<stun::UnknownAttributes>()->types[0], 0x7fff);
  EXPECT_EQ(PollAll(), 0);
}

// An attribute that the codec can read is not one that ICE does something
// about.
TEST_F(AgentTest, AttributesOfOtherUsagesAreRefusedWith420) {
  Begin();
  PollAll();
  for (const uint16_t type :
       {stun::ChannelNumber::kType, stun::Lifetime::kType,
        stun::ChangeRequest::kType, stun::DontFragment::kType,
        stun::ResponsePort::kType, stun::ConnectionId::kType}) {
    SCOPED_TRACE(stun::AttributeName(type));
    Receive(Make({.use_candidate = true, .controlling = 1, .unknown = type}));
    auto response = Poll();
    ASSERT_TRUE(response);
    const auto unknown = response->view().Get<stun::UnknownAttributes>();
    ASSERT_TRUE(unknown);
    EXPECT_EQ(unknown->types[0], type);
  }
}

TEST_F(AgentTest, UnknownOptionalAttributeIsIgnored) {
  Begin();
  PollAll();
  Receive(Make({.controlling = 1, .unknown = 0xc057}));
  EXPECT_EQ(Poll()->view().cls(), stun::MessageClass::kSuccess);
}

// --- Roles (RFC 8445 sections 7.2.5.1 and 7.3.1.1) ---

TEST_F(AgentTest, ConflictOfTwoControlled) {
  Begin();
  PollAll();
  // Theirs is the greatest of all tie-breakers: they shall control.
  Receive(Make({.controlled = UINT64_MAX}));
  EXPECT_EQ(Poll()->view().Get<stun::ErrorCode>()->code,
            stun::Error::kRoleConflict);
  EXPECT_EQ(agent_.role(), Role::kControlled);
  Receive(Make({.controlled = 0}));
  EXPECT_EQ(Poll()->view().cls(), stun::MessageClass::kSuccess);
  EXPECT_EQ(agent_.role(), Role::kControlling);
  bool told = false;
  while (auto event = agent_.PollEvent()) {
    auto* changed = std::get_if<RoleChanged>(&*event);
    told |= changed != nullptr && changed->role == Role::kControlling;
  }
  EXPECT_TRUE(told);
}

TEST_F(ControllingAgentTest, ConflictOfTwoControlling) {
  Begin();
  PollAll();
  Receive(Make({.controlling = 0}));
  EXPECT_EQ(Poll()->view().Get<stun::ErrorCode>()->code,
            stun::Error::kRoleConflict);
  EXPECT_EQ(agent_.role(), Role::kControlling);
  Receive(Make({.controlling = UINT64_MAX}));
  EXPECT_EQ(Poll()->view().cls(), stun::MessageClass::kSuccess);
  EXPECT_EQ(agent_.role(), Role::kControlled);
}

TEST_F(ControllingAgentTest, AuthenticatedRoleConflictResponseSwitches) {
  Begin();
  auto request = Poll();
  ASSERT_TRUE(request);
  EXPECT_TRUE(request->view().Has<stun::IceControlling>());
  Receive(Answer(*request, kTheirs.password, true, stun::Error::kRoleConflict));
  EXPECT_EQ(agent_.role(), Role::kControlled);
  auto again = Poll();
  ASSERT_TRUE(again) << "the pair is checked again in the new role";
  EXPECT_TRUE(again->view().Has<stun::IceControlled>());
}

TEST_F(ControllingAgentTest, EndlessRoleConflictsKeepToTa) {
  Begin();
  int sent = 0;
  const absl::Time start = now_;
  while (now_ < start + absl::Seconds(1)) {
    while (auto request = Poll()) {
      ++sent;
      Receive(
          Answer(*request, kTheirs.password, true, stun::Error::kRoleConflict));
    }
    now_ = std::max(now_, agent_.NextTimeout());
    agent_.HandleTimeout(now_);
  }
  EXPECT_LE(sent, 22);
}

TEST_F(AgentTest, LitePeerMakesUsControl) {
  AddLocal("192.0.2.1:1");
  ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs, RemoteMode::kLite));
  EXPECT_EQ(agent_.role(), Role::kControlling);
  AddRemote("1 1 udp 7 192.0.2.2 2 typ host");
  auto check = Poll();
  ASSERT_TRUE(check);
  Receive(Answer(*check, kTheirs.password));
  auto nomination = Poll();
  ASSERT_TRUE(nomination);
  EXPECT_TRUE(nomination->view().Has<stun::UseCandidate>());
  Receive(Answer(*nomination, kTheirs.password));
  EXPECT_EQ(agent_.state(), AgentState::kCompleted);
}

// --- Nomination ---

TEST_F(ControllingAgentTest, NominatesAtOnceWhenNothingBetterIsPending) {
  Begin();
  auto check = Poll();
  ASSERT_TRUE(check);
  EXPECT_FALSE(check->view().Has<stun::UseCandidate>());
  now_ += absl::Milliseconds(30);
  Receive(Answer(*check, kTheirs.password));
  EXPECT_EQ(agent_.state(), AgentState::kConnected);
  EXPECT_TRUE(agent_.selected_path());
  auto nomination = Poll();
  ASSERT_TRUE(nomination);
  EXPECT_TRUE(nomination->view().Has<stun::UseCandidate>());
  Receive(Answer(*nomination, kTheirs.password));
  EXPECT_EQ(agent_.state(), AgentState::kCompleted);
}

TEST_F(ControllingAgentTest, WaitsShortlyForABetterPair) {
  Begin();
  AddRemote("2 1 udp 7 192.0.2.3 3 typ srflx");
  std::vector<Sent> checks;
  checks.push_back(*Poll());
  now_ += absl::Milliseconds(50);
  checks.push_back(*Poll());
  ASSERT_EQ(checks[1].path.remote, At("192.0.2.3:3"));
  now_ += absl::Milliseconds(60);
  Receive(Answer(checks[1], kTheirs.password), "192.0.2.3:3");
  // The better one, sent 110 ms ago, has had more than this one's 60 ms.
  auto nomination = Poll();
  ASSERT_TRUE(nomination);
  EXPECT_EQ(nomination->path.remote, At("192.0.2.3:3"));
  EXPECT_TRUE(nomination->view().Has<stun::UseCandidate>());
}

TEST_F(AgentTest, AggressiveNominationSettlesOnTheBestPair) {
  Begin();
  AddRemote("2 1 udp 7 192.0.2.3 3 typ srflx");
  Receive(Make({.use_candidate = true, .controlling = 1}), "192.0.2.3:3");
  Receive(Make({.use_candidate = true, .controlling = 1}), "192.0.2.2:2");
  std::vector<Sent> checks;
  while (auto sent = Poll()) {
    if (sent->view().cls() == stun::MessageClass::kRequest) {
      checks.push_back(*sent);
    }
  }
  ASSERT_EQ(checks.size(), 2u);
  Receive(Answer(checks[0], kTheirs.password),
          checks[0].path.remote.ToString());
  EXPECT_EQ(agent_.selected_path()->remote, At("192.0.2.3:3"));
  EXPECT_EQ(agent_.state(), AgentState::kCompleted);
  Receive(Answer(checks[1], kTheirs.password),
          checks[1].path.remote.ToString());
  EXPECT_EQ(agent_.selected_path()->remote, At("192.0.2.2:2"));
  // The worse one, nominated again, does not win it back.
  Receive(Make({.use_candidate = true, .controlling = 1}), "192.0.2.3:3");
  EXPECT_EQ(agent_.selected_path()->remote, At("192.0.2.2:2"));
}

// --- Limits ---

TEST_F(AgentTest, ResponsesWaitingAreBounded) {
  Begin();
  for (int i = 0; i < 100; ++i) Receive(Make({.controlling = 1}));
  EXPECT_EQ(agent_.stats().drop_response_queue_full, 36u);
  int responses = 0;
  while (auto sent = Poll()) {
    if (sent->view().cls() == stun::MessageClass::kSuccess) ++responses;
  }
  EXPECT_EQ(responses, 64);
}

TEST_F(AgentTest, EarlyChecksAreBounded) {
  AddLocal("192.0.2.1:1");
  for (int i = 1; i <= 20; ++i) {
    Receive(Make({.controlling = 1}), absl::StrCat("192.0.2.2:", i));
    EXPECT_TRUE(Poll());
  }
  EXPECT_EQ(agent_.stats().early_check_limit, 10u);
  ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
  EXPECT_EQ(agent_.pairs().size(), 10u);
}

TEST_F(AgentTest, EarlyChecksOfAnotherPeerAreForgotten) {
  AddLocal("192.0.2.1:1");
  Receive(Make({.username = "oursours:somebody", .controlling = 1}));
  ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
  EXPECT_TRUE(agent_.pairs().empty());
}

TEST_F(AgentTest, PeerReflexiveCandidatesAreBounded) {
  Begin();
  for (int i = 1; i <= 500; ++i) {
    Receive(Make({.controlling = 1}), absl::StrCat("198.51.100.1:", i));
    PollAll();
  }
  EXPECT_EQ(agent_.pairs().size(), 100u);
  EXPECT_EQ(agent_.stats().candidate_limit, 401u);
}

TEST_F(AgentTest, BetterPairsReplaceTheWorstOnes) {
  AddLocal("192.0.2.1:1");
  AddLocal("192.0.2.9:9", 2130706175);
  ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
  for (int i = 1; i <= 100; ++i) {
    AddRemote(absl::StrCat(i, " 1 udp ", i, " 198.51.100.1 ", i, " typ host"));
  }
  EXPECT_EQ(agent_.pairs().size(), 100u);
  for (const PairInfo& pair : agent_.pairs()) {
    EXPECT_GT(pair.path.remote.port, 50);
  }
  auto check = Poll();
  ASSERT_TRUE(check);
  EXPECT_EQ(check->path.remote.port, 100);
  // One that is worse than all of them does not get in.
  AddLocal("192.0.2.10:10", 1);
  EXPECT_GT(agent_.stats().pair_limit, 0u);
}

TEST_F(AgentTest, NamesAreBoundedAndOnlyLocalOnesAsked) {
  ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
  AddRemote("1 1 udp 7 evil.example 5 typ host");
  EXPECT_EQ(agent_.stats().candidate_ignored_name, 1u);
  for (int i = 0; i < 20; ++i) {
    AddRemote(absl::StrCat("1 1 udp 7 n", i, ".local 5 typ host"));
  }
  EXPECT_EQ(agent_.stats().candidate_limit, 4u);
  std::vector<ResolveName> asked;
  while (auto event = agent_.PollEvent()) {
    if (auto* resolve = std::get_if<ResolveName>(&*event)) {
      asked.push_back(*resolve);
    }
  }
  EXPECT_EQ(asked.size(), 16u);
  // Answers: none, a forbidden one, one twice.
  agent_.NameResolved(now_, asked[0].id, std::nullopt);
  agent_.NameResolved(now_, asked[1].id, IpAddress::V4(224, 0, 0, 1));
  agent_.NameResolved(now_, asked[1].id, IpAddress::V4(192, 0, 2, 2));
  EXPECT_EQ(agent_.stats().candidate_ignored_name, 2u);
  EXPECT_EQ(agent_.stats().candidate_ignored_address, 1u);
}

TEST_F(AgentTest, LocalCandidatesAreBoundedAndChecked) {
  Candidate c;
  c.foundation = "1";
  c.priority = 7;
  for (int i = 1; i <= 32; ++i) {
    c.address = At(absl::StrCat("192.0.2.1:", i));
    EXPECT_OK(agent_.AddLocalCandidate(now_, c));
  }
  EXPECT_OK(agent_.AddLocalCandidate(now_, c)) << "again is no error";
  c.address = At("192.0.2.1:33");
  EXPECT_THAT(agent_.AddLocalCandidate(now_, c),
              StatusIs(absl::StatusCode::kResourceExhausted));
  c.address.port = 0;
  EXPECT_THAT(agent_.AddLocalCandidate(now_, c),
              StatusIs(absl::StatusCode::kInvalidArgument));
  c.address = {IpAddress(), 5};
  EXPECT_THAT(agent_.AddLocalCandidate(now_, c),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

// --- Candidates ---

TEST_F(AgentTest, CandidatesOfOtherKindsAreIgnored) {
  Begin();
  AddRemote("1 1 tcp 7 192.0.2.2 9 typ host tcptype active");
  AddRemote("1 2 udp 7 192.0.2.2 3 typ host");
  EXPECT_EQ(agent_.stats().candidate_ignored_transport, 2u);
  AddRemote("1 1 udp 7 192.0.2.2 4 typ host ufrag another1");
  EXPECT_EQ(agent_.stats().candidate_ignored_generation, 1u);
  AddRemote("1 1 udp 7 192.0.2.2 4 typ host ufrag theirs12");
  EXPECT_EQ(agent_.pairs().size(), 2u);
}

TEST_F(AgentTest, CandidatesBeforeTheCredentialsWait) {
  AddLocal("192.0.2.1:1");
  AddRemote("1 1 udp 7 192.0.2.2 4 typ host ufrag theirs12");
  AddRemote("1 1 udp 7 192.0.2.2 5 typ host ufrag another1");
  EXPECT_EQ(Pass(absl::Seconds(1)), 0);
  ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
  EXPECT_EQ(agent_.pairs().size(), 1u);
  EXPECT_EQ(PollAll(), 1);
}

TEST_F(AgentTest, ServerReflexiveSharesItsBase) {
  AddLocal("192.0.2.1:1");
  Candidate srflx;
  srflx.foundation = "2";
  srflx.type = CandidateType::kServerReflexive;
  srflx.priority = 1694498815;
  srflx.address = At("203.0.113.1:77");
  srflx.base = At("192.0.2.1:1");
  ASSERT_OK(agent_.AddLocalCandidate(now_, srflx));
  ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
  AddRemote("1 1 udp 7 192.0.2.2 2 typ host");
  EXPECT_EQ(agent_.pairs().size(), 1u);
  // A check that the peer sees come from there is server-reflexive.
  auto check = Poll();
  ASSERT_TRUE(check);
  Sent seen = *check;
  seen.path.local = At("203.0.113.1:77");
  Receive(Answer(seen, kTheirs.password));
  EXPECT_EQ(agent_.pairs()[0].local_type, CandidateType::kServerReflexive);
}

TEST_F(AgentTest, SameFoundationWaitsFrozen) {
  AddLocal("192.0.2.1:1");
  ASSERT_OK(agent_.SetRemoteCredentials(now_, kTheirs));
  AddRemote("1 1 udp 9 192.0.2.2 2 typ host");
  AddRemote("1 1 udp 8 192.0.2.2 3 typ host");
  AddRemote("2 1 udp 7 192.0.2.3 4 typ host");
  const std::vector<PairInfo> pairs = agent_.pairs();
  EXPECT_EQ(pairs[0].state, PairState::kWaiting);
  EXPECT_EQ(pairs[1].state, PairState::kFrozen);
  EXPECT_EQ(pairs[2].state, PairState::kWaiting);
  auto check = Poll();
  ASSERT_TRUE(check);
  Receive(Answer(*check, kTheirs.password));
  EXPECT_EQ(agent_.pairs()[1].state, PairState::kWaiting);
}

// --- Commands ---

TEST_F(AgentTest, CallersMistakesAreStatuses) {
  EXPECT_THAT(agent_.SetRemoteCredentials(now_, {"abc", kTheirs.password}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(agent_.SetRemoteCredentials(
                  now_, {std::string(256, 'u'), std::string(256, 'p')}),
              IsOk());
  EXPECT_THAT(agent_.SetRemoteCredentials(now_, kTheirs),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(agent_.Restart(now_, kOurs),
              StatusIs(absl::StatusCode::kInvalidArgument));
  agent_.Close(now_);
  EXPECT_THAT(agent_.SetRemoteCredentials(now_, kTheirs),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(agent_.Restart(now_, kTheirs),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(AgentTest, LongestUserNamesFit) {
  ASSERT_OK(agent_.SetRemoteCredentials(
      now_, {std::string(256, 'u'), std::string(256, 'p')}));
  AddLocal("[2001:db8::1]:1");
  AddRemote("1 1 udp 7 2001:db8::2 2 typ host");
  auto check = Poll();
  ASSERT_TRUE(check);
  EXPECT_LE(check->bytes.size(), 700u);
  EXPECT_TRUE(check->view().CheckIntegrity(
      stun::IntegrityKey::ShortTerm(std::string(256, 'p'))));
}

TEST_F(AgentTest, EarlyAndRepeatedTimeoutsDoNothing) {
  Begin();
  PollAll();
  const std::string before = agent_.DebugString();
  for (int i = 0; i < 100; ++i) agent_.HandleTimeout(now_);
  EXPECT_EQ(PollAll(), 0);
  EXPECT_EQ(agent_.DebugString(), before);
}

TEST_F(AgentTest, ABufferTooSmallLosesThePacketOnly) {
  Begin();
  std::array<uint8_t, 40> small;
  EXPECT_FALSE(agent_.PollTransmit(now_, absl::MakeSpan(small)));
  EXPECT_EQ(agent_.stats().drop_too_big, 1u);
  EXPECT_GT(agent_.NextTimeout(), now_);
  now_ += absl::Milliseconds(500);
  EXPECT_TRUE(Poll()) << "sent again like any lost packet";
}

}  // namespace
}  // namespace kyuu::ice

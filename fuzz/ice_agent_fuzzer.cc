// The ICE agent: bytes choose a starting state, then packets (noise, mutated,
// and rightly authenticated ones), commands and timeouts in any order.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/random.h"
#include "ice/agent.h"
#include "ice/candidate.h"
#include "ice/credentials.h"
#include "stun/attributes.h"
#include "stun/integrity.h"
#include "stun/message.h"

namespace {

using namespace kyuu;  // NOLINT: a program of its own.
using stun::IntegrityKey;
using stun::MessageClass;

// Few addresses, so that they meet: loopback, link-local, public, and both
// families.
TransportAddress Address(uint8_t choice) {
  static constexpr const char* kIps[] = {
      "192.0.2.1", "192.0.2.2", "127.0.0.1",    "2001:db8::1",
      "fe80::1%2", "fe80::2",   "198.51.100.1", "224.0.0.1"};
  return {IpAddress::Parse(kIps[choice & 7]).value(),
          static_cast<uint16_t>(choice >> 3)};
}

// A datagram of the handshake, by its first byte.
const std::vector<uint8_t> kDtls = {22, 1, 2, 3, 4, 5, 6};

class Fuzzer {
 public:
  explicit Fuzzer(absl::Span<const uint8_t> data)
      : input_(data),
        random_(input_.U8()),
        ours_(Credentials(0)),
        theirs_(Credentials(128)),
        agent_((Peek() & 1) != 0 ? ice::Role::kControlling
                                 : ice::Role::kControlled,
               ours_, random_,
               // The seed says nothing else.
               {.lite = !data.empty() && data[0] >= 128,
                .embedded_dtls = ice::EmbeddedDtls::Use::kOn,
                .max_remote_candidates = 20,
                .max_pairs = 20}) {
    const uint8_t state = input_.U8();
    if ((state & 2) != 0) AddLocal(8);
    if ((state & 4) != 0) (void)agent_.SetRemoteCredentials(now_, theirs_);
    if ((state & 8) != 0) AddRemote(9);
    if ((state & 16) != 0) Request(9, 0);
    if ((state & 32) != 0) {
      Drain();
      Answer(0, 0);
    }
    if ((state & 64) != 0) Request(9, 1);
    if ((state & 128) != 0) Restart();
  }

  void Run() {
    for (int i = 0; i < 400 && !input_.empty(); ++i) Step();
    Settle();
  }

 private:
  static ice::Credentials Credentials(uint8_t generation) {
    return {"ufrag" + std::to_string(generation),
            "password0123456789abcdef" + std::to_string(generation)};
  }
  uint8_t Peek() const { return input_.Peek(); }

  void Step() {
    const uint8_t op = input_.U8();
    switch (op % 16) {
      case 0:
        now_ += absl::Milliseconds(input_.U8());
        return agent_.HandleTimeout(now_);
      case 1:
        now_ += absl::Seconds(input_.U8());
        return agent_.HandleTimeout(now_);
      case 2:
        return Drain();
      case 3:
        return Send(input_.Bytes(std::min<size_t>(Peek(), input_.remaining())));
      case 4:
      case 5:
        return Request(input_.U8(), input_.U8());
      case 6:
      case 7:
        return Answer(input_.U8(), input_.U8());
      case 8:
        return AddRemote(input_.U8());
      case 9:
        return AddLocal(input_.U8());
      case 10:
        return (void)agent_.SetRemoteCredentials(
            now_, theirs_,
            (op & 16) != 0 ? ice::RemoteMode::kLite : ice::RemoteMode::kFull);
      case 11:
        return Restart();
      case 12:
        return agent_.NameResolved(now_, ice::NameId{input_.U8()},
                                   Address(input_.U8()).ip);
      case 13:
        if ((op & 16) != 0) return agent_.Probe(now_);
        if ((op & 32) != 0) {
          return (void)agent_.CheckStranger(
              now_,
              {Address(input_.U8()), Address(input_.U8()), Transport::kUdp});
        }
        if ((op & 64) != 0) return RemoveLocal(input_.U8());
        return agent_.EndOfRemoteCandidates(now_);
      case 14:
        return agent_.SetRole(now_, (op & 16) != 0 ? ice::Role::kControlling
                                                   : ice::Role::kControlled);
      case 15:
        while (agent_.PollEvent()) {
        }
        while (agent_.embedded_dtls().PollReceived()) {
        }
        if ((op & 16) != 0) agent_.embedded_dtls().SetFlight({kDtls, kDtls});
        if ((op & 32) != 0) agent_.embedded_dtls().TakeUnacknowledged();
        if (op == 127) agent_.embedded_dtls().Finish();
        if (op == 255) agent_.Close(now_);
        return;
    }
  }

  void AddLocal(uint8_t choice) {
    ice::Candidate c;
    c.foundation = std::to_string(choice & 3);
    c.address = Address(choice);
    c.type = static_cast<ice::CandidateType>(choice >> 6);
    c.priority = ice::Priority(c.type, choice);
    (void)agent_.AddLocalCandidate(now_, c);
  }
  void RemoveLocal(uint8_t choice) {
    ice::Candidate c;
    c.address = Address(choice);
    c.type = static_cast<ice::CandidateType>(choice >> 6);
    agent_.RemoveLocalCandidate(now_, c);
  }
  void AddRemote(uint8_t choice) {
    ice::Candidate c;
    c.foundation = std::to_string(choice & 3);
    c.address = Address(choice);
    c.type = static_cast<ice::CandidateType>(choice >> 6);
    c.priority = ice::Priority(c.type, choice);
    if (choice % 7 == 6) {
      c.address.ip = IpAddress();
      c.name = "x.local";
    }
    agent_.AddRemoteCandidate(now_, c);
  }
  void Restart() {
    ++generation_;
    ours_ = Credentials(generation_);
    theirs_ = Credentials(static_cast<uint8_t>(generation_ + 128));
    (void)agent_.Restart(now_, ours_);
  }

  // An authenticated request; some bits of `how` make it less than right.
  void Request(uint8_t from, uint8_t how) {
    stun::TransactionId id;
    id.bytes.fill(how);
    stun::MessageWriter w(absl::MakeSpan(packet_), MessageClass::kRequest,
                          stun::Method::kBinding, id);
    const std::string username = ours_.ufrag + ":" + theirs_.ufrag;
    w.Add(stun::Username{username});
    if ((how & 1) != 0) w.Add(stun::UseCandidate{});
    if ((how & 2) != 0) {
      w.Add(stun::IceControlling{(how & 4) != 0 ? UINT64_MAX : 0});
    } else {
      w.Add(stun::IceControlled{(how & 4) != 0 ? UINT64_MAX : 0});
    }
    if ((how & 8) == 0) w.Add(stun::Priority{uint32_t{how} << 24 | from});
    if ((how & 16) != 0) w.AddRaw(0x7fff, {});
    if ((how & 32) != 0) w.Add(stun::MetaDtlsInStun{kDtls});
    if ((how & 64) != 0) w.Add(stun::MetaDtlsInStunAcknowledgement{kDtls});
    w.AddIntegrity(IntegrityKey::ShortTerm(ours_.password));
    w.AddFingerprint();
    Mutate((how & 0xe0) == 0xe0, w.Finish());
    Deliver({Address(local_), Address(from), Transport::kUdp}, size_);
  }

  // An authenticated answer to the last request that the agent sent.
  void Answer(uint8_t how, uint8_t from) {
    if (!sent_) return;
    stun::MessageWriter w(
        absl::MakeSpan(packet_),
        (how & 1) != 0 ? MessageClass::kError : MessageClass::kSuccess,
        stun::Method::kBinding, sent_id_);
    if ((how & 1) != 0) {
      w.Add(stun::ErrorCode{(how & 2) != 0 ? stun::Error::kRoleConflict
                                           : stun::Error::kServerError,
                            ""});
    } else {
      w.Add(stun::XorMappedAddress{(how & 4) != 0 ? Address(from)
                                                  : sent_->local});
    }
    w.AddIntegrity(IntegrityKey::ShortTerm(theirs_.password));
    w.AddFingerprint();
    Mutate((how & 0xe0) == 0xe0, w.Finish());
    Path path{sent_->local, sent_->remote, Transport::kUdp};
    if ((how & 24) == 24) path.remote = Address(from);
    Deliver(path, size_);
  }

  void Mutate(bool flip, absl::Span<const uint8_t> written) {
    size_ = written.size();
    if (flip && size_ > 0) packet_[input_.U8() % size_] ^= input_.U8();
  }
  void Send(absl::Span<const uint8_t> bytes) {
    agent_.HandlePacket(
        now_, {{Address(local_), Address(9), Transport::kUdp}, bytes});
  }
  void Deliver(const Path& path, size_t size) {
    agent_.HandlePacket(now_, {path, absl::MakeConstSpan(packet_).first(size)});
  }

  void Drain() {
    for (int i = 0; i < 1000; ++i) {
      const auto datagram = agent_.PollTransmit(now_, absl::MakeSpan(out_));
      if (!datagram) return;
      KYUU_CHECK(agent_.state() != ice::AgentState::kClosed);
      const auto message = stun::MessageView::Parse(datagram->bytes);
      KYUU_CHECK(message.ok() && message->CheckFingerprint());
      if (message->cls() != MessageClass::kRequest) continue;
      sent_ = datagram->path;
      sent_id_ = message->transaction_id();
    }
    KYUU_CHECK(false && "the agent never runs dry");
  }

  // However it got here: driven properly, the agent keeps its invariants, and
  // is quiet between its deadlines.
  void Settle() {
    for (int i = 0; i < 300; ++i) {
      Drain();
      KYUU_CHECK(agent_.pairs().size() <= 20);
      if (const auto path = agent_.selected_path()) {
        KYUU_CHECK(agent_.IsKnownPath(*path));
      }
      const absl::Time next = agent_.NextTimeout();
      if (next == absl::InfiniteFuture()) return;
      // A deadline that has passed must be gone once it was handled.
      if (next <= now_) {
        agent_.HandleTimeout(now_);
        Drain();
        KYUU_CHECK(agent_.NextTimeout() > now_);
      } else {
        now_ = next;
        agent_.HandleTimeout(now_);
      }
    }
  }

  Reader input_;
  SeededRandom random_;
  ice::Credentials ours_;
  ice::Credentials theirs_;
  ice::Agent agent_;
  uint8_t generation_ = 0;
  uint8_t local_ = 8;
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  std::optional<Path> sent_;
  stun::TransactionId sent_id_;
  size_t size_ = 0;
  std::array<uint8_t, 1500> packet_;
  std::array<uint8_t, 1500> out_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  Fuzzer(absl::MakeConstSpan(data, size)).Run();
  return 0;
}

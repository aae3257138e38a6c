// Drives a turn::Server without a network: signed requests in, answers out,
// relay sockets opened at once.

#ifndef KYUU_TURN_TESTING_SERVER_HARNESS_H_
#define KYUU_TURN_TESTING_SERVER_HARNESS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/random.h"
#include "stun/message.h"
#include "turn/channel_data.h"
#include "turn/local_ledger.h"
#include "turn/server.h"

namespace kyuu::turn {

inline const TransportAddress kTestServer{IpAddress::V4(192, 0, 2, 1), 3478};
inline const IpAddress kTestRelay = IpAddress::V4(192, 0, 2, 2);
inline const TransportAddress kTestPeer{IpAddress::V4(8, 8, 8, 8), 7000};

// A user at a 5-tuple. Without a nonce its requests are not signed.
struct TestClient {
  explicit TestClient(uint16_t port, std::string name = "u",
                      std::string secret = "p")
      : path{kTestServer, {IpAddress::V4(9, 9, 9, 9), port}, Transport::kUdp},
        username(std::move(name)),
        password(std::move(secret)) {}

  Path path;
  std::string username;
  std::string password;
  std::string realm;
  std::string nonce;
  // What Allocate got.
  std::optional<RelayId> relay;
  TransportAddress relayed;
};

// An answer; `bytes` is empty if there was none.
class Reply {
 public:
  Reply() = default;
  explicit Reply(absl::Span<const uint8_t> bytes)
      : bytes_(bytes.begin(), bytes.end()) {}

  bool empty() const { return bytes_.empty(); }
  const std::vector<uint8_t>& bytes() const { return bytes_; }
  stun::MessageView view() const { return *stun::MessageView::Parse(bytes_); }
  bool ok() const {
    return !empty() && view().cls() == stun::MessageClass::kSuccess;
  }
  // The error's number; 0 for success, -1 for no answer.
  int error() const {
    if (empty()) return -1;
    const auto code = view().Get<stun::ErrorCode>();
    return code.has_value() ? static_cast<int>(code->code) : 0;
  }
  template <typename A>
  std::optional<A> Get() const {
    return empty() ? std::nullopt : view().Get<A>();
  }

 private:
  std::vector<uint8_t> bytes_;
};

class ServerHarness {
 public:
  static ServerOptions Options() {
    ServerOptions options;
    options.users = {{"u", "p"}, {"other", "q"}};
    options.relay_addresses = {{kTestRelay, {}}};
    options.relay_port_low = 50'000;
    options.relay_port_high = 50'099;
    options.listeners = {kTestServer};
    options.source_share = 1;  // Its one address stands for many clients.
    return options;
  }

  // On `ledger`, if one is shared.
  explicit ServerHarness(ServerOptions options = Options(), uint64_t seed = 1,
                         Ledger* ledger = nullptr)
      : random_(seed),
        own_ledger_(options, random_),
        server_(
            random_, options,
            ledger == nullptr ? static_cast<Ledger&>(own_ledger_) : *ledger) {}

  Server& server() { return server_; }
  absl::Time now() const { return now_; }
  SeededRandom& random() { return random_; }
  // If false, OpenRelay events wait in events() for the test to answer.
  bool open_relays = true;
  std::deque<Server::Event>& events() { return events_; }

  // Of the server, and of its ledger if that is its own.
  void SetOptions(const ServerOptions& options) {
    own_ledger_.SetLimits(options);
    server_.SetOptions(now_, options);
    Drain();
  }
  void Advance(absl::Duration duration) {
    now_ += duration;
    server_.HandleTimeout(now_);
    Drain();
  }

  // Bytes of a request, signed if the client has a nonce. `fill` adds the
  // attributes to a stun::MessageWriter.
  template <typename Fill>
  std::vector<uint8_t> Build(const TestClient& client, stun::Method method,
                             Fill fill) {
    std::vector<uint8_t> buffer(2048);
    stun::MessageWriter w(absl::MakeSpan(buffer), stun::MessageClass::kRequest,
                          method, stun::TransactionId::Generate(random_));
    fill(w);
    if (!client.nonce.empty()) {
      w.Add(stun::Username{client.username});
      w.Add(stun::Realm{client.realm});
      w.Add(stun::Nonce{client.nonce});
      w.AddIntegrity(stun::IntegrityKey::LongTerm(client.username, client.realm,
                                                  client.password));
    }
    buffer.resize(w.Finish().size());
    KYUU_CHECK(!buffer.empty());
    return buffer;
  }

  // Hands bytes over and returns the last answer to this client.
  Reply Exchange(const TestClient& client, absl::Span<const uint8_t> bytes) {
    server_.FromClient(now_, client.path, bytes, bytes.size());
    Drain();
    return Poll(client);
  }
  Reply Poll(const TestClient& client) {
    Reply reply;
    while (auto out = server_.PollTransmit(now_, absl::MakeSpan(out_))) {
      if (out->path == client.path) reply = Reply(out->bytes);
    }
    return reply;
  }

  template <typename Fill>
  Reply Call(const TestClient& client, stun::Method method, Fill fill) {
    return Exchange(client, Build(client, method, fill));
  }

  // Fetches realm and nonce with an unsigned request; leaves the client without
  // a nonce if the server does not answer.
  void Challenge(TestClient& client) {
    client.nonce.clear();
    const Reply reply =
        Call(client, stun::Method::kRefresh,
             [](stun::MessageWriter& w) { w.Add(stun::Lifetime{600}); });
    if (reply.Get<stun::Nonce>() == std::nullopt) return;  // Rate limited.
    client.realm = std::string(reply.Get<stun::Realm>()->value);
    client.nonce = std::string(reply.Get<stun::Nonce>()->value);
  }

  // Allocate for UDP, with what `more` adds; makes the client's nonce first.
  template <typename Fill>
  Reply Allocate(TestClient& client, Fill more) {
    if (client.nonce.empty()) Challenge(client);
    const Reply reply =
        Call(client, stun::Method::kAllocate, [&](stun::MessageWriter& w) {
          w.Add(stun::RequestedTransport{});
          more(w);
        });
    if (reply.ok()) {
      client.relayed = reply.Get<stun::XorRelayedAddress>()->address;
      client.relay = last_opened_;
    }
    return reply;
  }
  Reply Allocate(TestClient& client) {
    return Allocate(client, [](stun::MessageWriter&) {});
  }
  Reply Refresh(const TestClient& client, uint32_t seconds) {
    return Call(client, stun::Method::kRefresh, [&](stun::MessageWriter& w) {
      w.Add(stun::Lifetime{seconds});
    });
  }
  Reply Permit(const TestClient& client, const IpAddress& peer) {
    return Call(client, stun::Method::kCreatePermission,
                [&](stun::MessageWriter& w) {
                  w.Add(stun::XorPeerAddress{{peer, 0}});
                });
  }
  Reply Bind(const TestClient& client, uint16_t number,
             const TransportAddress& peer) {
    return Call(client, stun::Method::kChannelBind,
                [&](stun::MessageWriter& w) {
                  w.Add(stun::ChannelNumber{number});
                  w.Add(stun::XorPeerAddress{peer});
                });
  }

  // Bytes of a ChannelData message and of a Send indication.
  static std::vector<uint8_t> ChannelMessage(uint16_t number,
                                             absl::string_view payload) {
    std::vector<uint8_t> bytes(kChannelHeaderSize);
    WriteChannelHeader(number, payload.size(), absl::MakeSpan(bytes));
    bytes.insert(bytes.end(), payload.begin(), payload.end());
    return bytes;
  }
  std::vector<uint8_t> SendIndication(const TransportAddress& peer,
                                      absl::string_view payload) {
    std::vector<uint8_t> buffer(2048 + payload.size());
    stun::MessageWriter w(absl::MakeSpan(buffer),
                          stun::MessageClass::kIndication, stun::Method::kSend,
                          stun::TransactionId::Generate(random_));
    w.Add(stun::XorPeerAddress{peer});
    w.Add(stun::Data{AsBytes(payload)});
    buffer.resize(w.Finish().size());
    return buffer;
  }

  // The datagram of one segment of a decision.
  static std::vector<uint8_t> Datagram(const Forward& forward, size_t i = 0) {
    std::vector<uint8_t> bytes;
    for (auto part : {forward.prefix(i), forward.payload(i)}) {
      bytes.insert(bytes.end(), part.begin(), part.end());
    }
    bytes.resize(bytes.size() + forward.padding(i));
    return bytes;
  }

  // Takes events, opening relays if `open_relays`.
  void Drain() {
    while (auto event = server_.PollEvent()) {
      const auto* open = std::get_if<Server::OpenRelay>(&*event);
      if (open != nullptr) last_opened_ = open->relay;
      if (open != nullptr && open_relays) {
        server_.RelayOpened(now_, open->relay);
      } else {
        events_.push_back(*std::move(event));
      }
    }
  }

 private:
  SeededRandom random_;
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  LocalLedger own_ledger_;
  Server server_;
  std::deque<Server::Event> events_;
  std::optional<RelayId> last_opened_;
  std::vector<uint8_t> out_ = std::vector<uint8_t>(2048);
};

}  // namespace kyuu::turn

#endif  // KYUU_TURN_TESTING_SERVER_HARNESS_H_

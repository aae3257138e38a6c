#include "turn/testing/client_script.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/random.h"
#include "turn/client.h"
#include "turn/testing/scripted_server.h"

namespace kyuu::turn {
namespace {

const Path kPath{.local = {IpAddress::V4(10, 0, 0, 1), 5000},
                 .remote = {IpAddress::V4(192, 0, 2, 1), 3478}};

class Run {
 public:
  explicit Run(uint8_t start)
      : path_{kPath.local, kPath.remote,
              (start & 32) != 0 ? Transport::kTcp : Transport::kUdp},
        both_((start & 64) != 0),
        client_(random_, Options(path_.transport, both_)) {
    if (both_ && (start & 128) == 0) {
      server_.additional = {*IpAddress::Parse("2001:db8::1"), 50001};
    } else if (both_) {
      server_.refused = {IpFamily::kV6, stun::Error::kInsufficientCapacity, ""};
    }
    server_.sha256 = (start & 1) != 0 && (start & 16) == 0;
    if ((start & 16) != 0) {
      server_.token_server = "authorization";
      if ((start & 2) != 0) UseToken(1);
    }
    if ((start & 8) != 0) server_.tickets = {"1", "2", "3", "4"};
    if ((start & 2) == 0) return;
    // Begin with an allocation, and a channel on it.
    KYUU_CHECK(client_.Allocate(now_).ok());
    while (Serve(0)) {
    }
    KYUU_CHECK(client_.allocated());
    if (on_tcp()) {
      KYUU_CHECK(client_.connections().Connect(now_, Peer(0)).ok());
    } else {
      KYUU_CHECK(client_.BindChannel(now_, Peer(0)).ok());
    }
    while ((start & 4) != 0 && Serve(0)) {
    }
  }

  void Step(Reader& r) {
    const uint8_t op = r.U8();
    const uint8_t arg = r.U8();
    switch (op % 14) {
      case 0:
        client_.HandlePacket(now_, {path_, Noise(r)});
        break;
      case 1:
        Serve(arg);
        break;
      case 2:
        now_ += absl::Milliseconds(100) * arg * arg;
        client_.HandleTimeout(now_);
        break;
      case 3:
        KYUU_CHECK(client_.Permit(now_, Peer(arg)).ok() <= Alive());
        break;
      case 4:
        if (on_tcp()) {
          Connections(arg);
        } else {
          KYUU_CHECK(client_.BindChannel(now_, Peer(arg)).ok() <= Alive());
        }
        break;
      case 5:
        Wrap(arg, Noise(r));
        break;
      case 6: {
        const std::vector<uint8_t> data = server_.Data(Peer(arg), Noise(r));
        client_.Unwrap({path_, data});
        client_.HandlePacket(now_, {path_, data});
        break;
      }
      case 7:
        client_.Unwrap({path_, Noise(r)});
        break;
      case 8:
        client_.PollTransmit(now_, absl::MakeSpan(buffer_).first(arg * 4));
        break;
      case 9:
        server_.nonce.assign(1, static_cast<char>('a' + arg % 26));
        server_.errors.clear();
        if (arg > 99) {
          server_.errors[static_cast<stun::Method>(arg % 10)] =
              static_cast<stun::Error>(100 + 2 * arg);
        }
        server_.sign = arg != 1;
        break;
      case 10:
        if (arg < 16) client_.Close(now_);
        if (arg > 240 && !started_) started_ = client_.Allocate(now_).ok();
        if (arg >= 100 && arg < 108) Families(arg);
        break;
      case 11:
        TakeEvent();
        break;
      case 12:
        Move(arg);
        break;
      default:
        UseToken(arg);
    }
  }

  void Finish() {
    client_.Close(now_);
    // Three sends, then the last wait; more rounds change nothing.
    for (int i = 0; i < 5; ++i) {
      while (client_.PollTransmit(now_, absl::MakeSpan(buffer_))) {
      }
      if (client_.NextTimeout() == absl::InfiniteFuture()) break;
      now_ = std::max(now_, client_.NextTimeout());
      client_.HandleTimeout(now_);
    }
    while (TakeEvent()) {
    }
    KYUU_CHECK(closed_ && !client_.allocated());
    KYUU_CHECK(client_.NextTimeout() == absl::InfiniteFuture());
    KYUU_CHECK(!client_.PollTransmit(now_, absl::MakeSpan(buffer_)));
  }

 private:
  TransportAddress Peer(uint8_t arg) const {
    const auto port = static_cast<uint16_t>(arg + 1);
    if (both_ && (arg & 64) != 0) {
      return {*IpAddress::Parse("2001:db8::2"), port};
    }
    return {IpAddress::V4(203, 0, 113, arg % 8), port};
  }
  static absl::Span<const uint8_t> Noise(Reader& r) {
    const size_t size = r.U8();
    return r.Bytes(std::min(size, r.remaining()));
  }
  bool Alive() const { return client_.allocated(); }

  bool on_tcp() const { return path_.transport == Transport::kTcp; }

  // Connects, binds, drops, or lets a peer come.
  void Connections(uint8_t arg) {
    ClientConnections& connections = client_.connections();
    const ClientConnectionId id{arg % 4u + (arg > 127 ? 1000u : 0u)};
    switch (arg / 4 % 4) {
      case 0:
        KYUU_CHECK(connections.Connect(now_, Peer(arg)).ok() <= Alive());
        break;
      case 1:
        KYUU_CHECK(connections.Bind(now_, id, Data(arg)).ok() <= Alive());
        break;
      case 2:
        connections.Drop(id, absl::OkStatus());
        break;
      default: {
        stun::MessageWriter w(
            absl::MakeSpan(buffer_), stun::MessageClass::kIndication,
            stun::Method::kConnectionAttempt, stun::TransactionId{});
        w.Add(stun::XorPeerAddress{Peer(arg)});
        w.Add(stun::ConnectionId{static_cast<uint32_t>(id)});
        client_.HandlePacket(now_, {path_, w.Finish()});
      }
    }
    KYUU_CHECK(connections.size() <= 3);
  }
  static TransportAddress Data(uint8_t arg) {
    TransportAddress local = kPath.local;
    local.port = static_cast<uint16_t>(local.port + 10 + arg % 3);
    return local;
  }
  static ClientOptions Options(Transport transport, bool both) {
    ClientOptions options{.local = kPath.local,
                          .server = kPath.remote,
                          .transport = transport,
                          .username = "user",
                          .password = "pass",
                          .tokens = ClientOptions::Tokens::kAsk,
                          .families = both ? ClientOptions::Families::kBoth
                                           : ClientOptions::Families::kOne,
                          .relayed_transport = transport,
                          .connections_max = 3,
                          .mobility = ClientOptions::Mobility::kAsk,
                          .permissions_max = 6,
                          .peers_max = 9};
    return options;
  }

  // Gives a family back or asks whether it is there; and the server's mind
  // about which one has ended.
  void Families(uint8_t arg) {
    const IpFamily family = (arg & 1) != 0 ? IpFamily::kV6 : IpFamily::kV4;
    const bool there = client_.relayed(family) != nullptr;
    if ((arg & 4) != 0) {
      server_.gone = family;
    } else if ((arg & 2) != 0) {
      KYUU_CHECK(client_.RefreshFamily(now_, family).ok() == there);
    } else {
      KYUU_CHECK(client_.ReleaseFamily(now_, family).ok() <= (there && both_));
      KYUU_CHECK(client_.relayed().port != 0 || !client_.allocated());
    }
  }

  // One that the server takes, unless it has changed its mind or `arg` says so.
  void UseToken(uint8_t arg) {
    if (arg < 100) server_.mac_key.assign(20, static_cast<char>(arg));
    ClientToken token{.kid = "kid",
                      .token = std::string(arg % 4, 't'),
                      .mac_key = std::string(20, static_cast<char>(arg)),
                      .lifetime = absl::Seconds(arg * 4)};
    const bool valid = token.Validate().ok();
    const bool used = client_.UseToken(now_, std::move(token)).ok();
    KYUU_CHECK(used <= valid);
    // It says no only when it is closing.
    KYUU_CHECK(used || !valid || !client_.allocated());
  }

  // To one of four addresses, one of which cannot be; and the server's next
  // tickets, of which some are too long.
  void Move(uint8_t arg) {
    if (arg > 99) {
      server_.tickets.assign(arg % 4, std::string(arg * 3u, 't'));
      return;
    }
    const bool movable = client_.movable();
    TransportAddress to = kPath.local;
    to.port = static_cast<uint16_t>(arg % 4 == 3 ? 0 : to.port + arg % 4);
    KYUU_CHECK(client_.Move(now_, to).ok() == (movable && to.port != 0));
  }

  // Lets the server answer one request, with a bit flipped if `flip` says so.
  bool Serve(uint8_t flip) {
    const auto packet = client_.PollTransmit(now_, absl::MakeSpan(buffer_));
    if (!packet) return false;
    // Data that was held back has no answer.
    if (IsChannelData(packet->bytes) ||
        stun::MessageView::Parse(packet->bytes)->method() ==
            stun::Method::kSend) {
      return true;
    }
    std::vector<uint8_t> answer = server_.Answer(packet->bytes);
    KYUU_CHECK(!answer.empty());
    if (flip > 200) {
      const size_t bit = (flip - 200u) * 97 % (answer.size() * 8);
      answer[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    }
    client_.HandlePacket(now_, {packet->path, answer});
    return true;
  }

  void Wrap(uint8_t arg, absl::Span<const uint8_t> payload) {
    const auto out =
        client_.Wrap(now_, Peer(arg), payload, absl::MakeSpan(buffer_));
    KYUU_CHECK(out.ok() <= Alive());
    if (!out.ok()) return;
    const uint64_t held = client_.stats().datagrams_held;
    if (held != std::exchange(held_, held)) {
      // Something else leaves first: the request, or what was held before.
      KYUU_CHECK(!out->bytes.empty());
    } else if (client_.ChannelOf(Peer(arg))) {
      KYUU_CHECK(ReadChannelData(out->bytes)->payload == payload);
    } else {
      const auto view = stun::MessageView::Parse(out->bytes);
      KYUU_CHECK(view.ok() && view->Get<stun::Data>()->value == payload &&
                 view->Get<stun::XorPeerAddress>()->address == Peer(arg));
    }
  }

  bool TakeEvent() {
    const auto event = client_.PollEvent();
    KYUU_CHECK(!event || !closed_);
    if (event) closed_ = std::holds_alternative<Client::Closed>(*event);
    return event.has_value();
  }

  SeededRandom random_{1};
  absl::Time now_ = absl::UnixEpoch();
  ScriptedServer server_;
  const Path path_;
  const bool both_;
  Client client_;
  std::array<uint8_t, 2000> buffer_;
  uint64_t held_ = 0;
  bool started_ = false;
  bool closed_ = false;
};

}  // namespace

void RunClientScript(absl::Span<const uint8_t> script) {
  Reader r(script);
  Run run(r.U8());
  while (!r.empty()) run.Step(r);
  run.Finish();
}

}  // namespace kyuu::turn

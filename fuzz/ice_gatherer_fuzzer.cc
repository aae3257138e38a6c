// The gatherer among STUN and TURN servers that answer, err, lie or stay
// silent, with commands, noise and timeouts in any order.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/random.h"
#include "ice/gatherer.h"
#include "stun/attributes.h"
#include "stun/message.h"
#include "turn/testing/scripted_server.h"

namespace {

using namespace kyuu;  // NOLINT: a program of its own.
using ice::Gatherer;

const TransportAddress kStun{IpAddress::V4(192, 0, 2, 1), 3478};
const TransportAddress kTurn{IpAddress::V4(192, 0, 2, 2), 3478};
const TransportAddress kRelayed6{IpAddress::Parse("2001:db8::1").value(),
                                 50002};

TransportAddress Host(uint8_t i) { return {IpAddress::V4(10, 0, 0, i), 5000}; }
// Every fourth one is on IPv6.
TransportAddress Peer(uint8_t i) {
  IpAddress ip = IpAddress::V4(203, 0, 113, i % 8);
  if (i % 4 == 3) ip = IpAddress::Parse("2001:db8:1::1").value();
  return {ip, static_cast<uint16_t>(i + 1)};
}

class Run {
 public:
  explicit Run(uint8_t start) : gatherer_(Options(start), random_) {
    if ((start & 2) != 0) server_.additional = kRelayed6;
    if ((start & 4) != 0) KYUU_CHECK(gatherer_.Start(now_).ok());
    for (int i = start >> 3; i > 0; --i) Serve(0);
  }

  void Step(Reader& r) {
    const uint8_t op = r.U8();
    const uint8_t arg = r.U8();
    switch (op % 10) {
      case 0:
        now_ += absl::Milliseconds(10) * arg * arg;
        return gatherer_.HandleTimeout(now_);
      case 1:
      case 2:
        return Serve(arg);
      case 3:
        return gatherer_.HandlePacket(
            now_, {{Host(1), arg % 2 != 0 ? kTurn : kStun, Transport::kUdp},
                   Noise(r)});
      case 4:
        return gatherer_.Permit(now_, Peer(arg));
      case 5:
        return Wrap(arg, Noise(r));
      case 6: {
        const Datagram outer{{Host(1), kTurn, Transport::kUdp},
                             arg % 2 != 0 ? Noise(r) : data_};
        data_ = server_.Data(Peer(arg), outer.bytes);
        return (void)gatherer_.Take(
            now_, {outer.path, arg % 2 != 0 ? outer.bytes : data_});
      }
      case 7:
        if (arg > 99) {
          server_.errors[static_cast<stun::Method>(arg % 10)] =
              static_cast<stun::Error>(100 + 2 * arg);
        } else {
          server_.errors.clear();
        }
        server_.nonce.assign(1, static_cast<char>('a' + arg % 26));
        return;
      case 8:
        if (arg == 7) gatherer_.Close(now_);
        if (arg == 8) gatherer_.Restart(now_);
        if (arg >= 9 && arg < 12) {
          return (void)gatherer_.RemoveHost(
              now_, Host(static_cast<uint8_t>(arg - 9)));
        }
        if (arg >= 12 && arg < 16) {
          return (void)gatherer_.AddHost(
              now_, {Host(static_cast<uint8_t>(arg - 12))});
        }
        if (arg >= 16 && arg < 20) return gatherer_.AwaitServers(arg - 16u);
        if (arg >= 20 && arg < 28) {
          const TransportAddress server{kTurn.ip, arg};
          if (arg < 24) {
            gatherer_.UpdateServers({server}, {});
          } else {
            gatherer_.UpdateServers({}, {{server, "user", "pass"}});
          }
          return gatherer_.ServersKnown(now_);
        }
        if (arg >= 28 && arg < 36) return Configure(arg);
        if (arg == 36) return gatherer_.ReleaseUnwanted(now_);
        if (arg == 37) return gatherer_.Discard(now_);
        if (arg >= 40 && arg < 48) return Give(arg);
        return (void)gatherer_.Start(now_);
      case 9:
        return TakeEvents();
    }
  }

  // Whatever happened: after Close() it comes to its end and stays there.
  void Finish() {
    gatherer_.Close(now_);
    for (int i = 0; i < 50 && !closed_; ++i) {
      while (gatherer_.PollTransmit(now_, absl::MakeSpan(buffer_))) {
      }
      TakeEvents();
      if (gatherer_.NextTimeout() == absl::InfiniteFuture()) break;
      now_ = std::max(now_, gatherer_.NextTimeout());
      gatherer_.HandleTimeout(now_);
    }
    TakeEvents();
    KYUU_CHECK(closed_);
    KYUU_CHECK(gatherer_.NextTimeout() == absl::InfiniteFuture());
  }

 private:
  static ice::GathererOptions Options(uint8_t start) {
    ice::GathererOptions options;
    options.hosts = {{Host(1)}, {Host(2)}};
    options.stun_servers = {kStun};
    options.turn_servers = {{kTurn, "user", "pass"}};
    options.policy =
        (start & 1) != 0 ? ice::GatherPolicy::kRelay : ice::GatherPolicy::kAll;
    options.max_candidates = 6;
    options.max_peers = 4;
    return options;
  }
  static absl::Span<const uint8_t> Noise(Reader& r) {
    const size_t size = r.U8();
    return r.Bytes(std::min(size, r.remaining()));
  }

  void Configure(uint8_t arg) {
    std::vector<TransportAddress> stun;
    if ((arg & 1) != 0) stun.push_back(kStun);
    const TransportAddress turn{kTurn.ip,
                                static_cast<uint16_t>(kTurn.port + (arg & 2))};
    gatherer_.Configure(
        std::move(stun), {{turn, "user", "pass"}},
        (arg & 4) != 0 ? ice::GatherPolicy::kRelay : ice::GatherPolicy::kAll);
  }

  // What the TURN server gives of the second family, and says of it.
  void Give(uint8_t arg) {
    server_.additional.reset();
    server_.refused.reset();
    server_.gone.reset();
    if ((arg & 1) != 0) server_.additional = kRelayed6;
    if ((arg & 2) != 0) {
      server_.refused = stun::AddressErrorCode{
          IpFamily::kV6, stun::Error::kInsufficientCapacity};
    }
    if ((arg & 4) != 0) server_.gone = IpFamily::kV6;
  }

  // Lets the right server answer one request, with a bit flipped if `flip` says
  // so.
  void Serve(uint8_t flip) {
    const auto packet = gatherer_.PollTransmit(now_, absl::MakeSpan(buffer_));
    if (!packet) return gatherer_.HandleTimeout(now_ += absl::Milliseconds(5));
    const auto request = stun::MessageView::Parse(packet->bytes);
    // Data that was held back until its permission was asked for.
    if (!request.ok() || request->method() == stun::Method::kSend) return;
    std::vector<uint8_t> answer;
    if (request->method() == stun::Method::kBinding) {
      std::array<uint8_t, 100> out;
      stun::MessageWriter w(absl::MakeSpan(out), stun::MessageClass::kSuccess,
                            stun::Method::kBinding, request->transaction_id());
      w.Add(stun::XorMappedAddress{Peer(flip)});
      const absl::Span<const uint8_t> bytes = w.Finish();
      answer.assign(bytes.begin(), bytes.end());
    } else {
      // Every other relay may move.
      if (flip % 2 == 0) server_.tickets = {"ticket"};
      answer = server_.Answer(packet->bytes);
    }
    if (flip > 200 && !answer.empty()) {
      const size_t bit = (flip - 200u) * 97 % (answer.size() * 8);
      answer[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    }
    gatherer_.HandlePacket(now_, {packet->path, answer});
  }

  void Wrap(uint8_t arg, absl::Span<const uint8_t> payload) {
    const TransportAddress peer = Peer(arg);
    const TransportAddress local =
        peer.ip.is_v4() ? server_.relayed : kRelayed6;
    const Path path{local, peer, Transport::kUdp};
    const auto outer =
        gatherer_.Wrap(now_, {path, payload}, absl::MakeSpan(buffer_));
    KYUU_CHECK(outer.ok() <= gatherer_.IsRelayed(local));
    gatherer_.BindChannel(now_, path);
  }

  void TakeEvents() {
    while (const auto event = gatherer_.PollEvent()) {
      KYUU_CHECK(!closed_);
      closed_ = std::holds_alternative<Gatherer::Closed>(*event);
      if (std::holds_alternative<Gatherer::Finished>(*event)) {
        KYUU_CHECK(!std::exchange(finished_, true));
      }
      // Once for each time that it begins.
      if (std::holds_alternative<Gatherer::Started>(*event)) finished_ = false;
      candidates_ -= std::holds_alternative<Gatherer::CandidateGone>(*event);
      candidates_ += std::holds_alternative<Gatherer::CandidateFound>(*event);
    }
    KYUU_CHECK(candidates_ <= 6);
  }

  SeededRandom random_{1};
  absl::Time now_ = absl::UnixEpoch();
  turn::ScriptedServer server_;
  Gatherer gatherer_;
  std::array<uint8_t, 2000> buffer_;
  std::vector<uint8_t> data_;
  int candidates_ = 0;
  bool finished_ = false;
  bool closed_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Reader r(absl::MakeConstSpan(data, size));
  Run run(r.U8());
  for (int i = 0; i < 500 && !r.empty(); ++i) run.Step(r);
  run.Finish();
  return 0;
}

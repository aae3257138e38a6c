// A peer connection in some phase of its life, and then anything: datagrams,
// descriptions, candidates, timeouts and commands in any order.

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
#include "peer/connection.h"
#include "sim/clock.h"
#include "sim/clock_override.h"

namespace {

using kyuu::Datagram;
using kyuu::IpAddress;
using kyuu::TransportAddress;
using kyuu::peer::Connection;
using kyuu::peer::PayloadType;
using kyuu::peer::SdpType;

const TransportAddress kA{IpAddress::V4(192, 0, 2, 1), 1};
const TransportAddress kB{IpAddress::V4(192, 0, 2, 2), 2};

const kyuu::dtls::Certificate& Identity() {
  static const auto* const certificate = new kyuu::dtls::Certificate(
      *kyuu::dtls::Certificate::Generate(absl::UnixEpoch()));
  return *certificate;
}

class World {
 public:
  explicit World(const kyuu::peer::Options& options)
      : seeded_(1),
        override_(clock_),
        a_(Identity(), options, random_),
        b_(Identity(), options, random_) {
    KYUU_CHECK(a_.AddLocalAddress(absl::InfinitePast(), {kA}).ok());
    KYUU_CHECK(b_.AddLocalAddress(absl::InfinitePast(), {kB}).ok());
    KYUU_CHECK(a_.CreateDataChannel(now(), {.label = "x"}).ok());
  }

  // Offer, answer, checks, handshake, channel: the first `steps` of them.
  void SetUp(int steps) {
    if (steps > 0) {
      const std::string offer = *a_.CreateOffer();
      KYUU_CHECK(a_.SetLocalDescription(now(), SdpType::kOffer).ok());
      if (steps > 1) Answer(offer, steps > 2);
    }
    for (int i = 3; i < steps; ++i) {
      Turn(a_, b_);
      Turn(b_, a_);
      clock_.AdvanceTo(now() + absl::Milliseconds(10));
    }
  }

  void Run(kyuu::Reader& r) {
    switch (r.U8() % 12) {
      case 0:  // Raw bytes, from the peer or from anybody.
        Receive(r.U8() % 2 == 0 ? kB : TransportAddress{kB.ip, 9},
                r.Bytes(std::min<size_t>(r.U16(), r.remaining())));
        break;
      case 1:
      case 2: {  // A real datagram, bent.
        if (seen_.empty()) break;
        std::vector<uint8_t> bytes = seen_[r.U8() % seen_.size()];
        bytes[r.U16() % bytes.size()] ^= r.U8();
        Receive(kB, bytes);
        break;
      }
      case 3:
        clock_.AdvanceTo(now() + absl::Milliseconds(r.U16()));
        a_.HandleTimeout(now());
        break;
      case 4:
        a_.AddIceCandidate(
              now(), r.Text(std::min<size_t>(r.U8(), r.remaining())), "0", 0)
            .IgnoreError();
        break;
      case 5:
        a_.SetRemoteDescription(
              now(), static_cast<SdpType>(r.U8() % 3),
              std::string(r.Text(std::min<size_t>(r.U16(), r.remaining()))))
            .IgnoreError();
        break;
      case 6:
        a_.CreateOffer(r.U8() % 2 == 0 ? kyuu::peer::IceRestart::kNo
                                       : kyuu::peer::IceRestart::kYes)
            .IgnoreError();
        a_.SetLocalDescription(now(), static_cast<SdpType>(r.U8() % 3))
            .IgnoreError();
        break;
      case 7:
        a_.CreateAnswer().IgnoreError();
        a_.SetLocalDescription(now(), SdpType::kAnswer).IgnoreError();
        break;
      case 8:
        a_.Rollback(now()).IgnoreError();
        break;
      case 9:
        a_.Send(now(), kyuu::peer::ChannelId{r.U8() % 3u}, PayloadType::kText,
                std::vector<uint8_t>(r.U8()))
            .IgnoreError();
        break;
      case 10:
        if (r.U8() < 32) a_.Close(now());
        break;
      default:
        Turn(a_, b_);
        Turn(b_, a_);
        break;
    }
  }

  // What is closed falls silent.
  void Finish() {
    a_.Close(now());
    for (int i = 0; i < 20; ++i) {
      clock_.AdvanceTo(now() + absl::Seconds(1));
      a_.HandleTimeout(now());
      Turn(a_, b_);
    }
    KYUU_CHECK(a_.NextTimeout() == absl::InfiniteFuture());
    KYUU_CHECK(closed_);
  }

 private:
  absl::Time now() const { return clock_.now(); }

  void Answer(const std::string& offer, bool apply) {
    KYUU_CHECK(b_.SetRemoteDescription(now(), SdpType::kOffer, offer).ok());
    const std::string answer = *b_.CreateAnswer();
    KYUU_CHECK(b_.SetLocalDescription(now(), SdpType::kAnswer).ok());
    if (!apply) return;
    KYUU_CHECK(a_.SetRemoteDescription(now(), SdpType::kAnswer, answer).ok());
  }

  void Receive(const TransportAddress& from, absl::Span<const uint8_t> bytes) {
    a_.HandlePacket(now(), {{kA, from}, bytes});
  }

  void Turn(Connection& side, Connection& other) {
    side.HandleTimeout(now());
    for (int n = 0; auto out = side.PollTransmit(now(), absl::MakeSpan(out_));
         ++n) {
      KYUU_CHECK(n < 10'000);
      if (&side == &b_ && seen_.size() < 256 && !out->bytes.empty()) {
        seen_.emplace_back(out->bytes.begin(), out->bytes.end());
      }
      other.HandlePacket(now(),
                         {{out->path.remote, out->path.local}, out->bytes});
    }
    while (auto event = side.PollEvent()) {
      if (&side == &a_) {
        KYUU_CHECK(!closed_);
        closed_ = std::holds_alternative<kyuu::peer::Closed>(*event);
      }
      if (auto* found = std::get_if<kyuu::peer::CandidateFound>(&*event)) {
        other
            .AddIceCandidate(now(), found->candidate, found->mid,
                             found->mline_index)
            .IgnoreError();
      }
    }
  }

  kyuu::sim::Clock clock_;
  kyuu::sim::ScopedSeededOpenssl seeded_;
  kyuu::sim::ScopedClockOverride override_;
  kyuu::SeededRandom random_{1};
  Connection a_;
  Connection b_;
  std::vector<std::vector<uint8_t>> seen_;
  std::array<uint8_t, Connection::kDatagramMax> out_;
  bool closed_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  kyuu::Reader r(absl::MakeConstSpan(data, size));
  const uint8_t first = r.U8();
  World world({.snap = (first & 32) != 0, .sped = (first & 64) != 0});
  world.SetUp(first % 32);
  for (int i = 0; i < 200 && !r.empty(); ++i) world.Run(r);
  world.Finish();
  return 0;
}

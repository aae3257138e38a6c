// A multicast DNS endpoint among strangers: commands, waits and messages in any
// order. Each question is answered once, what it sends is well formed, and
// without new questions it falls silent.

#include <array>
#include <cstddef>
#include <cstdint>
#include <set>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/check.h"
#include "mdns/endpoint.h"

namespace {

using namespace kyuu;        // NOLINT: a program of one file.
using namespace kyuu::mdns;  // NOLINT

class Run {
 public:
  explicit Run(absl::Span<const uint8_t> script) : script_(script) {}

  void ToItsEnd() {
    while (!script_.empty()) {
      Step();
      Drain();
    }
    for (int i = 0; i < 4; ++i) endpoint_.RemoveLink(Ours(i));
    // A question lives for 9 s, an answer waits for 1 s.
    for (int i = 0; i < 200 && !asked_.empty(); ++i) Wait();
    KYUU_CHECK(asked_.empty());
    Wait();
    KYUU_CHECK(endpoint_.NextTimeout() == absl::InfiniteFuture());
  }

 private:
  static IpAddress Ours(int i) {
    return i % 2 == 0 ? IpAddress::V4(10, 0, 0, static_cast<uint8_t>(i))
                      : IpAddress::V6({0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                       0, 0, 0, static_cast<uint8_t>(i)},
                                      7);
  }
  std::string Name() { return absl::StrCat("n", script_.U8() % 4, ".local"); }

  // Of four names and links none is one too many.
  static void CheckRefusal(const absl::Status& status) {
    KYUU_CHECK(status.ok() || absl::IsAlreadyExists(status));
  }

  void Wait() {
    const absl::Time next = endpoint_.NextTimeout();
    if (next == absl::InfiniteFuture()) return;
    now_ = std::max(now_, next);
    endpoint_.HandleTimeout(now_);
    Drain();
    KYUU_CHECK(endpoint_.NextTimeout() > now_);
  }

  void Step() {
    const uint8_t kind = script_.U8();
    const int which = script_.U8() % 4;
    switch (kind % 8) {
      case 0:
        CheckRefusal(endpoint_.AddLink(now_, {Ours(which), kind / 8u % 2}));
        break;
      case 1:
        endpoint_.RemoveLink(Ours(which));
        break;
      case 2:
        if (auto id = endpoint_.Resolve(now_, Name()); id.ok()) {
          KYUU_CHECK(asked_.insert(*id).second);
        }
        break;
      case 3:
        if (!asked_.empty()) {
          Drain();  // What is answered already cannot be cancelled.
          if (asked_.empty()) break;
          endpoint_.Cancel(*asked_.begin());
          asked_.erase(asked_.begin());
        }
        break;
      case 4:
        CheckRefusal(endpoint_.Publish(Name(), Ours(which), kind / 8u % 2));
        break;
      case 5:
        endpoint_.Withdraw(now_, Name());
        break;
      case 6:
        now_ += absl::Milliseconds(script_.U16());
        endpoint_.HandleTimeout(now_);
        break;
      default: {
        const uint16_t port = kind & 8 ? kPort : 40000;
        const TransportAddress local{Ours(which), kPort};
        endpoint_.HandlePacket(now_, {{local, {Ours(which ^ 2), port}},
                                      script_.Bytes(std::min<size_t>(
                                          script_.U8(), script_.remaining()))});
      }
    }
  }

  void Drain() {
    std::array<uint8_t, 600> out;
    size_t sent = 0;
    while (auto datagram = endpoint_.PollTransmit(now_, absl::MakeSpan(out))) {
      KYUU_CHECK(Parse(datagram->bytes).ok());
      KYUU_CHECK(datagram->path.local.port == kPort);
      KYUU_CHECK(++sent <= 1024);
    }
    while (auto event = endpoint_.PollEvent()) {
      KYUU_CHECK(asked_.erase(std::get<Resolved>(*event).id) == 1);
    }
  }

  Reader script_;
  Endpoint endpoint_;
  absl::Time now_ = absl::FromUnixSeconds(1000);
  std::set<QueryId> asked_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Run(absl::MakeConstSpan(data, size)).ToItsEnd();
  return 0;
}

// A client that posts, over streams that break, to a server that answers as the
// input says, or as it should: what is said arrives once and in order, the end
// comes once and last, and bounds hold.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/random.h"
#include "signaling/events/poster.h"
#include "signaling/events/posts.h"

namespace {

using namespace kyuu::signaling;  // NOLINT: of this program alone.

class Play {
 public:
  explicit Play(absl::Span<const uint8_t> input)
      : in_(input), poster_(Options(posts_.Open(ConnectionId{1}))) {}

  void Run() {
    while (!in_.empty()) {
      Step(in_.U8());
      Poll();
    }
  }

 private:
  static PosterOptions Options(std::string name) {
    PosterOptions options;
    options.url.host = "a";
    options.stream = std::move(name);
    options.max_post_bytes = 20;
    options.max_queued_bytes = 1000;
    return options;
  }

  void Step(uint8_t what) {
    switch (what % 9) {
      case 0:
        if (poster_.Post(now_, absl::StrCat(said_ + 1)).ok()) ++said_;
        break;
      case 1:
        return poster_.HandleConnected(now_);
      case 2:
        return poster_.HandleStreamEnd(now_, absl::OkStatus());
      case 3:
        now_ = std::min(now_ + absl::Seconds(20), poster_.NextTimeout());
        return poster_.HandleTimeout(now_);
      case 4:
        return poster_.ShowLife(now_);
      case 5:
        return poster_.Close(now_, 1000);
      case 6:
        return Serve(true);
      case 7:
        return Serve(false);
      default:
        return poster_.HandlePacket(
            now_, in_.Bytes(std::min<size_t>(in_.U8(), in_.remaining())));
    }
  }

  // The server takes what has come; its answer may be lost.
  void Serve(bool answers) {
    std::array<uint8_t, 50> out;
    HttpRequestParser parser;
    while (auto piece = poster_.PollTransmit(now_, absl::MakeSpan(out))) {
      // Of a request that was begun before, the rest is none.
      if (!parser.Feed(*piece).ok()) return;
    }
    const auto request = parser.Take();
    if (!request) return;
    auto taken = posts_.Take(*request);
    auto* posted = std::get_if<Posted>(&taken);
    KYUU_CHECK(posted != nullptr);
    for (const std::string& message : posted->messages) {
      KYUU_CHECK(message == absl::StrCat(++heard_));
    }
    KYUU_CHECK(heard_ <= said_);
    if (!answers) return;
    poster_.HandlePacket(now_,
                         kyuu::AsBytes("HTTP/1.1 204 No Content\r\n\r\n"));
  }

  void Poll() {
    while (const auto event = poster_.PollEvent()) {
      KYUU_CHECK(!over_);
      over_ = std::holds_alternative<PosterClosed>(*event);
    }
    KYUU_CHECK(!over_ || poster_.finished());
    KYUU_CHECK(!over_ || poster_.NextTimeout() == absl::InfiniteFuture());
  }

  kyuu::Reader in_;
  kyuu::SeededRandom random_{1};
  Posts posts_{random_};
  Poster poster_;
  absl::Time now_ = absl::UnixEpoch();
  uint64_t said_ = 0;
  uint64_t heard_ = 0;
  bool over_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Play(absl::MakeConstSpan(data, size)).Run();
  return 0;
}

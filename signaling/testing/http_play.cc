#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/random.h"
#include "signaling/client_connection.h"
#include "signaling/server_connection.h"
#include "signaling/testing/plays.h"

namespace kyuu::signaling {
namespace {

enum class Upgrade { kAccept, kRefuse };

// What a server answers to `bytes` that arrive in pieces of `step`.
std::string Answers(absl::Span<const uint8_t> bytes, size_t step,
                    Upgrade upgrade) {
  SeededRandom random(1);
  const absl::Time now = absl::FromUnixSeconds(1000);
  const ServerConnectionOptions options;
  ServerConnection connection(options, random, now);
  std::string all;
  std::array<uint8_t, 512> out;
  while (!bytes.empty()) {
    const size_t size = std::min(step, bytes.size());
    connection.HandlePacket(now, bytes.first(size));
    bytes.remove_prefix(size);
    while (auto event = connection.PollEvent()) {
      if (const auto* r = std::get_if<HttpRequestReceived>(&*event)) {
        KYUU_CHECK(absl::StartsWith(r->request.path, "/"));
        KYUU_CHECK(!absl::StrContains(r->request.path, "/../"));
        KYUU_CHECK(connection.Respond(now, {}).ok());
      } else if (std::holds_alternative<UpgradeRequested>(*event)) {
        KYUU_CHECK((upgrade == Upgrade::kAccept
                        ? connection.AcceptUpgrade(now, "")
                        : connection.Respond(now, {}))
                       .ok());
      }
    }
    while (auto p = connection.PollTransmit(now, absl::MakeSpan(out))) {
      absl::StrAppend(&all, AsText(*p));
    }
  }
  return all;
}

}  // namespace

void PlayHttp(absl::Span<const uint8_t> input) {
  const auto bytes = input.first(std::min<size_t>(input.size(), 65536));
  // Behind an upgrade cutting may matter: of two pings read at once only the
  // latter is answered.
  (void)Answers(bytes, 100, Upgrade::kAccept);
  KYUU_CHECK(Answers(bytes, bytes.size() + 1, Upgrade::kRefuse) ==
             Answers(bytes, 7, Upgrade::kRefuse));
  HttpResponseParser parser;
  if (parser.Feed(bytes).ok() && parser.Take().has_value()) {
    KYUU_CHECK(!parser.Take().has_value());
  }
  (void)WebSocketUrl::Parse(AsText(bytes));
}

}  // namespace kyuu::signaling

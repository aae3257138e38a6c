// What an authorizer answers, by a line or by HTTP, cut anywhere: the cuts
// change nothing, one answer and then the end comes of it, and what is held is
// bounded.

#include <algorithm>
#include <cstdint>
#include <string>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "tools/kyuud/authorizer_exchange.h"

namespace {

using kyuu::tools::AuthorizerAddress;
using kyuu::tools::AuthorizerExchange;

std::string Hear(const AuthorizerAddress& address,
                 absl::Span<const uint8_t> stream, size_t step) {
  const absl::Time now = absl::UnixEpoch();
  AuthorizerExchange exchange(address, {"ann", "r", {}},
                              absl::InfiniteFuture());
  for (; !stream.empty(); stream.remove_prefix(std::min(step, stream.size()))) {
    exchange.HandlePacket(now, stream.first(std::min(step, stream.size())));
    KYUU_CHECK(exchange.held_bytes() <= 17'000);
  }
  exchange.HandleStreamEnd(now, absl::OkStatus());
  const auto event = exchange.PollEvent();
  const auto& answer = std::get<AuthorizerExchange::Answered>(*event).answer;
  KYUU_CHECK(exchange.PollEvent().has_value() && exchange.finished());
  KYUU_CHECK(!exchange.PollEvent().has_value());
  return absl::StrCat(static_cast<int>(answer.verdict), answer.password, "|",
                      answer.key);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto address = *AuthorizerAddress::Parse(
      data[0] % 2 != 0 ? "http://127.0.0.1:1/" : "unix:/a");
  const auto stream = absl::MakeConstSpan(data, size).subspan(1);
  KYUU_CHECK(Hear(address, stream, size) ==
             Hear(address, stream, data[0] / 2 + 1));
  return 0;
}

// The cookie exchange before any state: what is read of a ClientHello lies in
// it, and the answer is shorter.

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/check.h"
#include "dtls/internal/client_hello.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace internal = kyuu::dtls::internal;
  const auto datagram = absl::MakeConstSpan(data, size);
  const auto hello = internal::ReadClientHello(datagram);
  if (!hello) return 0;
  KYUU_CHECK(hello->cookie.empty() ||
             (hello->cookie.begin() > datagram.begin() &&
              hello->cookie.end() <= datagram.end()));
  const auto name = kyuu::AsBytes(hello->server_name);
  KYUU_CHECK(name.size() <= 255);
  KYUU_CHECK(name.empty() || (name.begin() > hello->cookie.end() &&
                              name.end() <= datagram.end()));
  std::array<uint8_t, 300> out;
  const std::array<uint8_t, 32> cookie{};
  const auto answer =
      internal::WriteHelloVerify(*hello, cookie, absl::MakeSpan(out));
  KYUU_CHECK(answer.size() == internal::kHelloVerifyOverhead + cookie.size());
  KYUU_CHECK(!internal::ReadClientHello(answer));
  return 0;
}

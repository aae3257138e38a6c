// X-Forwarded-For as proxies and strangers write it: whoever is told is an
// address, a stranger is never believed, and nobody is told who is a proxy
// while somebody else stands behind it.

#include <cstddef>
#include <cstdint>

#include "absl/strings/str_split.h"
#include "base/check.h"
#include "tools/kyuud/client_address/client_address.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using kyuu::IpAddress;
  using kyuu::tools::ClientOf;
  using kyuu::tools::ForwardedFor;
  kyuu::signaling::HttpRequest request;
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  if (!text.empty()) {
    for (const absl::string_view field : absl::StrSplit(text, '\n')) {
      request.headers.Add("X-Forwarded-For", field);
    }
  }
  const IpAddress proxy = IpAddress::V4(10, 0, 0, 1);
  const IpAddress stranger = IpAddress::V4(192, 0, 2, 1);
  const kyuu::IpPrefix proxies[] = {{IpAddress::V4(10, 0, 0, 0), 8}};
  const auto ignored = ClientOf(request, stranger, proxies);
  KYUU_CHECK(ignored.ip == stranger);
  KYUU_CHECK(ignored.forwarded_for != ForwardedFor::kUsed);
  const auto told = ClientOf(request, proxy, proxies);
  if (told.forwarded_for == ForwardedFor::kUsed) {
    KYUU_CHECK(told.ip.family() != kyuu::IpFamily::kUnspecified);
  } else {
    KYUU_CHECK(told.ip == proxy);
  }
  return 0;
}

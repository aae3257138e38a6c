#include "tools/kyuud/healthcheck/healthcheck.h"

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "net/loop.h"
#include "net/stream.h"
#include "tools/http_probe/http_probe.h"

namespace kyuu::tools {
namespace {

// The status line, and what comes after it in no more.
constexpr size_t kAnswerBytes = 1024;

// UNAVAILABLE once the stream has ended; OK with enough of the answer.
absl::Status Receive(net::Stream& stream, absl::Time deadline,
                     std::string& answer) {
  while (!absl::StrContains(answer, "\r\n")) {
    if (answer.size() > kAnswerBytes) {
      return absl::UnavailableError("it does not speak HTTP");
    }
    KYUU_ASSIGN_OR_RETURN(const ReadOutcome outcome,
                          ReadMore(stream, deadline, answer));
    if (outcome == ReadOutcome::kEnd) {
      return absl::UnavailableError("it has gone without an answer");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckHealth(const Config& config, absl::Duration timeout) {
  if (config.http_listen.empty() || config.http_listen.front().port == 0) {
    return absl::FailedPreconditionError(
        "no port is told by --http-listen at which it could be asked");
  }
  TransportAddress address = config.http_listen.front();
  if (address.ip.IsAny()) {
    address.ip = address.ip.is_v4() ? IpAddress::V4(127, 0, 0, 1)
                                    : IpAddress::Parse("::1").value();
  }
  const absl::Time deadline = net::Loop::Now() + timeout;
  KYUU_ASSIGN_OR_RETURN(
      net::Stream stream,
      OpenStream(address,
                 config.tls_certificates.empty() ? "" : address.ip.ToString()));
  const std::string request =
      absl::StrCat("GET /healthz HTTP/1.1\r\nHost: ", address.ToString(),
                   "\r\nConnection: close\r\n\r\n");
  KYUU_RETURN_IF_ERROR(stream.Write(absl::MakeConstSpan(
      reinterpret_cast<const uint8_t*>(request.data()), request.size())));
  std::string answer;
  KYUU_RETURN_IF_ERROR(Receive(stream, deadline, answer));
  if (absl::StartsWith(answer, "HTTP/1.1 200 ")) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("it answers ", answer.substr(0, answer.find('\r'))));
}

}  // namespace kyuu::tools

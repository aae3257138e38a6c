#include "tools/kyuud/healthcheck/healthcheck.h"

#include <poll.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/tcp.h"
#include "net/tls.h"

namespace kyuu::tools {
namespace {

// The status line, and what comes after it in no more.
constexpr size_t kAnswerBytes = 1024;

absl::StatusOr<net::Stream> Connect(const Config& config,
                                    const TransportAddress& address) {
  KYUU_ASSIGN_OR_RETURN(net::TcpStream tcp, net::TcpStream::Connect(address));
  if (config.tls_certificates.empty()) return net::Stream(std::move(tcp));
  KYUU_ASSIGN_OR_RETURN(
      const net::TlsContext context,
      net::TlsContext::Client({.server_name = address.ip.ToString(),
                               .alpn = {"http/1.1"},
                               .verify = false}));
  return net::Stream(net::TlsStream(context, std::move(tcp)));
}

// UNAVAILABLE once the stream has ended; OK with enough of the answer.
absl::Status Receive(net::Stream& stream, absl::Time deadline,
                     std::string& answer) {
  std::array<uint8_t, kAnswerBytes> bytes;
  while (!absl::StrContains(answer, "\r\n")) {
    if (answer.size() > kAnswerBytes) {
      return absl::UnavailableError("it does not speak HTTP");
    }
    const net::ReadResult got = stream.Read(absl::MakeSpan(bytes));
    if (got.state == net::ReadState::kFailed) return stream.status();
    if (got.state == net::ReadState::kEnd) {
      return absl::UnavailableError("it has gone without an answer");
    }
    answer.append(bytes.begin(),
                  bytes.begin() + static_cast<std::ptrdiff_t>(got.bytes));
    if (got.state == net::ReadState::kData) continue;
    stream.Flush();
    const absl::Duration left = deadline - net::Loop::Now();
    if (left <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError("it does not answer in time");
    }
    const bool writes = stream.interest() == net::Interest::kReadWrite ||
                        stream.interest() == net::Interest::kWrite;
    pollfd ready{stream.fd(),
                 static_cast<short>(writes ? POLLIN | POLLOUT : POLLIN), 0};
    // Whatever it says, the next turn looks at the stream and at the clock.
    (void)poll(&ready, 1,
               static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
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
  KYUU_ASSIGN_OR_RETURN(net::Stream stream, Connect(config, address));
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

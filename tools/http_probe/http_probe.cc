#include "tools/http_probe/http_probe.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "net/loop.h"
#include "net/tcp.h"
#include "net/tls.h"

namespace kyuu::tools {
namespace {

absl::Span<const uint8_t> BytesOf(absl::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// What `text`, a body in chunks (RFC 9112 section 7.1) that may be cut off
// anywhere, is without them.
std::string Unchunked(absl::string_view text) {
  std::string body;
  while (true) {
    const size_t line = text.find("\r\n");
    if (line == absl::string_view::npos) return body;
    const absl::string_view digits = text.substr(0, text.find_first_of(";\r"));
    uint32_t size = 0;
    if (!absl::SimpleHexAtoi(digits, &size) || size == 0) return body;
    text.remove_prefix(line + 2);
    absl::StrAppend(&body, text.substr(0, size));
    if (text.size() < size + size_t{2}) return body;
    text.remove_prefix(size + size_t{2});
  }
}

// How many bytes the body has, if the header says so.
std::optional<size_t> LengthOf(const signaling::HttpResponse& response) {
  if (response.status < 200 || response.status == 204 ||
      response.status == 304) {
    return 0;
  }
  uint64_t length = 0;
  const auto text = response.headers.Find("Content-Length");
  if (!text || !absl::SimpleAtoi(*text, &length)) return std::nullopt;
  return static_cast<size_t>(length);
}

// Reads up to the end of the header; the parser has taken that much of `text`,
// which is what came behind it.
absl::StatusOr<signaling::HttpResponse> ReadHeader(net::Stream& stream,
                                                   absl::Time deadline,
                                                   std::string& text) {
  signaling::HttpResponseParser parser;
  while (true) {
    KYUU_ASSIGN_OR_RETURN(const ReadOutcome outcome,
                          ReadMore(stream, deadline, text));
    if (outcome == ReadOutcome::kEnd) {
      return absl::UnavailableError("it has gone without an answer");
    }
    while (!text.empty()) {
      KYUU_ASSIGN_OR_RETURN(const size_t taken, parser.Feed(BytesOf(text)));
      text.erase(0, taken);
      if (auto response = parser.Take()) {
        // Early hints and the like come before the answer.
        if (response->status >= 200 || response->status == 101) {
          return *std::move(response);
        }
        parser = signaling::HttpResponseParser();
      } else if (taken == 0) {
        break;
      }
    }
  }
}

}  // namespace

absl::StatusOr<net::Stream> OpenStream(const TransportAddress& address,
                                       const std::string& tls_name) {
  KYUU_ASSIGN_OR_RETURN(net::TcpStream tcp, net::TcpStream::Connect(address));
  if (tls_name.empty()) return net::Stream(std::move(tcp));
  KYUU_ASSIGN_OR_RETURN(
      const net::TlsContext context,
      net::TlsContext::Client(
          {.server_name = tls_name, .alpn = {"http/1.1"}, .verify = false}));
  return net::Stream(net::TlsStream(context, std::move(tcp)));
}

absl::StatusOr<ReadOutcome> ReadMore(net::Stream& stream, absl::Time deadline,
                                     std::string& text) {
  std::array<uint8_t, 4096> bytes;
  while (true) {
    const net::ReadResult got = stream.Read(absl::MakeSpan(bytes));
    if (got.state == net::ReadState::kFailed) return stream.status();
    if (got.state == net::ReadState::kEnd) return ReadOutcome::kEnd;
    const absl::Duration left = deadline - net::Loop::Now();
    if (left <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError("it does not answer in time");
    }
    if (got.state == net::ReadState::kData) {
      text.append(bytes.begin(),
                  bytes.begin() + static_cast<std::ptrdiff_t>(got.bytes));
      return ReadOutcome::kData;
    }
    stream.Flush();
    const bool writes = stream.interest() == net::Interest::kReadWrite ||
                        stream.interest() == net::Interest::kWrite;
    pollfd ready{stream.fd(),
                 static_cast<short>(writes ? POLLIN | POLLOUT : POLLIN), 0};
    // Whatever it says, the next turn looks at the stream and at the clock.
    (void)poll(&ready, 1,
               static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
  }
}

absl::StatusOr<signaling::HttpResponse> AskHttp(const HttpQuestion& question) {
  const absl::Time deadline = net::Loop::Now() + question.patience;
  signaling::HttpHeaders headers = question.headers;
  if (headers.Count("Connection") == 0) headers.Add("Connection", "close");
  KYUU_ASSIGN_OR_RETURN(
      const std::string request,
      signaling::WriteRequest("GET", question.target, headers));
  KYUU_ASSIGN_OR_RETURN(net::Stream stream,
                        OpenStream(question.server, question.tls_name));
  KYUU_RETURN_IF_ERROR(stream.Write(BytesOf(request)));
  std::string rest;
  KYUU_ASSIGN_OR_RETURN(signaling::HttpResponse response,
                        ReadHeader(stream, deadline, rest));
  const bool chunked =
      response.headers.HasToken("Transfer-Encoding", "chunked");
  const size_t wanted =
      std::min(LengthOf(response).value_or(question.body_bytes_max),
               question.body_bytes_max);
  while (rest.size() < wanted) {
    const absl::StatusOr<ReadOutcome> more = ReadMore(stream, deadline, rest);
    // The header is the answer; a body that is cut off is as long as it is.
    if (!more.ok() || *more == ReadOutcome::kEnd) break;
    if (chunked && rest.find("\r\n0\r\n") != std::string::npos) break;
  }
  response.body = chunked ? Unchunked(rest) : rest.substr(0, wanted);
  return response;
}

}  // namespace kyuu::tools

// The registry's boost modules ask for a separately compiled Beast and Asio.
// This is the only file that includes them, so header-only is less work.
#undef BOOST_ASIO_SEPARATE_COMPILATION
#undef BOOST_BEAST_SEPARATE_COMPILATION

#include "signaling/internal/http_header.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "boost/asio/buffer.hpp"
#include "boost/beast/http/empty_body.hpp"
#include "boost/beast/http/parser.hpp"

namespace kyuu::signaling::internal {
namespace {

namespace beast = boost::beast;

std::string ToString(beast::string_view text) {
  return std::string(text.data(), text.size());
}

absl::Status Malformed(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("HTTP: ", what));
}

// Beast is lenient in two places where a proxy in front may read something
// else: a folded line (RFC 9112 section 5.2), and a bare CR or NUL.
absl::Status CheckBytes(absl::string_view header) {
  for (size_t i = 0; i < header.size(); ++i) {
    const char c = header[i];
    if (c == '\0') return Malformed("NUL in the header");
    if (c == '\r' && (i + 1 == header.size() || header[i + 1] != '\n')) {
      return Malformed("bare CR");
    }
    if (c != '\n') continue;
    if (i == 0 || header[i - 1] != '\r') return Malformed("bare LF");
    if (i + 1 < header.size() &&
        (header[i + 1] == ' ' || header[i + 1] == '\t')) {
      return Malformed("folded line");
    }
  }
  return absl::OkStatus();
}

template <bool kIsRequest>
absl::Status Parse(
    absl::string_view header, size_t max_body_bytes,
    beast::http::parser<kIsRequest, beast::http::empty_body>& parser) {
  KYUU_RETURN_IF_ERROR(CheckBytes(header));
  parser.header_limit(static_cast<uint32_t>(header.size() + 1));
  parser.body_limit(max_body_bytes);
  beast::error_code error;
  const size_t taken =
      parser.put(boost::asio::buffer(header.data(), header.size()), error);
  if (error == beast::http::error::body_limit) {
    return absl::OutOfRangeError(
        absl::StrCat("body above ", max_body_bytes, " bytes"));
  }
  if (error) return Malformed(error.message());
  if (!parser.is_header_done() || taken != header.size()) {
    return Malformed("incomplete header");
  }
  const unsigned version = parser.get().version();
  if (version != 10 && version != 11) return Malformed("not HTTP/1.x");
  return absl::OkStatus();
}

template <typename Message>
HttpHeaders Headers(const Message& message) {
  HttpHeaders headers;
  headers.Reserve(
      static_cast<size_t>(std::distance(message.begin(), message.end())));
  for (const auto& field : message) {
    headers.Add(ToString(field.name_string()), ToString(field.value()));
  }
  return headers;
}

// Splits the target, decodes the path and resolves its dots (RFC 3986 section
// 5.2.4); the path never leaves "/". A target in absolute form names the host
// and wins over the Host header (RFC 9112 section 3.2.2).
bool SplitTarget(HttpRequest& request) {
  absl::string_view target = request.target;
  request.host = std::string(request.headers.Find("Host").value_or(""));
  const size_t scheme = target.find("://");
  if (absl::StartsWithIgnoreCase(target, "http://") ||
      absl::StartsWithIgnoreCase(target, "https://")) {
    target.remove_prefix(scheme + 3);
    const size_t authority =
        std::min(target.find_first_of("/?"), target.size());
    request.host = std::string(target.substr(0, authority));
    // User names in a request are a trick (RFC 9110 section 4.2.4).
    if (request.host.empty() || request.host.find('@') != std::string::npos) {
      return false;
    }
    target.remove_prefix(authority);
    if (target.empty()) target = "/";
  }
  if (absl::StartsWith(target, "?")) {
    request.query = std::string(target.substr(1));
    request.path = "/";
    return true;
  }
  if (!absl::StartsWith(target, "/")) return false;
  const size_t question = target.find('?');
  if (question != absl::string_view::npos) {
    request.query = std::string(target.substr(question + 1));
  }
  const std::optional<std::string> decoded =
      PercentDecode(target.substr(0, question));
  if (!decoded.has_value()) return false;
  std::vector<absl::string_view> kept;
  const std::vector<absl::string_view> segments =
      absl::StrSplit(absl::string_view(*decoded).substr(1), '/');
  for (size_t i = 0; i < segments.size(); ++i) {
    const bool last = i + 1 == segments.size();
    if (segments[i] == "..") {
      if (!kept.empty()) kept.pop_back();
    } else if (segments[i] != ".") {
      kept.push_back(segments[i]);
      continue;
    }
    // "/a/." and "/a/.." name a directory.
    if (last) kept.push_back("");
  }
  request.path = absl::StrCat("/", absl::StrJoin(kept, "/"));
  return true;
}

}  // namespace

absl::StatusOr<ParsedRequest> ParseRequestHeader(absl::string_view header,
                                                 size_t max_body_bytes) {
  beast::http::request_parser<beast::http::empty_body> parser;
  KYUU_RETURN_IF_ERROR(Parse(header, max_body_bytes, parser));
  ParsedRequest result;
  HttpRequest& request = result.request;
  request.method = ToString(parser.get().method_string());
  request.target = ToString(parser.get().target());
  request.headers = Headers(parser.get());
  request.keep_alive = parser.get().keep_alive();
  request.minor_version = parser.get().version() == 10 ? 0 : 1;
  // RFC 9112 section 6.3: whoever reads the length in another way than a proxy
  // in front lets requests be smuggled, so nothing ambiguous passes.
  const size_t lengths = request.headers.Count("Content-Length");
  if (request.headers.Count("Transfer-Encoding") > 0) {
    if (lengths > 0) return Malformed("two body lengths");
    return absl::UnimplementedError("HTTP: transfer coding");
  }
  // "3, 3" in one line is two lengths as well: whoever refuses the one and
  // takes the other is at odds with himself.
  if (lengths > 1 ||
      absl::StrContains(request.headers.Find("Content-Length").value_or(""),
                        ',')) {
    return Malformed("two body lengths");
  }
  result.body_bytes = static_cast<size_t>(parser.content_length().value_or(0));
  // RFC 9112 section 3.2.
  const size_t hosts = request.headers.Count("Host");
  if (hosts > 1 || (hosts == 0 && parser.get().version() == 11)) {
    return Malformed("exactly one Host is required");
  }
  if (!SplitTarget(request)) return Malformed("target");
  return result;
}

absl::StatusOr<HttpResponse> ParseResponseHeader(absl::string_view header) {
  beast::http::response_parser<beast::http::empty_body> parser;
  // The body is never read, so its length does not matter.
  KYUU_RETURN_IF_ERROR(Parse(header, size_t{1} << 40, parser));
  HttpResponse response;
  response.status = static_cast<int>(parser.get().result_int());
  response.reason = ToString(parser.get().reason());
  response.headers = Headers(parser.get());
  return response;
}

}  // namespace kyuu::signaling::internal

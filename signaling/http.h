// HTTP/1.1 (RFC 9110, RFC 9112) as far as kyuu needs it: parsing requests for
// static files and for the upgrade to WebSocket, and the client's side of that
// upgrade. Values and parsers only; server_connection.h has the engine.

#ifndef KYUU_SIGNALING_HTTP_H_
#define KYUU_SIGNALING_HTTP_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace kyuu::signaling {

struct HttpHeader {
  std::string name;  // As sent; compared without regard to case.
  std::string value;
};

// HttpHeaders are the header fields of one message, in their order.
class HttpHeaders {
 public:
  void Add(absl::string_view name, absl::string_view value);
  // So many fields will be added.
  void Reserve(size_t fields) { fields_.reserve(fields); }
  // The value of the first field of that name; nullopt if there is none. The
  // view lives as long as this object is unchanged.
  std::optional<absl::string_view> Find(absl::string_view name) const;
  size_t Count(absl::string_view name) const;
  // True if some field of that name lists `token`, case-insensitively, among
  // its comma-separated elements (RFC 9110 section 5.6.1).
  bool HasToken(absl::string_view name, absl::string_view token) const;
  const std::vector<HttpHeader>& fields() const { return fields_; }

 private:
  std::vector<HttpHeader> fields_;
};

struct HttpRequest {
  std::string method;  // "GET"; case-sensitive.
  std::string target;  // As sent: "/a%20b?x=1".
  // Whom the client means: the authority of a target in absolute form (which
  // wins, RFC 9112 section 3.2.2), else the Host header; "" if there is none.
  std::string host;
  // The target's path, percent-decoded, "." and ".." removed: never leaves "/".
  std::string path;
  std::string query;  // Without the '?', not decoded.
  HttpHeaders headers;
  std::string body;
  bool keep_alive = false;  // RFC 9112 section 9.3.
  int minor_version = 1;    // HTTP/1.0 or HTTP/1.1.

  // The decoded value of the first `name=value` in the query; nullopt if there
  // is none.
  std::optional<std::string> QueryParameter(absl::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string reason;  // Empty: the registered phrase.
  HttpHeaders headers;
  std::string body;
};

struct HttpLimits {
  // Request line and header fields together.
  size_t max_header_bytes = 16 * 1024;
  // Of a POST of messages (events/posts.h): the longest one fits. Nothing else
  // has a body; one is allowed so that a wrong POST is told so rather than cut.
  size_t max_body_bytes = 64 * 1024;
};

// HttpRequestParser takes a byte stream apart into requests.
//
//   while (!bytes.empty()) {
//     auto consumed = parser.Feed(bytes);      // Not OK: answer and close.
//     bytes.remove_prefix(*consumed);
//     if (auto request = parser.Take()) ...    // Stops after each request.
//   }
class HttpRequestParser {
 public:
  explicit HttpRequestParser(HttpLimits limits = {}) : limits_(limits) {}

  // Feed parses up to the end of the current request and returns how many
  // bytes it took; it takes none while a complete request waits for Take().
  // A request that is malformed, ambiguous (Content-Length together with
  // Transfer-Encoding, or two of one, even if they agree; RFC 9112 section
  // 6.3), not HTTP/1.x, without exactly one Host (HTTP/1.1), or a target in
  // another form than "/path" or "http://host/path" gives INVALID_ARGUMENT, one
  // beyond the limits OUT_OF_RANGE; the parser is then of no more use. What can
  // no longer become a request is told at the byte that shows it: TLS at its
  // first, a bare LF at once. A Transfer-Encoding, which nothing here
  // needs, gives UNIMPLEMENTED. HttpStatusFor() tells what to answer.
  absl::StatusOr<size_t> Feed(absl::Span<const uint8_t> bytes);
  // The complete request, if there is one. One that says "Expect: 100-continue"
  // is complete without its body, as nothing here needs one (RFC 9110 section
  // 10.1.1: the final answer may come at once), and is the last one.
  std::optional<HttpRequest> Take();
  // True if some bytes of a request have been taken and it is not complete.
  bool in_request() const;
  // What of the request is held here.
  size_t held_bytes() const {
    return header_.size() + (request_.has_value() ? request_->body.size() : 0);
  }

 private:
  HttpLimits limits_;
  std::string header_;  // As far as it has arrived.
  // Once the header is complete.
  std::optional<HttpRequest> request_;
  size_t body_left_ = 0;
};

// HttpResponseParser reads the header of the one response that answers a
// client's upgrade. What follows it, a body or the new protocol, is not taken.
class HttpResponseParser {
 public:
  explicit HttpResponseParser(HttpLimits limits = {}) : limits_(limits) {}

  // As HttpRequestParser::Feed.
  absl::StatusOr<size_t> Feed(absl::Span<const uint8_t> bytes);
  std::optional<HttpResponse> Take();

 private:
  HttpLimits limits_;
  std::string header_;
  std::optional<HttpResponse> response_;
};

// The status code that answers a request on which Feed() failed: 400, 413 for
// the body limit, 431 for the header limit, 501 for a transfer coding.
int HttpStatusFor(const absl::Status& error);

// "Not Found" for 404; "Unknown" for codes kyuu never sends.
absl::string_view HttpReason(int status);

// WriteResponse returns the bytes of `response`. Content-Length is added,
// except to 1xx, 204 and 304; with kLeftOut (the answer to HEAD) the body is
// left out and its length is kept, with kEndless there is no length: the body
// goes on until the stream ends (RFC 9112 section 6.3). "Connection: close" is
// the caller's to add.
enum class HttpBody { kIncluded, kLeftOut, kEndless };
std::string WriteResponse(const HttpResponse& response,
                          HttpBody body = HttpBody::kIncluded);

// WriteRequest returns the bytes of a request without a body. The target must
// be in origin form; names and values must not contain line ends
// (INVALID_ARGUMENT, so that no caller's text can smuggle a header).
absl::StatusOr<std::string> WriteRequest(absl::string_view method,
                                         absl::string_view target,
                                         const HttpHeaders& headers);

// PercentDecode undoes %XX; nullopt if an escape is malformed or is %00.
std::optional<std::string> PercentDecode(absl::string_view text);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_HTTP_H_

#include "signaling/http.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/bytes.h"
#include "base/status_macros.h"
#include "signaling/internal/http_header.h"

namespace kyuu::signaling {

void HttpHeaders::Add(absl::string_view name, absl::string_view value) {
  fields_.push_back({std::string(name), std::string(value)});
}

std::optional<absl::string_view> HttpHeaders::Find(
    absl::string_view name) const {
  for (const HttpHeader& field : fields_) {
    if (absl::EqualsIgnoreCase(field.name, name)) return field.value;
  }
  return std::nullopt;
}

size_t HttpHeaders::Count(absl::string_view name) const {
  return static_cast<size_t>(
      std::count_if(fields_.begin(), fields_.end(), [&](const HttpHeader& f) {
        return absl::EqualsIgnoreCase(f.name, name);
      }));
}

bool HttpHeaders::HasToken(absl::string_view name,
                           absl::string_view token) const {
  for (const HttpHeader& field : fields_) {
    if (!absl::EqualsIgnoreCase(field.name, name)) continue;
    for (absl::string_view element : absl::StrSplit(field.value, ',')) {
      if (absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(element), token)) {
        return true;
      }
    }
  }
  return false;
}

std::optional<std::string> HttpRequest::QueryParameter(
    absl::string_view name) const {
  for (absl::string_view pair : absl::StrSplit(query, '&')) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(pair, absl::MaxSplits('=', 1));
    if (PercentDecode(parts.first) == name) return PercentDecode(parts.second);
  }
  return std::nullopt;
}

namespace {

constexpr absl::string_view kHeaderEnd = "\r\n\r\n";

// Appends to `header` up to its end and returns how many bytes it took; the
// header is complete if it then ends in kHeaderEnd.
absl::StatusOr<size_t> CollectHeader(absl::string_view bytes, size_t limit,
                                     std::string& header) {
  size_t skipped = 0;
  // RFC 9112 section 2.2: empty lines before a message are ignored.
  while (header.empty() && skipped < bytes.size() &&
         (bytes[skipped] == '\r' || bytes[skipped] == '\n')) {
    ++skipped;
  }
  bytes.remove_prefix(skipped);
  const size_t before = header.size();
  absl::StrAppend(&header,
                  bytes.substr(0, limit + 1 - std::min(limit + 1, before)));
  // No method and no version begins with anything but a letter.
  if (!header.empty() &&
      !absl::ascii_isalpha(static_cast<unsigned char>(header[0]))) {
    return absl::InvalidArgumentError("HTTP: this is not HTTP");
  }
  const size_t end = header.find(
      kHeaderEnd.data(), before - std::min(before, kHeaderEnd.size() - 1),
      kHeaderEnd.size());
  if (end != std::string::npos) header.resize(end + kHeaderEnd.size());
  for (size_t i = before; i < header.size(); ++i) {
    if (header[i] == '\n' && header[i - 1] != '\r') {
      return absl::InvalidArgumentError("HTTP: bare LF");
    }
  }
  if (header.size() > limit) {
    return absl::OutOfRangeError(
        absl::StrCat("header above ", limit, " bytes"));
  }
  return skipped + header.size() - before;
}

}  // namespace

absl::StatusOr<size_t> HttpRequestParser::Feed(
    absl::Span<const uint8_t> bytes) {
  size_t taken = 0;
  if (!request_.has_value()) {
    KYUU_ASSIGN_OR_RETURN(
        taken, CollectHeader(AsText(bytes), limits_.max_header_bytes, header_));
    if (!absl::EndsWith(header_, kHeaderEnd)) return taken;
    KYUU_ASSIGN_OR_RETURN(
        internal::ParsedRequest parsed,
        internal::ParseRequestHeader(header_, limits_.max_body_bytes));
    request_ = std::move(parsed.request);
    body_left_ = parsed.body_bytes;
    if (body_left_ > 0 && request_->minor_version > 0 &&
        request_->headers.HasToken("Expect", "100-continue")) {
      body_left_ = 0;
      request_->keep_alive = false;
    }
    header_.clear();
    bytes.remove_prefix(taken);
  }
  const size_t size = std::min(body_left_, bytes.size());
  absl::StrAppend(&request_->body, AsText(bytes.first(size)));
  body_left_ -= size;
  return taken + size;
}

std::optional<HttpRequest> HttpRequestParser::Take() {
  if (!request_.has_value() || body_left_ > 0) return std::nullopt;
  return std::exchange(request_, std::nullopt);
}

bool HttpRequestParser::in_request() const {
  return !header_.empty() || body_left_ > 0;
}

absl::StatusOr<size_t> HttpResponseParser::Feed(
    absl::Span<const uint8_t> bytes) {
  if (response_.has_value()) return 0;
  KYUU_ASSIGN_OR_RETURN(
      const size_t taken,
      CollectHeader(AsText(bytes), limits_.max_header_bytes, header_));
  if (absl::EndsWith(header_, kHeaderEnd)) {
    KYUU_ASSIGN_OR_RETURN(response_, internal::ParseResponseHeader(header_));
    header_.clear();
  }
  return taken;
}

std::optional<HttpResponse> HttpResponseParser::Take() {
  return std::exchange(response_, std::nullopt);
}

int HttpStatusFor(const absl::Status& error) {
  if (error.code() == absl::StatusCode::kUnimplemented) return 501;
  if (error.code() != absl::StatusCode::kOutOfRange) return 400;
  return absl::StrContains(error.message(), "body") ? 413 : 431;
}

absl::string_view HttpReason(int status) {
  switch (status) {
    case 101:
      return "Switching Protocols";
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 413:
      return "Content Too Large";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 426:
      return "Upgrade Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    default:
      return "Unknown";
  }
}

std::string WriteResponse(const HttpResponse& response, HttpBody body) {
  std::string out = absl::StrCat(
      "HTTP/1.1 ", response.status, " ",
      response.reason.empty() ? HttpReason(response.status) : response.reason,
      "\r\n");
  for (const HttpHeader& field : response.headers.fields()) {
    absl::StrAppend(&out, field.name, ": ", field.value, "\r\n");
  }
  // RFC 9110 section 8.6: no Content-Length in 1xx and 204, and in 304 only
  // that of the answer it stands for.
  if (body != HttpBody::kEndless && response.status >= 200 &&
      response.status != 204 && response.status != 304) {
    absl::StrAppend(&out, "Content-Length: ", response.body.size(), "\r\n");
  }
  out += "\r\n";
  if (body != HttpBody::kLeftOut) out += response.body;
  return out;
}

absl::StatusOr<std::string> WriteRequest(absl::string_view method,
                                         absl::string_view target,
                                         const HttpHeaders& headers) {
  const auto is_graph = [](unsigned char c) { return c > 0x20 && c < 0x7f; };
  if (method.empty() || !absl::StartsWith(target, "/") ||
      !std::all_of(method.begin(), method.end(), is_graph) ||
      !std::all_of(target.begin(), target.end(), is_graph)) {
    return absl::InvalidArgumentError("malformed method or target");
  }
  std::string out = absl::StrCat(method, " ", target, " HTTP/1.1\r\n");
  for (const HttpHeader& field : headers.fields()) {
    if (field.name.empty() ||
        field.name.find_first_of("\r\n: ") != std::string::npos ||
        field.value.find_first_of(absl::string_view("\r\n\0", 3).data(), 0,
                                  3) != std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("malformed header ", field.name));
    }
    absl::StrAppend(&out, field.name, ": ", field.value, "\r\n");
  }
  out += "\r\n";
  return out;
}

std::optional<std::string> PercentDecode(absl::string_view text) {
  const auto hex = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
  };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const int high = hex(text[i + 1]);
    const int low = hex(text[i + 2]);
    if (high < 0 || low < 0 || (high == 0 && low == 0)) return std::nullopt;
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return out;
}

}  // namespace kyuu::signaling

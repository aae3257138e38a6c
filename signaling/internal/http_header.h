// The grammar of HTTP/1.1 headers, on Boost.Beast's parser, which only
// http_header.cc includes.

#ifndef KYUU_SIGNALING_INTERNAL_HTTP_HEADER_H_
#define KYUU_SIGNALING_INTERNAL_HTTP_HEADER_H_

#include <cstddef>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "signaling/http.h"

namespace kyuu::signaling::internal {

struct ParsedRequest {
  HttpRequest request;  // Without its body.
  size_t body_bytes = 0;
};

// Both take a whole header, the empty line included. Errors are those of
// HttpRequestParser::Feed.
absl::StatusOr<ParsedRequest> ParseRequestHeader(absl::string_view header,
                                                 size_t max_body_bytes);
absl::StatusOr<HttpResponse> ParseResponseHeader(absl::string_view header);

}  // namespace kyuu::signaling::internal

#endif  // KYUU_SIGNALING_INTERNAL_HTTP_HEADER_H_

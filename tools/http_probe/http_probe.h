// One question by HTTP/1.1, for command lines: it blocks, and no longer than it
// is told.

#ifndef KYUU_TOOLS_HTTP_PROBE_HTTP_PROBE_H_
#define KYUU_TOOLS_HTTP_PROBE_HTTP_PROBE_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "net/stream.h"
#include "signaling/http.h"

namespace kyuu::tools {

// Connects to `address`, by TLS if `tls_name` is not empty, which is asked for
// (SNI). Certificates are not looked at: this is for finding out what is there.
// The connection itself is made while reading.
absl::StatusOr<net::Stream> OpenStream(const TransportAddress& address,
                                       const std::string& tls_name);

// Whether more was read, or the stream has ended.
enum class ReadOutcome : uint8_t { kData, kEnd };

// Waits until `deadline` for bytes and appends a piece of them to `text`. The
// stream's error if it has failed; DEADLINE_EXCEEDED.
absl::StatusOr<ReadOutcome> ReadMore(net::Stream& stream, absl::Time deadline,
                                     std::string& text);

struct HttpQuestion {
  TransportAddress server;
  std::string tls_name;  // Empty: plain HTTP.
  std::string target;    // In origin form.
  // Host among them; "Connection: close" is added unless there is a Connection.
  signaling::HttpHeaders headers;
  absl::Duration patience = absl::Seconds(4);  // From connecting to the end.
  size_t body_bytes_max = 16 * 1024;           // The rest is not read.
};

// AskHttp sends a GET and returns the answer with the beginning of its body,
// taken out of its chunks if it came in some; none with 101. INVALID_ARGUMENT
// if what answers does not speak HTTP, OUT_OF_RANGE if its header has no end;
// UNAVAILABLE if it goes without an answer, or what the connection says;
// DEADLINE_EXCEEDED.
absl::StatusOr<signaling::HttpResponse> AskHttp(const HttpQuestion& question);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_HTTP_PROBE_HTTP_PROBE_H_

// The opening handshake of permessage-deflate (RFC 7692 section 7.1), as a
// server answers it.

#ifndef KYUU_SIGNALING_DEFLATE_OFFER_H_
#define KYUU_SIGNALING_DEFLATE_OFFER_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace kyuu::signaling {

// What a server grants. Neither side takes over a context: each message is
// compressed by itself, whatever was offered (sections 7.1.1.1 and 7.1.1.2).
struct DeflateGrant {
  // The window of what the server compresses has 2^so many bytes, 8 to 15
  // (section 7.1.2.1); unless it was offered it is 15, and not told. The
  // client's window is not limited (section 7.1.2.2): it takes us no memory.
  std::optional<int> server_max_window_bits;

  // The value of Sec-WebSocket-Extensions in the answer.
  std::string ToString() const;

  friend bool operator==(const DeflateGrant&, const DeflateGrant&) = default;
};

// AnswerDeflateOffers looks at what a client offers, all of its
// Sec-WebSocket-Extensions, joined by commas, and grants the first offer of
// permessage-deflate that can be granted; nullopt if there is none. An offer
// with a parameter that is not known, stands there twice or has a value that it
// may not have is passed over (section 7.1). INVALID_ARGUMENT if the text is no
// list of extensions: the handshake fails then (RFC 6455 section 9.1).
absl::StatusOr<std::optional<DeflateGrant>> AnswerDeflateOffers(
    absl::string_view offers);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_DEFLATE_OFFER_H_

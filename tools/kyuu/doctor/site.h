// Site: where people find a server.

#ifndef KYUU_TOOLS_KYUU_DOCTOR_SITE_H_
#define KYUU_TOOLS_KYUU_DOCTOR_SITE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace kyuu::tools {

struct Site {
  bool secure = false;
  std::string host;  // A name or an address, an IPv6 one without brackets.
  uint16_t port = 80;
  std::string path;  // "" or "/below", without a slash at its end.

  // The address of the page or of the WebSocket, as PageUrl::Parse takes it.
  // INVALID_ARGUMENT with what is wrong.
  static absl::StatusOr<Site> Parse(absl::string_view text);

  // "kyuu.example" or "[::1]:9000": the port only if it is not the scheme's.
  std::string Authority() const;
  std::string Origin() const;    // "https://kyuu.example"
  std::string ToString() const;  // "https://kyuu.example/below/"
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_DOCTOR_SITE_H_

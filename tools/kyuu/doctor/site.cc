#include "tools/kyuu/doctor/site.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "signaling/client_connection.h"
#include "signaling/endpoint.h"
#include "tools/kyuu/page_url.h"

namespace kyuu::tools {

absl::StatusOr<Site> Site::Parse(absl::string_view text) {
  KYUU_ASSIGN_OR_RETURN(const PageUrl page, PageUrl::Parse(text));
  KYUU_ASSIGN_OR_RETURN(const signaling::WebSocketUrl url,
                        signaling::WebSocketUrl::Parse(page.url));
  absl::string_view path = url.target;
  absl::ConsumeSuffix(&path, signaling::kSignalingPath);
  return Site{url.secure, url.host, url.port, std::string(path)};
}

std::string Site::Authority() const {
  signaling::WebSocketUrl url;
  url.secure = secure;
  url.host = host;
  url.port = port;
  return url.HostHeader();
}

std::string Site::Origin() const {
  return absl::StrCat(secure ? "https://" : "http://", Authority());
}

std::string Site::ToString() const { return absl::StrCat(Origin(), path, "/"); }

}  // namespace kyuu::tools

#include "tools/kyuud/client_address/whoami.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "tools/kyuud/routes.h"

namespace kyuu::tools {
namespace {

const char* ToText(ForwardedFor forwarded_for) {
  switch (forwarded_for) {
    case ForwardedFor::kNone:
      return "none";
    case ForwardedFor::kUsed:
      return "used";
    case ForwardedFor::kIgnored:
      return "ignored";
    case ForwardedFor::kUnreadable:
      return "unreadable";
  }
  return "";
}

}  // namespace

signaling::HttpResponse AnswerWhoami(const signaling::HttpRequest& request,
                                     const ClientAddress& client,
                                     const DialectSettings& dialects) {
  if (request.method != "GET" && request.method != "HEAD") {
    return MethodNotAllowed();
  }
  nlohmann::json answer = {{"address", client.ip.ToString()},
                           {"forwarded_for", ToText(client.forwarded_for)},
                           {"host", request.host}};
  if (const auto host = request.headers.Find("X-Forwarded-Host")) {
    answer["forwarded_host"] = std::string(*host);
  }
  if (dialects.peerjs == DialectSettings::Service::kOn) {
    answer["peerjs"] = absl::StrCat(
        dialects.peerjs_path == "/" ? "" : dialects.peerjs_path, "/peerjs");
  }
  if (dialects.ywebrtc == DialectSettings::Service::kOn) {
    answer["y_webrtc"] = dialects.ywebrtc_path;
  }
  signaling::HttpResponse response;
  response.headers.Add("Content-Type", "application/json");
  response.headers.Add("X-Content-Type-Options", "nosniff");
  response.headers.Add("Cache-Control", "no-store");
  // Bytes of headers need not be UTF-8.
  response.body = absl::StrCat(
      answer.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace),
      "\n");
  return response;
}

}  // namespace kyuu::tools

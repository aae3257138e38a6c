// How people ask others to a room of this server: six digits that stand for it,
// and a picture of its address (docs/signaling_protocol.md, "Codes").

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "nlohmann/json.hpp"
#include "tools/kyuu/qr/qr_code.h"
#include "tools/kyuud/front_door.h"
#include "tools/kyuud/front_door_guest.h"

namespace kyuu::tools {
namespace {

constexpr absl::string_view kCodesPath = "/v1/codes";
constexpr absl::string_view kPicturePath = "/v1/qr.svg";
// Of a picture: longer ones are no addresses of a room.
constexpr size_t kMaxLinkBytes = 512;
// Told with 429: when one more may be tried.
constexpr absl::string_view kRetrySeconds = "30";

signaling::HttpResponse Answer(absl::string_view type, std::string body) {
  signaling::HttpResponse response;
  response.headers.Add("Content-Type", type);
  response.headers.Add("X-Content-Type-Options", "nosniff");
  response.headers.Add("Cache-Control", "no-store");
  response.body = std::move(body);
  return response;
}

signaling::HttpResponse Json(const nlohmann::json& value) {
  return Answer("application/json", absl::StrCat(value.dump(), "\n"));
}

signaling::HttpResponse ResponseTo(const absl::Status& status) {
  if (absl::IsNotFound(status)) return TextResponse(404, status.message());
  if (absl::IsInvalidArgument(status)) {
    return TextResponse(400, status.message());
  }
  signaling::HttpResponse response = TextResponse(429, status.message());
  response.headers.Add("Retry-After", kRetrySeconds);
  return response;
}

signaling::HttpResponse Picture(const signaling::HttpRequest& request) {
  if (request.method != "GET" && request.method != "HEAD") {
    return MethodNotAllowed();
  }
  const std::string link = request.QueryParameter("link").value_or("");
  const bool is_link = (absl::StartsWith(link, "http://") ||
                        absl::StartsWith(link, "https://")) &&
                       link.size() <= kMaxLinkBytes;
  const std::optional<QrCode> code =
      is_link ? QrCode::Make(link) : std::nullopt;
  if (!code.has_value()) {
    return TextResponse(400, "No address to draw: ?link=https://...");
  }
  signaling::HttpResponse response = Answer("image/svg+xml", code->Svg());
  response.headers.Add("Content-Security-Policy", "default-src 'none'");
  response.headers.Add("Cross-Origin-Resource-Policy", "same-origin");
  return response;
}

}  // namespace

bool FrontDoor::ServesCodes(const signaling::HttpRequest& request) const {
  return options_.sockets == FrontDoorOptions::Signaling::kServed &&
         (request.path == kPicturePath || request.path == kCodesPath ||
          absl::StartsWith(request.path, absl::StrCat(kCodesPath, "/")));
}

void FrontDoor::AnswerCodes(Guest& guest,
                            const signaling::HttpRequest& request) {
  if (const auto refusal = routes_.RefuseFetch(request)) {
    return Refuse(guest, *refusal);
  }
  // Fails only without an open request, and this one is.
  (void)guest.connection.Respond(net::Loop::Now(),
                                 request.path == kPicturePath
                                     ? Picture(request)
                                     : AnswerCode(guest, request));
}

signaling::HttpResponse FrontDoor::AnswerCode(
    const Guest& guest, const signaling::HttpRequest& request) {
  if (request.method != "POST") {
    signaling::HttpResponse response = TextResponse(405, "Only POST.");
    response.headers.Add("Allow", "POST");
    return response;
  }
  const absl::Time now = net::Loop::Now();
  absl::string_view digits = request.path;
  if (absl::ConsumePrefix(&digits, absl::StrCat(kCodesPath, "/"))) {
    const auto room = codes_.Use(now, ShareOf(guest), digits);
    return room.ok() ? Json({{"room", *room}}) : ResponseTo(room.status());
  }
  const auto made = codes_.Make(now, ShareOf(guest), request.body);
  if (!made.ok()) return ResponseTo(made.status());
  return Json({{"code", made->digits},
               {"expires_s", absl::ToInt64Seconds(made->until - now)}});
}

}  // namespace kyuu::tools

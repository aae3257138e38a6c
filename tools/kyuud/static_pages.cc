#include "tools/kyuud/static_pages.h"

#include <openssl/evp.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/strings/substitute.h"
#include "tools/kyuud/routes.h"

namespace kyuu::tools {
namespace {

// The page needs its own files, its own WebSocket, and images of files that
// people send (blob:). Nothing inline but scripts ($0) of the document as it
// was made, nothing from elsewhere, no framing.
constexpr char kContentSecurityPolicy[] =
    "default-src 'none'; script-src 'self'$0; style-src 'self'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'";

// Of what browsers guard, the page itself may ask for what a call needs, and no
// frame or other site for anything (W3C Permissions Policy, section 5.1).
constexpr char kPermissionsPolicy[] =
    "camera=(self), microphone=(self), display-capture=(self), "
    "accelerometer=(), geolocation=(), gyroscope=(), hid=(), "
    "magnetometer=(), midi=(), payment=(), serial=(), usb=(), "
    "xr-spatial-tracking=()";

std::string Sha256(absl::string_view content) {
  std::array<uint8_t, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  EVP_Digest(content.data(), content.size(), digest.data(), &size, EVP_sha256(),
             nullptr);
  return std::string(reinterpret_cast<const char*>(digest.data()), size);
}

std::string TagOf(const std::string& content) {
  return absl::StrCat(
      "\"", absl::BytesToHexString(Sha256(content).substr(0, 12)), "\"");
}

// A script without a file may run if the policy has its hash (W3C CSP level 3,
// section 6.7.3.3).
std::string PolicyFor(const Page& page) {
  constexpr absl::string_view kBegin = "<script>", kEnd = "</script>";
  std::string hashes;
  if (absl::StartsWith(page.content_type, "text/html")) {
    absl::string_view left = page.content;
    for (size_t at; (at = left.find(kBegin)) != left.npos;) {
      left.remove_prefix(at + kBegin.size());
      const absl::string_view script = left.substr(0, left.find(kEnd));
      absl::StrAppend(&hashes, " 'sha256-", absl::Base64Escape(Sha256(script)),
                      "'");
      left.remove_prefix(script.size());
    }
  }
  return absl::Substitute(kContentSecurityPolicy, hashes);
}

// RFC 9309: the page is one file, but calls and rooms in queries are nobody's
// to list.
constexpr char kRobots[] = "User-agent: *\nDisallow: /";
// What browsers ask for before they have read the page: a square.
constexpr char kIcon[] =
    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 16 16\">"
    "<rect width=\"16\" height=\"16\" rx=\"3\" fill=\"#2b6cb0\"/>"
    "<path d=\"M4 8h8M9 5l3 3-3 3\" stroke=\"#fff\" stroke-width=\"2\" "
    "fill=\"none\"/></svg>";

// RFC 9110 section 13.1.2: the comparison is weak, since a proxy that
// compresses the page makes our tag a weak one.
bool Has(const signaling::HttpRequest& request, absl::string_view tag) {
  for (const signaling::HttpHeader& field : request.headers.fields()) {
    if (!absl::EqualsIgnoreCase(field.name, "If-None-Match")) continue;
    for (absl::string_view element : absl::StrSplit(field.value, ',')) {
      element = absl::StripAsciiWhitespace(element);
      if (element == "*") return true;
      absl::ConsumePrefix(&element, "W/");
      if (element == tag) return true;
    }
  }
  return false;
}

}  // namespace

StaticPages::StaticPages(std::vector<Page> pages) {
  pages.insert(pages.begin(),
               {{"/robots.txt", "text/plain; charset=utf-8", kRobots},
                {"/favicon.ico", "image/svg+xml", kIcon}});
  for (Page& page : pages) {
    Entry entry;
    entry.policy = PolicyFor(page);
    entry.type = std::move(page.content_type);
    entry.tag = TagOf(page.content);
    entry.content = std::move(page.content);
    if (page.path == "/index.html") entries_["/"] = entry;
    entries_[std::move(page.path)] = std::move(entry);
  }
}

signaling::HttpResponse StaticPages::Answer(
    const signaling::HttpRequest& request) const {
  if (request.method != "GET" && request.method != "HEAD") {
    return MethodNotAllowed();
  }
  if (request.path == "/healthz" || request.path == "/readyz") {
    return TextResponse(200, "ok");
  }
  const auto it = entries_.find(request.path);
  if (it == entries_.end()) {
    return TextResponse(404, "There is nothing here.");
  }
  const Entry& entry = it->second;
  signaling::HttpResponse response;
  response.headers.Add("ETag", entry.tag);
  // May be kept, but is asked for each time: a new server has a new page.
  response.headers.Add("Cache-Control", "no-cache");
  if (Has(request, entry.tag)) {
    response.status = 304;
    return response;
  }
  response.headers.Add("Content-Type", entry.type);
  response.headers.Add("Content-Security-Policy", entry.policy);
  response.headers.Add("Permissions-Policy", kPermissionsPolicy);
  response.headers.Add("X-Content-Type-Options", "nosniff");
  response.headers.Add("Referrer-Policy", "no-referrer");
  response.headers.Add("Cross-Origin-Opener-Policy", "same-origin");
  response.headers.Add("Cross-Origin-Resource-Policy", "same-origin");
  response.body = entry.content;
  return response;
}

}  // namespace kyuu::tools

#include "tools/kyuud/static_pages.h"

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace kyuu::tools {
namespace {

// The page needs its own files, its own WebSocket, and images of files that
// people send (blob:). Nothing inline, nothing from elsewhere, no framing.
constexpr char kContentSecurityPolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'";

std::string TagOf(const std::string& content) {
  std::array<uint8_t, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  EVP_Digest(content.data(), content.size(), digest.data(), &size, EVP_sha256(),
             nullptr);
  return absl::StrCat("\"",
                      absl::BytesToHexString(absl::string_view(
                          reinterpret_cast<const char*>(digest.data()), 12)),
                      "\"");
}

signaling::HttpResponse Text(int status, absl::string_view text) {
  signaling::HttpResponse response;
  response.status = status;
  response.headers.Add("Content-Type", "text/plain; charset=utf-8");
  response.headers.Add("X-Content-Type-Options", "nosniff");
  response.headers.Add("Cache-Control", "no-store");
  response.body = absl::StrCat(text, "\n");
  return response;
}

}  // namespace

StaticPages::StaticPages(std::vector<Page> pages) {
  for (Page& page : pages) {
    Entry entry;
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
    signaling::HttpResponse response = Text(405, "Only GET and HEAD.");
    response.headers.Add("Allow", "GET, HEAD");
    return response;
  }
  if (request.path == "/healthz") return Text(200, "ok");
  const auto it = entries_.find(request.path);
  if (it == entries_.end()) return Text(404, "There is nothing here.");
  const Entry& entry = it->second;
  signaling::HttpResponse response;
  response.headers.Add("ETag", entry.tag);
  // May be kept, but is asked for each time: a new server has a new page.
  response.headers.Add("Cache-Control", "no-cache");
  if (request.headers.HasToken("If-None-Match", entry.tag)) {
    response.status = 304;
    return response;
  }
  response.headers.Add("Content-Type", entry.type);
  response.headers.Add("Content-Security-Policy", kContentSecurityPolicy);
  response.headers.Add("X-Content-Type-Options", "nosniff");
  response.headers.Add("Referrer-Policy", "no-referrer");
  response.headers.Add("Cross-Origin-Opener-Policy", "same-origin");
  response.headers.Add("Cross-Origin-Resource-Policy", "same-origin");
  response.body = entry.content;
  return response;
}

}  // namespace kyuu::tools

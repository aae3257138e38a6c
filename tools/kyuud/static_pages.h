// StaticPages: answers HTTP requests for the page and for /healthz.

#ifndef KYUU_TOOLS_KYUUD_STATIC_PAGES_H_
#define KYUU_TOOLS_KYUUD_STATIC_PAGES_H_

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "signaling/http.h"

namespace kyuu::tools {

// One file of the page, in memory.
struct Page {
  std::string path;  // "/index.html"
  std::string content_type;
  std::string content;
};

// StaticPages holds files and knows how each is to be served: with its type, a
// validator, and headers that let the page load nothing from anywhere else.
class StaticPages {
 public:
  explicit StaticPages(std::vector<Page> pages);

  // "/" is "/index.html". /healthz and /readyz say "ok" to load balancers, who
  // ask nothing that is not answered here. 404 for what is not there, 405 for
  // methods other than GET and HEAD, 304 for what the client has.
  signaling::HttpResponse Answer(const signaling::HttpRequest& request) const;

 private:
  struct Entry {
    std::string content;
    std::string type;
    std::string tag;     // RFC 9110 section 8.8.3, quotes included.
    std::string policy;  // Content-Security-Policy.
  };
  absl::flat_hash_map<std::string, Entry> entries_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_STATIC_PAGES_H_

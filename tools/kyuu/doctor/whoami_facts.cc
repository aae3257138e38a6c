// Reading what /v1/whoami told.

#include <string>

#include "base/status_macros.h"
#include "nlohmann/json.hpp"
#include "tools/kyuu/doctor/facts.h"

namespace kyuu::tools {

absl::StatusOr<WhoamiFacts> WhoamiFacts::Parse(const std::string& body) {
  const nlohmann::json told = nlohmann::json::parse(body, nullptr, false);
  const auto text = [&](const char* key) {
    const auto it = told.find(key);
    return it != told.end() && it->is_string() ? it->get<std::string>()
                                               : std::string();
  };
  if (!told.is_object()) {
    return absl::InvalidArgumentError("no object of JSON");
  }
  WhoamiFacts facts;
  KYUU_ASSIGN_OR_RETURN(facts.address, IpAddress::Parse(text("address")));
  facts.forwarded_for = text("forwarded_for");
  facts.peerjs = text("peerjs");
  facts.y_webrtc = text("y_webrtc");
  for (const std::string* path : {&facts.peerjs, &facts.y_webrtc}) {
    if (!path->empty() && path->front() != '/') {
      return absl::InvalidArgumentError("a path without a slash");
    }
  }
  return facts;
}

}  // namespace kyuu::tools

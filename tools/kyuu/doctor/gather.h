// Gather: looks at a server from outside, as a client would.

#ifndef KYUU_TOOLS_KYUU_DOCTOR_GATHER_H_
#define KYUU_TOOLS_KYUU_DOCTOR_GATHER_H_

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "tools/kyuu/doctor/facts.h"
#include "tools/kyuu/doctor/site.h"

namespace kyuu::tools {

struct GatherOptions {
  Site site;
  Site backend;
  std::string token;
  std::optional<absl::Duration> idle;  // As SessionQuestion's.
  // How long each step is waited for. Steps that do not need each other go at
  // the same time; there are four behind each other, one of which takes twice
  // as long.
  absl::Duration patience = absl::Seconds(3);
};

// Blocks for five times `patience` at most, and `idle`, whatever the server
// does or does not do.
ServerFacts Gather(const GatherOptions& options);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_DOCTOR_GATHER_H_

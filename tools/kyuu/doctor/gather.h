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
  // the same time; behind each other are the name (1), connections (1), a
  // session (2), and the relay meanwhile (2).
  absl::Duration patience = absl::Milliseconds(2500);
};

// Blocks for six times `patience` at most, and `idle`, whatever the server does
// or does not do; a resolver that has answered once is trusted to do it again.
ServerFacts Gather(const GatherOptions& options);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_DOCTOR_GATHER_H_

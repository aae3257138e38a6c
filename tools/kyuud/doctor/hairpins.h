// GatherHairpins: whether the server is reached from its own machine by the
// addresses that clients are told of.

#ifndef KYUU_TOOLS_KYUUD_DOCTOR_HAIRPINS_H_
#define KYUU_TOOLS_KYUUD_DOCTOR_HAIRPINS_H_

#include <vector>

#include "absl/time/time.h"
#include "tools/kyuud/config.h"
#include "tools/kyuud/doctor/facts.h"

namespace kyuu::tools {

// Asks each address of PUBLIC/PRIVATE pairs and of the public URL that is not
// this machine's, if `ports` say that somebody may answer STUN. Blocks for
// twice `patience` at most.
std::vector<HairpinFacts> GatherHairpins(const Config& config,
                                         const std::vector<PortFacts>& ports,
                                         absl::Duration patience);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_DOCTOR_HAIRPINS_H_

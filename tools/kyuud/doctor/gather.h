// GatherMachine: looks at the machine from inside, and disturbs nobody.

#ifndef KYUU_TOOLS_KYUUD_DOCTOR_GATHER_H_
#define KYUU_TOOLS_KYUUD_DOCTOR_GATHER_H_

#include "absl/time/time.h"
#include "tools/kyuud/config.h"
#include "tools/kyuud/doctor/facts.h"

namespace kyuu::tools {

// Blocks for twice `patience` at most, as for a Redis that is silent.
MachineFacts GatherMachine(const Config& config, absl::Duration patience);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_DOCTOR_GATHER_H_

// What is to be said of a machine and a configuration. Pure functions.

#ifndef KYUU_TOOLS_KYUUD_DOCTOR_CHECKS_H_
#define KYUU_TOOLS_KYUUD_DOCTOR_CHECKS_H_

#include <vector>

#include "absl/time/time.h"
#include "tools/findings/finding.h"
#include "tools/kyuud/config.h"
#include "tools/kyuud/doctor/facts.h"

namespace kyuu::tools {

// Of each part of the facts what they mean for `config`.
std::vector<Finding> CheckPorts(const MachineFacts& facts);
std::vector<Finding> CheckCertificates(const Config& config,
                                       const MachineFacts& facts,
                                       absl::Time now);
std::vector<Finding> CheckSecrets(const MachineFacts& facts);
std::vector<Finding> CheckResources(const Config& config,
                                    const MachineFacts& facts);
std::vector<Finding> CheckServices(const Config& config,
                                   const MachineFacts& facts);
// Whether clients on the server's side of a router reach it by its public
// address, as the router sends back what comes from there.
std::vector<Finding> CheckHairpin(const Config& config,
                                  const MachineFacts& facts);
// Which ports have to be open. Whether they are is not to be seen from inside.
Finding FirewallHint(const Config& config);

// All of these. `now` is the wall clock.
std::vector<Finding> Check(const Config& config, const MachineFacts& facts,
                           absl::Time now);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_DOCTOR_CHECKS_H_

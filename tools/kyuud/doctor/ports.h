// TryPort: whether a port could be listened at, and who is there if not.

#ifndef KYUU_TOOLS_KYUUD_DOCTOR_PORTS_H_
#define KYUU_TOOLS_KYUUD_DOCTOR_PORTS_H_

#include <string>

#include "base/address.h"
#include "tools/kyuud/doctor/facts.h"

namespace kyuu::tools {

// Binds the port and gives it back at once; nothing is listened at, so nobody
// is taken. Who holds it is looked up in /proc, which shows processes of other
// users to root only.
PortFacts TryPort(std::string setting, Transport transport,
                  const TransportAddress& address);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_DOCTOR_PORTS_H_

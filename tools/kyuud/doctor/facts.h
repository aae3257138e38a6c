// What `kyuud doctor` has seen of the machine, before anything is said of it.

#ifndef KYUU_TOOLS_KYUUD_DOCTOR_FACTS_H_
#define KYUU_TOOLS_KYUUD_DOCTOR_FACTS_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "net/limits.h"
#include "tools/findings/certificate.h"
#include "tools/kyuud/start_warnings.h"

namespace kyuu::tools {

// A process that holds a port.
struct Holder {
  pid_t pid = 0;
  std::string name;  // "kyuud"; cut off at 15 bytes by the kernel.
};

struct PortFacts {
  std::string setting;  // "[http] listen"
  Transport transport = Transport::kTcp;
  TransportAddress address;
  // What became of binding it: OK if it is free, ALREADY_EXISTS,
  // PERMISSION_DENIED, NOT_FOUND for an address that is not here.
  absl::Status bound;
  std::optional<Holder> holder;  // If it could be found.
};

struct CertificatePairFacts {
  std::string certificate_file;
  absl::StatusOr<std::vector<CertificateFacts>> chain;
  absl::Status usable;  // Whether the key is its key.
};

struct SecretFileFacts {
  std::string file;
  std::optional<mode_t> mode;  // nullopt if it is not there, or not to be seen.
};

// An address by which the server is told to clients, and which is none of this
// machine's: a router's in front of it, or a proxy's.
struct HairpinFacts {
  enum class Source : uint8_t { kRelayAddress, kPublicUrl };
  Source source = Source::kRelayAddress;
  TransportAddress asked;  // Told to clients, at a port that speaks STUN.
  IpAddress here;          // Of this machine, behind it.
  // Whether a Binding request from here to it was answered; nullopt if nobody
  // is there who could.
  std::optional<absl::Status> answered;
};

struct MachineFacts {
  absl::Status configuration;  // What check-config says.
  Machine machine;
  net::DescriptorLimit descriptors;
  std::vector<PortFacts> ports;
  std::vector<CertificatePairFacts> certificates;
  std::vector<SecretFileFacts> secrets;
  std::vector<HairpinFacts> hairpins;
  // How the running server is; nullopt if no port of HTTP is held by one.
  std::optional<absl::Status> health;
  std::optional<absl::Status> kernel;     // If the settings want that path.
  std::optional<absl::Status> backplane;  // If they have one.
  // Whether the clock follows others; nullopt if the kernel does not tell.
  std::optional<bool> clock_synchronized;
  std::optional<uint64_t> memory_bytes;  // That the process may have.
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_DOCTOR_FACTS_H_

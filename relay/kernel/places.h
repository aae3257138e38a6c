// Places: the interfaces that the program in the kernel is at.

#ifndef KYUU_RELAY_KERNEL_PLACES_H_
#define KYUU_RELAY_KERNEL_PLACES_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "relay/kernel/program.h"
#include "relay/kernel/routes.h"

namespace kyuu::relay::kernel {

// Places keeps the program at all interfaces of Ethernet that have one of our
// addresses: in their drivers if all can, else behind them. One thread at a
// time, whichever. It owns the program.
class Places {
 public:
  // Goes there, which may take some milliseconds for each interface that none
  // of `kept` is at: what another Places left. Errors of Program::Attach;
  // FAILED_PRECONDITION if no interface has such an address.
  static absl::StatusOr<Places> Open(Program program,
                                     absl::Span<const IpAddress> addresses,
                                     std::vector<Attachment> kept = {});

  // Goes where the addresses are, an "any" one for all of its family, and takes
  // note of what has become of the interfaces. The first that it cannot go to
  // is the error; it goes to the others.
  absl::Status Follow(absl::Span<const IpAddress> addresses);

  // Gives its places in drivers away, where the program stays for as long as
  // somebody has them; those behind drivers are gone.
  std::vector<Attachment> Leave();

  const Program& program() const { return *program_; }
  std::vector<Link> links() const;
  // "eth0 (native), eth1 (native)".
  std::string Where() const;

 private:
  struct Place {
    Link link;
    Attachment attachment;
  };

  Places(Program program, std::vector<Attachment> kept);
  absl::StatusOr<Attachment> Attach(const Link& link);
  absl::StatusOr<Attachment> Occupy(uint32_t ifindex);
  bool Transmits(const Link& link) const;

  std::unique_ptr<const Program> program_;
  Mode mode_ = Mode::kNative;
  std::vector<Place> places_;
  std::vector<Attachment> kept_;  // Not used yet.
};

}  // namespace kyuu::relay::kernel

#endif  // KYUU_RELAY_KERNEL_PLACES_H_

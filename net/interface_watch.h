// InterfaceWatch: tells when the addresses of this machine change.

#ifndef KYUU_NET_INTERFACE_WATCH_H_
#define KYUU_NET_INTERFACE_WATCH_H_

#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "net/fd.h"
#include "net/loop.h"

namespace kyuu::net {

// InterfaceWatch calls `handler` on the loop after an address has come or gone,
// or an interface went up or down (rtnetlink). Changes that come together are
// told once. What has changed is not said: ask Interfaces().
class InterfaceWatch {
 public:
  using Handler = absl::AnyInvocable<void()>;

  // RESOURCE_EXHAUSTED without descriptors; other codes where the system does
  // not let us know.
  static absl::StatusOr<std::unique_ptr<InterfaceWatch>> Create(
      Loop& loop, Handler handler);
  InterfaceWatch(const InterfaceWatch&) = delete;
  InterfaceWatch& operator=(const InterfaceWatch&) = delete;

  // RESOURCE_EXHAUSTED while the loop cannot watch one more descriptor. The
  // Watch tries again by itself; changes wait in the socket until then, and are
  // told late.
  absl::Status status() const { return watch_.status(); }

 private:
  InterfaceWatch(Loop& loop, Fd fd, Handler handler);

  Fd fd_;
  Watch watch_;
};

}  // namespace kyuu::net

#endif  // KYUU_NET_INTERFACE_WATCH_H_

// NameResolver: names of multicast DNS on the networks of this machine.

#ifndef KYUU_PEER_NAME_RESOLVER_H_
#define KYUU_PEER_NAME_RESOLVER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/address.h"
#include "mdns/endpoint.h"
#include "net/interfaces.h"
#include "net/loop.h"

namespace kyuu::peer {

// NameResolver finds the addresses that browsers hide behind names under
// ".local" (RFC 6762), and hides ours so. It has a socket on each link while
// there are names to be resolved or answered for, and none otherwise. It
// belongs to the loop's thread.
class NameResolver {
 public:
  using Handler = absl::AnyInvocable<void(std::optional<IpAddress>)>;
  using Lister =
      absl::AnyInvocable<absl::StatusOr<std::vector<net::Interface>>()>;

  // `loop` must outlive it. `list` is net::Interfaces, or a test's.
  explicit NameResolver(net::Loop& loop, Lister list = net::Interfaces,
                        const mdns::EndpointOptions& options = {});
  // Handlers that have not been called are dropped.
  ~NameResolver();
  NameResolver(const NameResolver&) = delete;
  NameResolver& operator=(const NameResolver&) = delete;

  // Calls `handler` once, on the loop and never from within this call: nullopt
  // if nobody answers for the name in mdns::EndpointOptions::query_timeout, if
  // it is no name under ".local", or if too many are under way. The handler may
  // destroy the NameResolver.
  void Resolve(const std::string& name, Handler handler);

  // Answers for `name` (mdns::MakeName) on the interface that has `ip`, from
  // now on. Errors are those of mdns::Endpoint::Publish.
  absl::Status Publish(const std::string& name, const IpAddress& ip,
                       uint32_t interface);
  void Withdraw(const std::string& name);

  // The links that are asked.
  const std::vector<mdns::Link>& links() const;
  mdns::EndpointStats stats() const;

 private:
  class Port;
  const std::shared_ptr<Port> port_;
};

}  // namespace kyuu::peer

#endif  // KYUU_PEER_NAME_RESOLVER_H_

// ReservedSockets: sockets of relay ports that clients have reserved.

#ifndef KYUU_RELAY_RESERVED_SOCKETS_H_
#define KYUU_RELAY_RESERVED_SOCKETS_H_

#include <mutex>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "net/udp_socket.h"

namespace kyuu::relay {

// ReservedSockets keeps the ports of reservations (EVEN-PORT, RFC 8656 section
// 18.7) from other programs until the node that is shown the token takes them,
// whichever that is. A port that the ledger lends anew before the end of its
// reservation is taken in the same way, so that none stands in its own way.
//
// Safe for several threads.
class ReservedSockets {
 public:
  // Keeps `socket` until it is taken, or `until` has passed. As nobody reads
  // from it, the kernel may keep little for it meanwhile.
  void Put(absl::Time now, net::UdpSocket socket, absl::Time until) {
    const TransportAddress bind = socket.local();
    socket.SetBufferBytes(0);
    const std::lock_guard<std::mutex> lock(mutex_);
    EraseExpired(now);
    sockets_.insert_or_assign(bind, Reserved{std::move(socket), until});
  }
  // The socket of `bind`, if it is here.
  std::optional<net::UdpSocket> Take(const TransportAddress& bind) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = sockets_.find(bind);
    if (found == sockets_.end()) return std::nullopt;
    net::UdpSocket socket = std::move(found->second.socket);
    sockets_.erase(found);
    socket.SetBufferBytes(net::UdpOptions().buffer_bytes);
    return socket;
  }
  // Closes those whose time is over. Put() does it too.
  void Expire(absl::Time now) {
    const std::lock_guard<std::mutex> lock(mutex_);
    EraseExpired(now);
  }

 private:
  struct Reserved {
    net::UdpSocket socket;
    absl::Time until;
  };

  void EraseExpired(absl::Time now) {
    absl::erase_if(
        sockets_, [&](const auto& entry) { return entry.second.until <= now; });
  }

  std::mutex mutex_;
  // Guarded by mutex_; bounded by the reservations of the ledger.
  absl::flat_hash_map<TransportAddress, Reserved> sockets_;
};

}  // namespace kyuu::relay

#endif  // KYUU_RELAY_RESERVED_SOCKETS_H_

// Departure: forms trains from the datagrams that an engine builds, in place.

#ifndef KYUU_NET_INTERNAL_DEPARTURE_H_
#define KYUU_NET_INTERNAL_DEPARTURE_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/types/span.h"
#include "base/address.h"
#include "net/internal/slab_pool.h"
#include "net/socket_table.h"
#include "net/udp_socket.h"

namespace kyuu::net::internal {

// Departure holds one train in hand, in a slab of memory where the engine
// builds datagram after datagram. A datagram that cannot join the train sends
// it off and starts the next one. The slab is the pool's while nothing is in
// hand.
class Departure {
 public:
  // `slabs` must outlive this.
  Departure(SlabPool& slabs, size_t datagram_bytes);
  ~Departure();
  Departure(const Departure&) = delete;
  Departure& operator=(const Departure&) = delete;

  void AddSocket(UdpSocket& socket) { sockets_.Add(socket); }
  // What is in hand for `socket` is dropped.
  void RemoveSocket(UdpSocket& socket);

  // Where to build the next datagram, until the next call; call only when not
  // blocked.
  absl::Span<uint8_t> Space();
  // Takes a datagram built within Space(). False if a socket is now blocked.
  bool Add(const Datagram& datagram);
  // Sends what is in hand, all of it. False if a socket is (still) blocked.
  bool Resume();

  // The socket whose writability ends the blockade; null if there is none.
  UdpSocket* blocked() const { return blocked_; }
  uint64_t unroutable() const { return unroutable_; }

 private:
  UdpSocket* SocketFor(const Path& path) const;
  void Start(UdpSocket* socket, const Datagram& datagram);
  bool SendTrain();
  void ReturnSlab();

  SlabPool& slabs_;
  const size_t datagram_bytes_;
  SocketTable sockets_;
  std::unique_ptr<SlabPool::Slab> slab_;  // Null until Space() is asked for.
  // Of the train in hand; null when there is none.
  UdpSocket* socket_ = nullptr;
  UdpSocket* blocked_ = nullptr;
  uint64_t unroutable_ = 0;
};

}  // namespace kyuu::net::internal

#endif  // KYUU_NET_INTERNAL_DEPARTURE_H_

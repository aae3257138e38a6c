// SocketTable: which of our sockets a datagram leaves through.

#ifndef KYUU_NET_SOCKET_TABLE_H_
#define KYUU_NET_SOCKET_TABLE_H_

#include "base/address.h"
#include "base/short_list.h"
#include "net/udp_socket.h"

namespace kyuu::net {

// SocketTable finds a socket by the local address of a path. It does not own
// the sockets, which must stay where they are. Tables are short: a socket for
// each address of a machine.
class SocketTable {
 public:
  void Add(UdpSocket& socket) { sockets_.push_back(&socket); }
  void Remove(const UdpSocket& socket) {
    sockets_.EraseIf([&](const UdpSocket* other) { return other == &socket; });
  }

  // The socket bound to `local`, else the one bound to the "any" address of its
  // family and port, else null.
  UdpSocket* Find(const TransportAddress& local) const {
    UdpSocket* wildcard = nullptr;
    for (UdpSocket* socket : sockets_) {
      const TransportAddress& bound = socket->local();
      if (bound == local) return socket;
      if (bound.port == local.port && bound.ip.IsAny() &&
          bound.ip.family() == local.ip.family()) {
        wildcard = socket;
      }
    }
    return wildcard;
  }

 private:
  ShortList<UdpSocket*> sockets_;
};

}  // namespace kyuu::net

#endif  // KYUU_NET_SOCKET_TABLE_H_

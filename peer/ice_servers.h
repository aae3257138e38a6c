// The STUN and TURN servers of a configuration, from their URLs to what a
// connection asks.

#ifndef KYUU_PEER_ICE_SERVERS_H_
#define KYUU_PEER_ICE_SERVERS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "ice/gatherer_types.h"
#include "peer/server_url.h"

namespace kyuu::peer {

// RTCIceServer (webrtc-pc section 4.2.4).
struct IceServer {
  // "stun:HOST[:PORT]", "turn:HOST[:PORT][?transport=udp|tcp]" or "turns:...",
  // where HOST is a name or an address, an IPv6 one in brackets.
  std::vector<std::string> urls;
  // Of "turn:" and "turns:", which want both.
  std::string username;
  std::string credential;
};

// The servers of all URLs, with their credentials, in order. INVALID_ARGUMENT
// says which is wrong and why: W3C's SyntaxError and InvalidAccessError. Over
// anything but UDP, STUN tells no address for UDP, and is wrong too.
absl::StatusOr<std::vector<ServerUrl>> ParseIceServers(
    absl::Span<const IceServer> servers);

// Addresses of one server that are used for each family: the first may be one
// where nobody listens, and many would only cost.
inline constexpr size_t kAddressesPerFamilyMax = 2;

// Adds the server `url` to `stun` or `turn` once for each of `addresses`: a
// name is several servers, of which ICE takes the one that answers (RFC 8445
// section 5.1.1.2 gathers from each, RFC 8305 tries them all).
void AddResolved(const ServerUrl& url,
                 absl::Span<const TransportAddress> addresses,
                 std::vector<TransportAddress>& stun,
                 std::vector<ice::TurnServer>& turn);

}  // namespace kyuu::peer

#endif  // KYUU_PEER_ICE_SERVERS_H_

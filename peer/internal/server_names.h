// The URLs of servers whose addresses alone ICE knows.

#ifndef KYUU_PEER_INTERNAL_SERVER_NAMES_H_
#define KYUU_PEER_INTERNAL_SERVER_NAMES_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/address.h"
#include "ice/candidate.h"
#include "ice/gatherer_types.h"

namespace kyuu::peer::internal {

class ServerNames {
 public:
  // Of more than this the oldest are forgotten: a configuration has at most 32
  // STUN and TURN servers of each kind, and its relays may outlive it.
  static constexpr size_t kMax = 128;

  // `host` is how the servers were named, if not by their addresses; what a
  // TURN server tells itself counts more.
  void Add(const std::vector<TransportAddress>& stun_servers,
           const std::vector<ice::TurnServer>& turn_servers,
           absl::string_view host = "");

  // The URL of the server that told a server-reflexive or relayed candidate of
  // ours, "turn:turn.example.org:3478?transport=udp" in full; "" for others.
  std::string UrlOf(const ice::Candidate& candidate) const;

 private:
  struct Server {
    TransportAddress address;
    std::optional<ice::RelayProtocol> protocol;  // Unset: STUN.
    std::string host;
  };
  void Add(Server server);
  const Server* Find(const TransportAddress& address,
                     std::optional<ice::RelayProtocol> protocol) const;

  std::vector<Server> servers_;  // Oldest first.
};

}  // namespace kyuu::peer::internal

#endif  // KYUU_PEER_INTERNAL_SERVER_NAMES_H_

// How large the datagrams of a call may be.

#ifndef KYUU_TOOLS_KYUU_DATAGRAM_SIZE_H_
#define KYUU_TOOLS_KYUU_DATAGRAM_SIZE_H_

#include <cstddef>
#include <optional>

#include "base/address.h"
#include "nlohmann/json.hpp"

namespace kyuu::tools {

// DatagramSize joins what the two programs take, by their hellos
// (docs/application_protocol.md, "Large datagrams"), and what the system knows
// of the way. Browsers say nothing of it and take no more than the default.
class DatagramSize {
 public:
  // What we take, and what a driver offers (net::DriveOptions).
  static constexpr size_t kMost = 8192;

  // Our field of hello.
  static void Say(nlohmann::json& hello) { hello["datagram"] = kMost; }
  void HandleHello(const nlohmann::json& hello);
  // Another way, of which `remote` is the peer's end.
  void HandlePath(const TransportAddress& remote);

  // The most that is worth trying, without IP and UDP: what
  // peer::Options::max_datagram_bytes is for everybody, or more.
  size_t bytes() const;

 private:
  size_t peer_ = 0;  // What the peer takes; 0: not known.
  size_t way_ = 0;   // What the way to it takes; 0: not known.
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_DATAGRAM_SIZE_H_

// RelayLog: what the relay tells, as lines of the log.

#ifndef KYUU_TOOLS_KYUUD_RELAY_LOG_H_
#define KYUU_TOOLS_KYUUD_RELAY_LOG_H_

#include <cstdint>
#include <string>

#include "relay/options.h"
#include "tools/kyuud/log.h"
#include "turn/server_events.h"

namespace kyuu::tools {

// SessionText is 16 digits, by which an operator names an allocation.
std::string SessionText(turn::SessionId session);

// RelayLog writes a line for each allocation that is made, ended or refused.
// As JSON they have these fields:
//
//   event    "allocation_made", "allocation_ended", "allocation_refused"
//   session  names the allocation, the same in both of its lines
//   user, client, server
//   transport  "udp", "dtls", "tcp", "tls"
//   relay      one address, or "IPV4 and IPV6"
//   bytes_to_peers, bytes_to_client, datagrams_to_peers, datagrams_to_client,
//   duration (seconds), reason
class RelayLog {
 public:
  void operator()(const relay::Event& event);

 private:
  void Write(const relay::AllocationMade& made);
  void Write(const relay::AllocationEnded& ended);
  void Write(const relay::AllocationRefused& refused);
  void Write(const relay::AuthorizationWanted&) {}
  void Write(const relay::OpenFailed& failed);
  void Write(const relay::AddressesChanged& changed);
  // Clients ask again and again: one line a second tells of all.
  LogLimiter refusals_{1, absl::Seconds(1)};
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_RELAY_LOG_H_

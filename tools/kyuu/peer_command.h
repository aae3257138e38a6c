// `kyuu peer`: one end of a connection, with signaling on stdin and stdout
// (docs/kyuu.md).

#ifndef KYUU_TOOLS_KYUU_PEER_COMMAND_H_
#define KYUU_TOOLS_KYUU_PEER_COMMAND_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "peer/host_sockets.h"
#include "sdp/media_capability.h"
#include "tools/kyuu/network_use/network_use.h"
#include "tools/kyuu/pattern.h"

namespace kyuu::tools {

// The options of the command line, as docs/kyuu.md lists them.
struct PeerOptions {
  bool offer = true;
  bool impolite = false;  // An offer that collides with ours is ignored.
  bool wait = false;      // Nothing of ours begins before {"type":"start"}.
  std::string label = "data";
  std::string protocol;
  bool unordered = false;
  std::optional<uint16_t> max_retransmits;
  std::optional<int64_t> max_packet_life_time_ms;
  std::optional<uint16_t> negotiated_id;
  size_t channels = 1;  // To open; answering: to wait for before it is done.
  std::vector<std::string> stun_servers;
  std::vector<std::string> turn_servers;
  bool relay = false;
  NetworkUse network;
  std::vector<sdp::MediaCapability> media;
  bool no_trickle = false;
  bool hide_addresses = false;
  std::vector<peer::NatMapping> nat_mappings;
  bool lite = false;
  peer::TcpUse tcp = peer::TcpUse::kBoth;
  bool snap = false;
  bool sped = false;
  std::optional<size_t> max_datagram;
  bool echo = false;
  bool scripted = false;  // Tell each message, and end by "bye" alone.
  uint64_t send = 0;
  std::optional<size_t> size;  // 64 to send; unchecked on receipt.
  PatternKind kind = PatternKind::kBinary;
  int64_t interval_ms = 0;
  uint64_t expect = 0;
};

// Runs until everything was sent and received, the peer has gone, stdin said
// "bye" or a signal came; what was sent has arrived by then. Returns the exit
// status.
int RunPeer(const PeerOptions& options);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_PEER_COMMAND_H_

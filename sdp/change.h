// What applying a description made different, and how the m= sections stand.

#ifndef KYUU_SDP_CHANGE_H_
#define KYUU_SDP_CHANGE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "sdp/attribute.h"
#include "sdp/signaling_state.h"

namespace kyuu::sdp {

// Section is one m= section as the newest descriptions have it.
struct Section {
  enum class Use : uint8_t {
    kRejected,  // Port 0. Its place may be used again.
    kParked,    // Media that shares the transport of data: open, but inactive.
    kAccepted,  // Data channels, and media with a direction.
  };
  std::string mid;  // Empty if it has none.
  std::string media;
  Direction direction = Direction::kSendrecv;  // As written.
  Use use = Use::kRejected;
  // The tag of the transport that it uses (see TransportChange); empty for a
  // rejected one.
  std::string transport;
};

// TransportChange is what became different for one transport. All false: no
// difference.
struct TransportChange {
  // The mid of the tagged section of its BUNDLE group, by which a transport is
  // known (RFC 9143 section 7.1.3); empty if that has none.
  std::string tag;
  // The peer's parameters carry credentials that ICE does not know yet: at the
  // first exchange, at a restart, or after a rollback.
  bool remote_ice = false;
  // The same for our own credentials, now in a local description.
  bool local_ice = false;
  // The credentials just named replace others: an ICE restart (RFC 8839
  // section 4.4.1.1.1).
  bool ice_restart = false;
  // The peer's fingerprints (or tls-id) replace others: a new DTLS association
  // is needed (RFC 8842 section 5.1).
  bool dtls_restart = false;
  // The peer's parameters carry candidates, or the end of them, not seen
  // before.
  bool remote_candidates = false;
  // An answer was applied, provisional or final: local_setup is set.
  bool answered = false;
  // The final answer refused what used it, or a rollback took that back: the
  // transport ends.
  bool ended = false;

  // Whether anything differs.
  bool any() const {
    return remote_ice || local_ice || ice_restart || dtls_restart ||
           remote_candidates || answered || ended;
  }
};

// Change is what applying one description made different: the caller acts on
// it, reading the session's parameters of each transport for the values.
struct Change {
  SignalingState state = SignalingState::kStable;
  // A pending offer was taken back, by Rollback() or because a remote offer
  // met a local one. remote_ice and local_ice of the transports then say which
  // credentials fell back to their former values.
  bool rolled_back = false;
  // Those for which something differs, each once. There is but one: data's.
  std::vector<TransportChange> transports;

  // What differs for data's transport.
  TransportChange data() const {
    return transports.empty() ? TransportChange{} : transports.front();
  }
};

}  // namespace kyuu::sdp

#endif  // KYUU_SDP_CHANGE_H_

// The states of an association (RFC 9260 section 4), each with exactly the
// data that exists in it. From COOKIE-ECHOED to SHUTDOWN-ACK-SENT both ends
// know each other: these are the phases of one transmission control block
// (tcb.h), which goes with the last of them.

#ifndef KYUU_SCTP_INTERNAL_STATES_H_
#define KYUU_SCTP_INTERNAL_STATES_H_

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "sctp/internal/outstanding_data.h"

namespace kyuu::sctp::internal {

// What follows once the association is established: Shutdown() may come before.
enum class Afterwards : uint8_t { kStay, kShutDown };

// Whether the chunk that belongs to a state has to be sent (again).
enum class Duty : uint8_t { kDone, kDue };

namespace state {

// CLOSED, and nothing has happened yet; a peer's handshake is answered.
struct Closed {
  static constexpr char kName[] = "CLOSED";
};

struct CookieWait {
  static constexpr char kName[] = "COOKIE-WAIT";
  Afterwards afterwards = Afterwards::kStay;
  int stale_cookies = 0;  // Handshakes that the peer took too long for.
  Duty init = Duty::kDue;
  int inits_sent = 0;
  // What went out behind a cookie that was refused: it goes again.
  std::optional<OutstandingData> begun;
};

// CLOSED for good; Closed was the last event.
struct Ended {
  static constexpr char kName[] = "ENDED";
};

struct CookieEchoed {
  static constexpr char kName[] = "COOKIE-ECHOED";
  Afterwards afterwards = Afterwards::kStay;
  int stale_cookies = 0;
  std::vector<uint8_t> cookie;
  Duty cookie_echo = Duty::kDue;
};

struct Established {
  static constexpr char kName[] = "ESTABLISHED";
};

// We shut down as soon as all data is acknowledged.
struct ShutdownPending {
  static constexpr char kName[] = "SHUTDOWN-PENDING";
};

struct ShutdownSent {
  static constexpr char kName[] = "SHUTDOWN-SENT";
  Duty shutdown = Duty::kDue;
};

// The peer shuts down; we agree as soon as all data is acknowledged.
struct ShutdownReceived {
  static constexpr char kName[] = "SHUTDOWN-RECEIVED";
};

struct ShutdownAckSent {
  static constexpr char kName[] = "SHUTDOWN-ACK-SENT";
  Duty shutdown_ack = Duty::kDue;
};

}  // namespace state

// The phases of a control block.
using Phase = std::variant<state::CookieEchoed, state::Established,
                           state::ShutdownPending, state::ShutdownSent,
                           state::ShutdownReceived, state::ShutdownAckSent>;

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_STATES_H_

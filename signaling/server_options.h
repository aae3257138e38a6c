// How a signaling server is set up, and what it counts.

#ifndef KYUU_SIGNALING_SERVER_OPTIONS_H_
#define KYUU_SIGNALING_SERVER_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "base/counters.h"
#include "signaling/directory_types.h"
#include "signaling/envelope.h"
#include "signaling/message_limits.h"
#include "signaling/rate.h"
#include "signaling/server_nodes.h"

namespace kyuu::signaling {

struct ServerOptions {
  std::string server_name = "kyuud";  // Told in `welcome`.
  MessageLimits limits;
  absl::Duration ping_interval = absl::Seconds(25);  // Told in `welcome`.
  size_t max_connections = 10000;
  // Of one source: an IPv4 address or an IPv6 /64. A household or an office
  // behind one address has room in it; the whole server has not.
  size_t max_connections_per_source = 500;
  // Tokens that are no good, of one session; then it is closed.
  size_t max_refused_tokens = 5;
  // The same of secrets of rooms.
  size_t max_refused_secrets = 10;
  // From Connect() to `hello`.
  absl::Duration hello_timeout = absl::Seconds(10);

  // A client's messages: in the long run, and at once (a call starts with some
  // 20 candidates).
  Rate message_rate = {.per_second = 50, .burst = 200};
  // Of these, `join` and `update`, each of which is told to a whole room.
  Rate presence_rate = {.per_second = 1, .burst = 20};
  // And `call`; a mesh of 16 calls at once.
  Rate call_rate = {.per_second = 0.5, .burst = 20};
  // And `find`, which costs the server more than others: a room of 500 takes
  // five.
  Rate find_rate = {.per_second = 2, .burst = 20};
  // So many messages dropped by the rate limit close the connection.
  size_t max_dropped_messages = 1000;

  // How long a session whose connection was lost waits for its client, who
  // knows how to resume it; a phone changes its network in some seconds. Zero:
  // it does not wait.
  absl::Duration grace = absl::Seconds(30);
  size_t max_sessions_in_grace = 5000;
  size_t max_sessions_in_grace_per_source = 100;
  // What is kept for a session until its client has acknowledged it: for the
  // time of the grace, some calls with their candidates.
  size_t max_outbox_bytes = 256 * 1024;
  // The same for all sessions together.
  size_t max_kept_bytes = 64 * 1024 * 1024;
  // Names that a session may block.
  size_t max_blocked = 100;
  // Messages for all of a large room that some of it have yet to get; beyond it
  // there are no more in rooms of that size.
  size_t max_sayings = 64;
  // `credentials` messages of one session that wait for their answer.
  size_t max_credential_requests = 4;
  // How long the credentials last that SetIceServers() tells: after 3/4 of it
  // new ones are asked for. For ever if they end with the session.
  absl::Duration credentials_lifetime = absl::InfiniteDuration();

  RoomOptions rooms;
  CallOptions calls;
  FederationOptions federation;

  // Bytes waiting for PollTransmit for all connections together. Beyond it a
  // client whose message comes is cut off, so that it knows (1013).
  size_t max_queued_bytes = 64 * 1024 * 1024;
};

struct ServerStats {
  uint64_t messages_received = 0;
  uint64_t messages_refused = 0;  // Answered by an error.
  uint64_t rate_limited = 0;      // Messages dropped, and their senders told.
  uint64_t overloaded = 0;        // Connections cut for max_queued_bytes.
  uint64_t secrets_refused = 0;   // Of rooms.
  uint64_t tokens_expired = 0;    // In a session, which went on without relay.
  uint64_t signals_relayed = 0;
  uint64_t messages_passed_on = 0;  // Of applications, once for each receiver.
  uint64_t messages_blocked = 0;    // By receivers who do not want to hear.
  uint64_t messages_dropped = 0;    // For whom too much waits already.
  uint64_t calls_started = 0;
  uint64_t calls_accepted = 0;
  uint64_t calls_blocked = 0;   // Of callers that are not to be heard.
  uint64_t reports_direct = 0;  // Of what came of calls, by each side.
  uint64_t reports_relayed = 0;
  uint64_t reports_failed = 0;
  uint64_t unknown_connection = 0;  // Messages of connections not known.
  uint64_t sessions_kept = 0;       // Beyond their connections.
  uint64_t sessions_resumed = 0;
  uint64_t resumes_refused = 0;  // A new session instead of the one asked for.
  // Of sessions that nobody resumed, or that had no place or too much to keep.
  uint64_t sessions_given_up = 0;

  static constexpr Counter<ServerStats> kCounters[] = {
      KYUU_COUNTER(ServerStats, messages_received),
      KYUU_COUNTER(ServerStats, messages_refused),
      KYUU_COUNTER(ServerStats, rate_limited),
      KYUU_COUNTER(ServerStats, overloaded),
      KYUU_COUNTER(ServerStats, secrets_refused),
      KYUU_COUNTER(ServerStats, tokens_expired),
      KYUU_COUNTER(ServerStats, signals_relayed),
      KYUU_COUNTER(ServerStats, messages_passed_on),
      KYUU_COUNTER(ServerStats, messages_blocked),
      KYUU_COUNTER(ServerStats, messages_dropped),
      KYUU_COUNTER(ServerStats, calls_started),
      KYUU_COUNTER(ServerStats, calls_accepted),
      KYUU_COUNTER(ServerStats, calls_blocked),
      KYUU_COUNTER(ServerStats, reports_direct),
      KYUU_COUNTER(ServerStats, reports_relayed),
      KYUU_COUNTER(ServerStats, reports_failed),
      KYUU_COUNTER(ServerStats, unknown_connection),
      KYUU_COUNTER(ServerStats, sessions_kept),
      KYUU_COUNTER(ServerStats, sessions_resumed),
      KYUU_COUNTER(ServerStats, resumes_refused),
      KYUU_COUNTER(ServerStats, sessions_given_up),
  };
};
static_assert(Countable<ServerStats>);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_SERVER_OPTIONS_H_

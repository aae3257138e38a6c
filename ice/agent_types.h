// What goes into an ICE agent and comes out of it: options, events, counters.

#ifndef KYUU_ICE_AGENT_TYPES_H_
#define KYUU_ICE_AGENT_TYPES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/address_filter.h"
#include "base/compact_time.h"
#include "ice/candidate.h"
#include "ice/embedded_dtls.h"
#include "ice/policy.h"
#include "ice/stream_types.h"

namespace kyuu::ice {

// Who nominates (RFC 8445 section 6.1.1).
enum class Role : uint8_t { kControlling, kControlled };

// Whether the peer checks too, or only answers (RFC 8445 section 2.5).
enum class RemoteMode : uint8_t { kFull, kLite };

// The states of RTCIceTransportState (W3C webrtc-pc section 5.6.4).
enum class AgentState : uint8_t {
  kNew,           // The peer's credentials are not known.
  kChecking,      // Nothing works yet.
  kConnected,     // Data may flow; nothing is nominated yet.
  kCompleted,     // A nominated pair is in use.
  kDisconnected,  // The pair in use does not answer; others are tried.
  kFailed,        // Nothing works, or consent was lost. Restart() may mend it.
  kClosed,
};

absl::string_view ToString(Role role);
absl::string_view ToString(AgentState state);

// Ta where nothing else is agreed on, and its least value (RFC 8445 section
// 14.2).
constexpr absl::Duration kPacingDefault = absl::Milliseconds(50);
constexpr absl::Duration kPacingMin = absl::Milliseconds(5);

// AgreedPacing returns Ta for both sides of a session: the larger of what each
// says in its description (a=ice-pacing), where silence means the default (RFC
// 8839 section 5.5).
absl::Duration AgreedPacing(std::optional<absl::Duration> ours,
                            std::optional<absl::Duration> theirs);

struct AgentOptions {
  // Lite (RFC 8445 section 2.5), for who is reached at each of his addresses:
  // answers the peer's checks, makes none, and uses the pair that the peer
  // nominates. The peer's checks are its consent, too. With another lite agent
  // the best pair is in use at once, unchecked (section 8.2). Give it host
  // candidates only, and say so in the description (a=ice-lite).
  bool lite = false;

  // Ta, the least time between two checks that no authenticated packet of the
  // peer called for (RFC 8445 section 14.2), until SetPacing() says otherwise.
  absl::Duration ta = kPacingDefault;
  // The least retransmission timeout of a check; with N pairs waiting or in
  // progress it is N * Ta if that is more (RFC 8445 section 14.3).
  absl::Duration rto_initial = absl::Milliseconds(500);
  // Rc: the first transmission and six more, at most as many as `waits`.
  int max_transmissions = 7;
  // A pair that the peer was heard on, or that is nominated, is checked anew,
  // each time by a new transaction, after two round trips but never sooner than
  // `quick_interval`, up to `quick_checks` times; then as any other. Of an
  // address that only an unanswered check told (which may be a replayed one),
  // these are three of its max_transmissions.
  absl::Duration quick_interval = absl::Milliseconds(100);
  int quick_checks = 7;
  // The waits after them, in timeouts. RFC 8489 section 6.2.1 doubles from the
  // first on, which costs whoever loses two packets 1.5 s; here the same seven
  // packets in the same time begin with four at equal distance:
  // 0.5 * (1 + 1 + 1 + 4 + 8 + 16 + 48) = 39.5 s in all.
  std::array<int, 7> waits = {1, 1, 1, 4, 8, 16, 48};
  // How long to wait for the peer's checks before failing, even when all pairs
  // have failed already (RFC 8863 section 4).
  absl::Duration patience = absl::Milliseconds(39'500);

  // Consent (RFC 7675 section 5.1): a check after 0.8 to 1.2 of the interval,
  // no more data after `consent_expiry` without an answer.
  absl::Duration consent_interval = absl::Seconds(5);
  absl::Duration consent_expiry = absl::Seconds(30);
  // These checks leave at multiples of it, on the caller's clock: thousands of
  // idle agents wake their machine up fifty times a second, not thousands.
  absl::Duration consent_grid = absl::Milliseconds(20);
  // Tr, for valid pairs kept as a reserve (RFC 8445 section 11).
  absl::Duration keepalive_interval = absl::Seconds(15);
  size_t max_backup_pairs = 2;
  // A check of a valid pair without an answer for this long, or for three
  // round trips, makes the pair suspect: others are probed and, if they
  // answer, used. After `disconnected_after` all pairs are checked again.
  absl::Duration suspect_after = absl::Seconds(1);
  // Payload under way without anything coming back for this long, or for two
  // round trips, is a hint to ask at once: `probes` checks, one and a half
  // round trips apart but at least `probe_interval`, and the pair is suspect.
  absl::Duration probe_after = absl::Milliseconds(250);
  absl::Duration probe_interval = absl::Milliseconds(100);
  int probes = 3;
  // UDP and TCP between two addresses mostly fall silent together, and TCP's
  // answer may be no more than the first: it takes over from UDP that has been
  // silent for so long. Two peers whose machines stall for a while stay.
  absl::Duration stream_after_silence = absl::Seconds(2);
  // UDP that works for this long takes over from TCP: what is lost on the way
  // then holds up nothing else.
  absl::Duration renomination_wait_stream = absl::Seconds(10);
  // A direct pair that works for this long takes over from a relayed one.
  absl::Duration renomination_wait = absl::Milliseconds(500);
  // A peer that nominates another pair so long after the first one does not
  // nominate aggressively (RFC 5245 section 8.1.1.2): the newer one counts.
  absl::Duration aggressive_nomination = absl::Seconds(1);
  // Payload may come from an address that nobody told, when a NAT of the peer
  // forgot its mapping: checks sent to such ones, as nobody knows better.
  size_t max_strangers = 8;
  absl::Duration disconnected_after = absl::Seconds(5);

  // How long the controlling side lets a valid pair wait for better ones still
  // under way, at most. Data flows meanwhile. A relayed pair waits until the
  // direct ones had two chances.
  absl::Duration nomination_wait_direct = absl::Milliseconds(100);
  absl::Duration nomination_wait_relayed = absl::Seconds(1);

  // What decides on nomination, use and reserves.
  SelectionPolicy policy;
  // Decisions that wait to be polled, at most: of more the oldest are not told.
  // 0: none is.
  size_t decisions_max = 0;

  // How long a name may take to be resolved; then it is ignored. Nothing waits
  // for names: not the nomination, not the verdict "failed".
  absl::Duration name_deadline = absl::Seconds(10);

  // How long pairs of the last generation may carry data after a restart has
  // brought a new one into use.
  absl::Duration old_generation_linger = absl::Seconds(5);

  // SPED: whether checks may carry DTLS's handshake (Agent::embedded_dtls()).
  EmbeddedDtls::Use embedded_dtls = EmbeddedDtls::Use::kOff;

  // How long a TCP connection to the peer may take to be made, and one that is
  // made to us to bring a check of the peer (RFC 6544 section 7).
  absl::Duration stream_deadline = absl::Seconds(10);

  // Where the peer may be: others get nothing, and are not heard. Of relayed
  // paths too.
  AddressFilter peers;

  // Limits. RFC 8445 section 6.1.2.5 recommends 100 pairs; the rest bounds
  // what a peer, or a stranger, can make us hold.
  size_t max_local_candidates = 64;
  size_t max_remote_candidates = 100;
  size_t max_pairs = 100;
  size_t max_transactions = 256;
  size_t max_pending_responses = 64;
  size_t max_early_checks = 10;
  size_t max_pending_names = 16;
  size_t max_streams = 16;  // That we make, and as many that are made to us.

  friend bool operator==(const AgentOptions&, const AgentOptions&) = default;
};

// --- Events ---

// kCompleted never comes before kConnected.
struct StateChanged {
  AgentState state;
};
// The path to send data on has changed. Before `nominated` it may still move.
struct SelectedPair {
  Path path;
  CandidateType local_type;
  CandidateType remote_type;
  bool nominated;
  friend bool operator==(const SelectedPair&, const SelectedPair&) = default;
};
struct RoleChanged {
  Role role;
};
// Identifies a name to be resolved.
enum class NameId : uint32_t {};
// The peer offers a candidate by an mDNS name. Answer with NameResolved()
// within AgentOptions::name_deadline; a driver without mDNS may let it lie.
struct ResolveName {
  NameId id;
  std::string name;
};
// The agent is closed. Always the last event.
struct Closed {
  absl::Status status;
};

using AgentEvent =
    std::variant<StateChanged, SelectedPair, RoleChanged, ResolveName,
                 PeerStreamWanted, StreamUnwanted, Decision, Closed>;

// The states of a pair (RFC 8445 section 6.1.2.6).
enum class PairState : uint8_t {
  kFrozen,
  kWaiting,
  kInProgress,
  kSucceeded,
  kFailed,
};

// RTCStatsIceCandidatePairState: "frozen", "waiting", "in-progress",
// "succeeded" or "failed".
absl::string_view ToString(PairState state);

// What a pair has carried: payload, without what relays and TCP put around it,
// and answers to the peer's checks.
struct PairTraffic {
  uint64_t packets_sent = 0;
  uint64_t bytes_sent = 0;
  uint64_t packets_received = 0;
  uint64_t bytes_received = 0;
  CompactTime last_sent = absl::InfinitePast();
  CompactTime last_received = absl::InfinitePast();
  uint64_t responses_sent = 0;
};

// A snapshot of one pair, for statistics.
struct PairInfo {
  Path path;
  CandidateType local_type;
  CandidateType remote_type;
  PairState state;
  uint64_t priority;
  bool valid;
  bool nominated;
  absl::Duration rtt;      // Smoothed; zero when unknown.
  absl::Duration rtt_sum;  // Of all answers, as they were.
  uint64_t checks_sent;
  uint64_t consent_sent;  // Of those, the ones of RFC 7675.
  uint64_t responses_received;
  uint64_t requests_received;
  PairTraffic traffic;
};

}  // namespace kyuu::ice

#endif  // KYUU_ICE_AGENT_TYPES_H_

// Offer and answer (RFC 3264) as JSEP runs it (RFC 9429), for one data channel
// section: what to say to the peer, and what the peer's words mean.
//
//   caller:  offer = session.CreateOffer(local);  session.SetLocal(kOffer);
//            ... session.SetRemote(kAnswer, text) -> Change
//   callee:  session.SetRemote(kOffer, text) -> Change
//            answer = session.CreateAnswer(local); session.SetLocal(kAnswer);
//
// Session decides nothing about ICE, DTLS or SCTP: it tells what was agreed in
// remote() and what differs from before in Change. It has no clock and sends
// nothing. Audio and video sections in an offer are refused in the answer and
// keep their places from then on.

#ifndef KYUU_SDP_SESSION_H_
#define KYUU_SDP_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "dtls/fingerprint.h"
#include "ice/candidate.h"
#include "sdp/description.h"

namespace kyuu::sdp {

// SignalingState is RFC 9429 section 3.2's figure.
enum class SignalingState : uint8_t {
  kStable,
  kHaveLocalOffer,
  kHaveRemoteOffer,
  kHaveLocalPranswer,
  kHaveRemotePranswer,
  kClosed,
};
absl::string_view SignalingStateName(SignalingState state);

// SdpType says what a description is for. Rollback() is the fourth type.
enum class SdpType : uint8_t { kOffer, kPranswer, kAnswer };
absl::string_view SdpTypeName(SdpType type);
// ParseSdpType reads "offer", "pranswer" and "answer".
std::optional<SdpType> ParseSdpType(absl::string_view name);

// LocalTransport is what our descriptions say about us.
struct LocalTransport {
  // RFC 8839 section 5.4: 4..256 and 22..256 ice-chars.
  std::string ice_ufrag;
  std::string ice_pwd;
  // At least one. RFC 8122 section 5.
  std::vector<dtls::Fingerprint> fingerprints;
  // Written into the description; empty when every candidate is trickled.
  std::vector<ice::Candidate> candidates;
  // No candidate follows (RFC 8838 section 8.2).
  bool end_of_candidates = false;
};

// TransportParameters is what the peer's description says about its data
// channel transport, and what the two of us agreed on.
struct TransportParameters {
  std::string mid;         // Of the data section; empty if it has none.
  size_t mline_index = 0;  // Its place among the m= sections.
  std::string ice_ufrag;
  std::string ice_pwd;
  bool ice_lite = false;  // RFC 8445 section 2.5: we then control.
  bool trickle = false;   // RFC 8838 section 4.1.
  bool ice2 = false;      // RFC 8445 section 10.
  std::optional<absl::Duration> ice_pacing;     // RFC 8839 section 5.7.
  std::vector<dtls::Fingerprint> fingerprints;  // At least one usable.
  std::string tls_id;  // RFC 8842 section 4; empty if none.
  // Our role in DTLS: kActive (client) or kPassive (server). nullopt while
  // only an offer is known.
  std::optional<Setup> local_setup;
  uint16_t sctp_port = 5000;  // The peer's (RFC 8841 section 5).
  // The largest message that the peer takes, in bytes; 0 is "any size".
  uint64_t max_message_size = 64 * 1024;  // RFC 8841 section 6.1.
  std::string sctp_init;  // a=sctp-init as it was written; else empty.
  // Candidates inside the description. Those of a transport or a type unknown
  // to ice::Candidate are left out (RFC 8839 section 5.1).
  std::vector<ice::Candidate> candidates;
  bool end_of_candidates = false;
};

// Change is what applying one description made different: the caller acts on
// it, reading remote() for the values.
struct Change {
  SignalingState state = SignalingState::kStable;
  // remote() carries peer credentials that ICE does not know yet: at the first
  // exchange, at a restart, or after a rollback.
  bool remote_ice = false;
  // The same for our own credentials, now in a local description.
  bool local_ice = false;
  // The credentials just named replace others: an ICE restart (RFC 8839
  // section 4.4.1.1.1).
  bool ice_restart = false;
  // The peer's fingerprints (or tls-id) replace others: a new DTLS association
  // is needed (RFC 8842 section 5.1).
  bool dtls_restart = false;
  // remote() carries candidates, or the end of them, not seen before.
  bool remote_candidates = false;
  // An answer was applied, provisional or final: local_setup is set.
  bool answered = false;
  // The final answer refused the data section, or a rollback took it back:
  // remote() is nullopt and its transport ends.
  bool data_ended = false;
  // A pending offer was taken back, by Rollback() or because a remote offer
  // met a local one.
  bool rolled_back = false;
};

class Session {
 public:
  struct Options {
    Limits limits;
    // What we accept per message (RFC 8841 section 6); 0 says "any size".
    uint64_t max_message_size = 256 * 1024;
    uint16_t sctp_port = 5000;  // RFC 8831 section 6.2 suggests it.
    // Our role when the offer leaves the choice: RFC 8842 section 5.3
    // recommends kActive. kActive or kPassive.
    Setup answer_setup = Setup::kActive;
    // Announced as a=ice-pacing (RFC 8839 section 5.7) when set.
    std::optional<absl::Duration> ice_pacing;
    // Write "a=msid-semantic: WMS", as browsers do. No one needs it.
    bool msid_semantic = false;
    // Candidates kept from one description (RFC 8839 sets no bound); further
    // ones are dropped and counted.
    size_t candidates_max = 100;
  };

  struct Stats {
    uint64_t candidates_ignored = 0;  // Unknown transport or type.
    uint64_t candidates_dropped = 0;  // Beyond candidates_max.
  };

  // `random` is used for the session id of the o= line only, now.
  Session(const Options& options, Random& random);

  // CreateOffer and CreateAnswer write a description; SetLocal applies it.
  // INVALID_ARGUMENT if `local` cannot be written. FAILED_PRECONDITION in a
  // state without room for one (offer: kStable, kHaveLocalOffer; answer:
  // kHaveRemoteOffer, kHaveLocalPranswer), or if the peer restarted ICE and
  // `local` still has the old credentials (RFC 8839 section 4.4.1.1.1).
  absl::StatusOr<std::string> CreateOffer(const LocalTransport& local);
  absl::StatusOr<std::string> CreateAnswer(const LocalTransport& local);

  // SetLocal applies the description that CreateOffer or CreateAnswer returned
  // last; with `sdp`, it must be that one unaltered (RFC 9429 section 5.4),
  // else INVALID_ARGUMENT. FAILED_PRECONDITION in a wrong state, or if nothing
  // was created since the state last changed.
  absl::StatusOr<Change> SetLocal(SdpType type);
  absl::StatusOr<Change> SetLocal(SdpType type, absl::string_view sdp);

  // SetRemote applies the peer's description. In kHaveLocalOffer a remote
  // offer takes our own back first (implicit rollback, as W3C has it: whoever
  // must not yield does not call).
  // INVALID_ARGUMENT or RESOURCE_EXHAUSTED if the text is wrong (see
  // Description::Parse) or says what RFC 9429 section 5.8.3 forbids;
  // FAILED_PRECONDITION in a wrong state. After an error nothing has changed.
  absl::StatusOr<Change> SetRemote(SdpType type, std::string sdp);

  // Rollback takes the pending offer back, ours or the peer's (RFC 9429
  // section 4.1.10.2). FAILED_PRECONDITION in any other state.
  absl::StatusOr<Change> Rollback();

  // Close ends it; every later call but the getters fails.
  void Close() { state_ = SignalingState::kClosed; }

  SignalingState state() const { return state_; }

  // The peer's parameters, pending ones first; nullopt before any description
  // of the peer, and after the data section was refused.
  const std::optional<TransportParameters>& remote() const;
  // The mid and the index of our data section, for candidates that are
  // trickled; from the newest local description, else the remote one.
  absl::string_view data_mid() const;
  size_t data_mline_index() const;
  // True if our side sent the first offer that was answered, or is pending:
  // ICE's controlling side unless the peer is lite (RFC 8445 section 6.1.1).
  bool offerer() const;

  // The descriptions as W3C names them; nullptr when there is none. They live
  // until the next call that is not a getter.
  const Description* current_local_description() const;
  const Description* pending_local_description() const;
  const Description* current_remote_description() const;
  const Description* pending_remote_description() const;

  const Stats& stats() const { return stats_; }
};

}  // namespace kyuu::sdp

#endif  // KYUU_SDP_SESSION_H_

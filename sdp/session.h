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
// nothing. It alone knows what is negotiated, and whether that is enough.
//
// The unit is the transport, named by the tagged section of its BUNDLE group
// (RFC 9143), not the m= section. Audio and video that share the transport of
// data are answered as Options::media says, else parked: as inactive, with the
// formats that were offered, so that the transport lives. All other media is
// refused. All keep their places.

#ifndef KYUU_SDP_SESSION_H_
#define KYUU_SDP_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/random.h"
#include "ice/credentials.h"
#include "sdp/change.h"
#include "sdp/description.h"
#include "sdp/finding.h"
#include "sdp/media_capability.h"
#include "sdp/signaling_state.h"
#include "sdp/transport_parameters.h"

namespace kyuu::sdp {

namespace internal {
struct LocalIdentity;
}  // namespace internal

class Session {
 public:
  struct Options {
    Limits limits;
    // What we accept per message (RFC 8841 section 6); 0 says "any size".
    uint64_t max_message_size = 256 * 1024;
    uint16_t sctp_port = 5000;  // Of our side. What browsers write.
    // Our role when the offer leaves the choice: RFC 8842 section 5.3
    // recommends kActive. kActive or kPassive.
    Setup answer_setup = Setup::kActive;
    // Announced as a=ice-pacing (RFC 8839 section 5.5) when set.
    std::optional<absl::Duration> ice_pacing;
    // Write "a=msid-semantic: WMS", as browsers do. No one needs it.
    bool msid_semantic = false;
    // How audio and video of the peer are answered, by kind: the first one
    // counts.
    std::vector<MediaCapability> media;
    // Candidates kept from one description (RFC 8839 sets no bound); further
    // ones are dropped and counted.
    size_t candidates_max = 100;
    // Fingerprints that one section may have; more are refused. Browsers
    // write one.
    size_t fingerprints_max = 16;
  };

  struct Stats {
    // Malformed, or of an unknown transport, type or component.
    uint64_t candidates_ignored = 0;
    uint64_t candidates_dropped = 0;  // Beyond candidates_max.
  };

  // `random` gives the session id of the o= line, now, and is not kept.
  Session(const Options& options, Random& random);

  // CreateOffer and CreateAnswer write a description; SetLocal applies it. New
  // credentials in `local` make an offer an ICE restart.
  // INVALID_ARGUMENT if `local` cannot be written, or changes only one of the
  // two credentials. FAILED_PRECONDITION in a state without room for one
  // (offer: kStable, kHaveLocalOffer; answer: kHaveRemoteOffer,
  // kHaveLocalPranswer), or if an answer has old credentials where the offer
  // has new ones, or the other way round (RFC 8839 section 4.4.1.1.1).
  absl::StatusOr<std::string> CreateOffer(const LocalTransport& local);
  absl::StatusOr<std::string> CreateAnswer(const LocalTransport& local);

  // SetLocal applies the description that CreateOffer or CreateAnswer returned
  // last; with `sdp`, it must be that one unaltered (RFC 9429 section 5.4),
  // else INVALID_ARGUMENT. As W3C's [[LastCreatedOffer]] and
  // [[LastCreatedAnswer]] it may be set again, an answer first as a provisional
  // one, until the end of the exchange; an answer also not after the peer's
  // next description or a rollback, which an offer outlives.
  // FAILED_PRECONDITION in a wrong state, or if nothing was created.
  absl::StatusOr<Change> SetLocal(SdpType type);
  absl::StatusOr<Change> SetLocal(SdpType type, absl::string_view sdp);

  // SetRemote applies the peer's description. In kHaveLocalOffer a remote
  // offer takes our own back first (implicit rollback, as W3C has it: whoever
  // must not yield does not call).
  // INVALID_ARGUMENT or RESOURCE_EXHAUSTED if the text is wrong (see
  // Description::Parse) or says what RFC 9429 section 5.8.3 forbids;
  // FAILED_PRECONDITION in a wrong state. After an error nothing has changed.
  absl::StatusOr<Change> SetRemote(SdpType type, absl::string_view sdp);

  // Rollback takes the pending offer back, ours or the peer's, answered
  // provisionally or not (RFC 9429 section 5.7). FAILED_PRECONDITION in
  // kStable and kClosed.
  absl::StatusOr<Change> Rollback();

  // Close ends it; every later call but the getters fails.
  void Close();

  SignalingState state() const { return state_; }

  // The peer's parameters, pending ones first; nullopt before any description
  // of the peer, and after the data section was refused.
  const std::optional<TransportParameters>& remote() const;
  // Those of the last complete exchange.
  const std::optional<TransportParameters>& agreed() const {
    return current_.transport;
  }
  // The m= sections of the newest local description, else of the remote one.
  std::vector<Section> sections() const;
  // The mid and the index of the tagged section of data's transport, for
  // candidates that are trickled: from the newest local description, else the
  // remote one; empty and 0 before both.
  std::string tag_mid() const;
  size_t tag_mline_index() const;
  // Whether a candidate of the peer belongs to data's transport: told under any
  // mid that shares it (RFC 9143 section 7.1.3), or an index if `mid` is empty.
  bool Shares(absl::string_view mid, size_t mline_index) const;

  // W3C webrtc-pc section 4.7.3: whether an offer is due, because data channels
  // are wanted and no data section was negotiated, or ICE is to restart. True
  // once for each need, and only in kStable.
  void WantData() { data_wanted_ = true; }
  void WantRestart();
  bool restart_wanted() const { return !ufrags_to_replace_.empty(); }
  bool TakeNegotiationNeeded();
  // Ours in the newest local description; empty without a data section.
  ice::Credentials local_credentials() const;
  // Whether both sides have told their a=sctp-init, the peer's being
  // remote()->sctp_init, so that SCTP needs no handshake.
  bool sctp_init_agreed() const;
  // True if our side sent the first offer that was answered, or is pending:
  // ICE's controlling side unless the peer is lite (RFC 8445 section 6.1.1).
  bool offerer() const;

  // LocalDescriptionWith is the newest local description with the candidates
  // gathered since: what W3C calls localDescription, and what is sent to a
  // peer that does not trickle. The session version stays (RFC 9429 section
  // 5.2.2). FAILED_PRECONDITION without a local description.
  absl::StatusOr<std::string> LocalDescriptionWith(
      absl::Span<const ice::Candidate> candidates,
      bool end_of_candidates) const;

  // The descriptions as W3C names them; nullptr when there is none. They live
  // until the next call that is not a getter.
  const Description* current_local_description() const;
  const Description* pending_local_description() const;
  const Description* current_remote_description() const;
  const Description* pending_remote_description() const;
  // What the newest ones are for, pending ones first; nullopt without one.
  std::optional<SdpType> local_type() const;
  std::optional<SdpType> remote_type() const;

  // What the newest remote description says against the grammar, where nothing
  // depends on it: Description::Judge() of it, at most Limits::findings_max.
  std::vector<Finding> findings() const;
  const Stats& stats() const { return stats_; }

 private:
  // One side's view of a negotiation: what was said, and what it means.
  struct Negotiation {
    std::optional<Description> local;
    std::optional<Description> remote;
    SdpType local_type = SdpType::kOffer;
    SdpType remote_type = SdpType::kOffer;
    // From `remote`: the peer's parameters, and which section is for data.
    std::optional<TransportParameters> transport;
    size_t data = 0;
  };
  // Written last.
  struct Created {
    SdpType type;  // kOffer or kAnswer.
    Description description;
  };
  // What a Change is measured against.
  struct Snapshot {
    std::optional<TransportParameters> remote;
    std::string local_ufrag;
    std::string tag;
  };

  absl::StatusOr<std::string> Keep(
      SdpType type,
      absl::FunctionRef<absl::StatusOr<std::string>(uint64_t version)> write);
  internal::LocalIdentity Identity(uint64_t version,
                                   std::string sctp_init) const;
  bool OffersSctpInit() const;
  bool AnswersSctpInit() const;
  bool current_agrees_sctp_init() const;
  Setup AnswerSetup() const;
  absl::Status CheckAnswerCredentials(const LocalTransport& local) const;
  Snapshot TakeSnapshot() const;
  Change Finish(const Snapshot& before, SignalingState next,
                std::optional<SdpType> applied);
  TransportChange Compare(const Snapshot& before) const;
  void DropAnswer();
  void Promote();
  const Description* newest_local() const;
  const Description* newest_remote() const;
  size_t remote_data() const;
  std::optional<size_t> Tag() const;

  Options options_;
  uint64_t session_id_;
  uint64_t version_ = 0;  // The newest one written; 0: none.
  size_t last_hash_ = 0;  // Of the text written under it.
  SignalingState state_ = SignalingState::kStable;
  Negotiation current_;
  Negotiation pending_;
  std::optional<Created> created_;
  std::optional<bool> first_offerer_;
  bool data_wanted_ = false;
  std::vector<std::string> ufrags_to_replace_;  // By a restart; then empty.
  bool negotiation_needed_told_ = false;        // Of the present need.
  Stats stats_;
};

}  // namespace kyuu::sdp

#endif  // KYUU_SDP_SESSION_H_

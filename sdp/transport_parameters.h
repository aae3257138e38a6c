// What a description says about the transport of data channels: ours, to be
// written, and the peer's, as it was read.

#ifndef KYUU_SDP_TRANSPORT_PARAMETERS_H_
#define KYUU_SDP_TRANSPORT_PARAMETERS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "dtls/fingerprint.h"
#include "ice/candidate.h"
#include "ice/compact/candidate_list.h"
#include "sdp/attribute.h"

namespace kyuu::sdp {

// LocalTransport is what our descriptions say about us.
struct LocalTransport {
  // RFC 8839 section 5.4: 4..256 and 22..256 ice-chars.
  std::string ice_ufrag;
  std::string ice_pwd;
  // At least one. RFC 8122 section 5.
  std::vector<dtls::Fingerprint> fingerprints;
  // Written into the description; empty when every candidate is trickled.
  std::vector<ice::Candidate> candidates;
  // We are a lite agent (RFC 8445 section 2.5).
  bool ice_lite = false;
  // No candidate follows (RFC 8838 section 13).
  bool end_of_candidates = false;
  // Our checks may carry DTLS (draft-hancke-webrtc-sped): told as ICE options,
  // which libwebrtc wants to see in an offer.
  bool sped = false;
  // Our a=sctp-init (draft-hancke-tsvwg-snap), in base64; empty for none. It is
  // written where the draft has it: not in an answer to an offer without one.
  std::string sctp_init;
};

// TransportParameters is what the peer's description says about its data
// channel transport, and what the two of us agreed on.
struct TransportParameters {
  // The mid of the tagged section, by which the transport is known (RFC 9143
  // section 7.1.3): that of the data section itself unless others share it;
  // empty if it has none.
  std::string tag;
  std::string ice_ufrag;
  std::string ice_pwd;
  bool ice_lite = false;                        // RFC 8445 section 2.5.
  bool trickle = false;                         // RFC 8838 section 3.
  bool ice2 = false;                            // RFC 8445 section 10.
  bool sped = false;                            // draft-hancke-webrtc-sped.
  std::optional<absl::Duration> ice_pacing;     // RFC 8839 section 5.5.
  std::vector<dtls::Fingerprint> fingerprints;  // At least one usable.
  std::string tls_id;                    // RFC 8842 section 4; empty if none.
  Setup remote_setup = Setup::kActpass;  // As the peer wrote it.
  // Our role in DTLS: kActive (client) or kPassive (server). nullopt while
  // only an offer is known.
  std::optional<Setup> local_setup;
  uint16_t sctp_port = 5000;  // The peer's (RFC 8841 section 5).
  // The largest message that the peer takes, in bytes; 0 is "any size".
  uint64_t max_message_size = 64 * 1024;  // RFC 8841 section 6.1.
  // a=sctp-init as it was written; else empty, also where an answer sends our
  // own back: libdatachannel does so with what it does not know.
  std::string sctp_init;
  // Candidates inside the description, kept as long as it is. Those of a
  // transport or a type unknown to ice::Candidate are left out (RFC 8839
  // section 5.1).
  ice::CandidateList candidates;
  bool end_of_candidates = false;
};

// SameDtls is true if both descriptions mean the same DTLS association: equal
// fingerprints, in any order, and no tls-id that differs (RFC 8842 section 5).
bool SameDtls(const TransportParameters& a, const TransportParameters& b);

// SameIce is true if both name the same generation of ICE credentials.
bool SameIce(const TransportParameters& a, const TransportParameters& b);

}  // namespace kyuu::sdp

#endif  // KYUU_SDP_TRANSPORT_PARAMETERS_H_

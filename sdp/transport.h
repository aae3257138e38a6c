// The attributes of transports, ICE, DTLS and SCTP, as small values. Views
// point into the text that was read. What a peer connection needs of them is
// TransportParameters, which Session fills.

#ifndef KYUU_SDP_TRANSPORT_H_
#define KYUU_SDP_TRANSPORT_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "sdp/attribute_type.h"
#include "sdp/syntax.h"

namespace kyuu::sdp {

// Setup is the value of a=setup (RFC 4145 section 4): who opens the DTLS
// association. kActive is the DTLS client.
enum class Setup : uint8_t { kActive, kPassive, kActpass, kHoldconn };
// ParseSetup takes any case of letters, as browsers do.
std::optional<Setup> ParseSetup(absl::string_view value);
absl::string_view SetupName(Setup setup);

// a=group:<semantics> <mid>... (RFC 5888 section 5, RFC 9143 for BUNDLE).
struct Group {
  static constexpr AttributeType kType = AttributeType::kGroup;
  absl::string_view semantics;
  Pieces mids;

  static Parsed<Group> Parse(absl::string_view value);
};

// a=ice-options:<tag>... (RFC 8839 section 5.6).
struct IceOptions {
  static constexpr AttributeType kType = AttributeType::kIceOptions;
  // Separated by blanks; libdatachannel has commas.
  Pieces tags;

  static Parsed<IceOptions> Parse(absl::string_view value);
};

// a=fingerprint:<hash function> <digest> (RFC 8122 section 5), as it is
// written. dtls::Fingerprint is the value that certificates are compared with.
struct FingerprintText {
  static constexpr AttributeType kType = AttributeType::kFingerprint;
  absl::string_view hash_function;  // "sha-256".
  absl::string_view digest;         // "CD:E7:...".

  static Parsed<FingerprintText> Parse(absl::string_view value);
};

// a=sctpmap:<port> <application>[ <streams>], of the form from before RFC 8841
// (draft-ietf-mmusic-sctp-sdp-05 section 6).
struct Sctpmap {
  static constexpr AttributeType kType = AttributeType::kSctpmap;
  uint16_t port = 0;
  absl::string_view application;  // "webrtc-datachannel".
  std::optional<uint16_t> streams;

  static Parsed<Sctpmap> Parse(absl::string_view value);
};

// a=remote-candidates:<component> <address> <port>... (RFC 8839 section 5.2).
struct RemoteCandidates {
  static constexpr AttributeType kType = AttributeType::kRemoteCandidates;
  struct Candidate {
    uint16_t component = 0;  // 1..256.
    absl::string_view address;
    uint16_t port = 0;
  };
  absl::string_view list;  // As it was written; TakeFirst() takes it apart.

  // Cuts the first candidate off the list; nullopt at its end.
  std::optional<Candidate> TakeFirst();
  static Parsed<RemoteCandidates> Parse(absl::string_view value);
};

// a=identity:<assertion>[ <extension>...] (RFC 8827 section 5).
struct Identity {
  static constexpr AttributeType kType = AttributeType::kIdentity;
  absl::string_view assertion;  // Base64.
  Pieces extensions;            // "name" or "name=value".

  static Parsed<Identity> Parse(absl::string_view value);
};

}  // namespace kyuu::sdp

#endif  // KYUU_SDP_TRANSPORT_H_

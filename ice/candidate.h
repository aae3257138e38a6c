// ICE candidates (RFC 8445 section 5.1): the value, its line in SDP (RFC 8839
// section 5.1, RFC 6544 section 4.5 for TCP), priorities and foundations.

#ifndef KYUU_ICE_CANDIDATE_H_
#define KYUU_ICE_CANDIDATE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/address.h"

namespace kyuu::ice {

// The types of RFC 8445 section 5.1.1, cheapest way first.
enum class CandidateType : uint8_t {
  kHost,
  kServerReflexive,
  kPeerReflexive,
  kRelayed,
};

// Who opens the connection of a TCP candidate (RFC 6544 section 4.5).
enum class TcpType : uint8_t { kActive, kPassive, kSimultaneousOpen };

// How a relayed candidate's TURN server is reached, best first
// (RTCIceServerTransportProtocol).
// In the order of our preference.
enum class RelayProtocol : uint8_t { kUdp, kDtls, kTcp, kTls };

// "host", "srflx", "prflx" or "relay" (RFC 8839 section 5.1).
absl::string_view ToString(CandidateType type);
// "active", "passive" or "so".
absl::string_view ToString(TcpType type);
// "udp", "dtls", "tcp" or "tls".
absl::string_view ToString(RelayProtocol protocol);

struct Candidate;

// CandidateExtensions are the names and values at the end of a candidate line:
// one text, "generation 0 network-cost 10", as hardly anyone asks for them.
class CandidateExtensions {
 public:
  // What is no word of visible ASCII, and would break the line, becomes "-".
  void Add(absl::string_view name, absl::string_view value);
  // The value of the first one of that name; nullopt when absent. A view into
  // this object.
  std::optional<absl::string_view> Get(absl::string_view name) const;

  bool empty() const { return text_.empty(); }
  // How many there are: counted.
  size_t size() const;
  // As they stand in a line, with one blank between two words.
  absl::string_view text() const { return text_; }

  friend bool operator==(const CandidateExtensions&,
                         const CandidateExtensions&) = default;

 private:
  friend struct Candidate;
  std::string text_;
};

// Candidate is one transport address of an agent. A plain value: the agent
// gives it meaning.
struct Candidate {
  // Limits of the parser, against hostile lines. Extensions beyond are dropped.
  static constexpr size_t kMaxLineSize = 2048;
  static constexpr size_t kMaxExtensions = 32;
  // RFC 1035 section 2.3.4.
  static constexpr size_t kMaxNameSize = 255;

  // 1*32ice-char (RFC 8839 section 5.1); the parser takes any visible ASCII.
  std::string foundation;
  uint16_t component = 1;  // 1 to 256.
  Transport transport = Transport::kUdp;
  uint32_t priority = 0;  // 1 to 2^31 - 1.
  // Where the candidate is reached. `address.ip` is of the unspecified family
  // when the line gave `name` in place of an IP literal.
  TransportAddress address;
  // An mDNS name ("<uuid>.local") or another host name, as it was written; ""
  // when `address` is told. One of ours that hides its address has both.
  std::string name;
  CandidateType type = CandidateType::kHost;
  // raddr and rport: diagnostics only. An agent that hides its addresses
  // writes 0.0.0.0 (or ::) and 0.
  std::optional<TransportAddress> related;
  // Present on every TCP candidate, absent on UDP ones.
  std::optional<TcpType> tcp_type;
  // All other name-value pairs, in the order of the line.
  CandidateExtensions extensions;

  // The address to send from: the `Path.local` that reaches the wire (RFC 8445
  // section 5.1.1.1, "base"). For host and relayed candidates it equals
  // `address`. Known for local candidates only and never written to a line.
  TransportAddress base;
  // Of our own relayed candidates only; never written to a line.
  std::optional<RelayProtocol> relay_protocol;
  // The server that told it, as it was configured; of our own server-reflexive
  // and relayed candidates only, and never written to a line.
  TransportAddress server;

  // Parse reads a candidate line, with or without a leading "a=" and
  // "candidate:". It is the one reader of this grammar. What says how to reach
  // the candidate must be right; what does not is not judged: a scope
  // ("fe80::1%3"), an odd related address, a tcptype beside UDP and a last word
  // without a partner are dropped, a priority out of its range is brought into
  // it. INVALID_ARGUMENT for a malformed line (and any CR, LF, NUL or other
  // control character), UNIMPLEMENTED for one with a transport, type or tcptype
  // that this package does not know: such candidates are to be ignored (RFC
  // 8839 section 5.1).
  static absl::StatusOr<Candidate> Parse(absl::string_view line);

  // The line without "a=": "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ
  // host". Never contains CR, LF or NUL: a field that would break the line
  // (only a caller can put one there) is written as "-".
  std::string ToString() const;

  // The user name fragment that says which generation the candidate belongs to
  // (RFC 8838 section 9, written by browsers); nullopt when absent.
  std::optional<absl::string_view> ufrag() const {
    return extensions.Get("ufrag");
  }

  bool is_name() const { return !name.empty(); }
  // True for a name that only multicast DNS may resolve (RFC 6762 section 3).
  bool is_mdns() const;

  friend bool operator==(const Candidate&, const Candidate&) = default;

 private:
  absl::Status Read(absl::string_view line);
};

// Type preferences, as RFC 8445 section 5.1.2.2 recommends them.
constexpr uint32_t TypePreference(CandidateType type) {
  switch (type) {
    case CandidateType::kHost:
      return 126;
    case CandidateType::kPeerReflexive:
      return 110;
    case CandidateType::kServerReflexive:
      return 100;
    case CandidateType::kRelayed:
      return 0;
  }
  return 0;
}

// Priority of RFC 8445 section 5.1.2.1:
//   2^24 * type preference + 2^8 * local preference + 256 - component
constexpr uint32_t Priority(CandidateType type, uint16_t local_preference,
                            uint16_t component = 1) {
  return TypePreference(type) << 24 | uint32_t{local_preference} << 8 |
         (256u - component);
}

// Of TCP candidates (RFC 6544 section 4.2): below all direct ones over UDP and
// above relays, as libwebrtc has them.
constexpr uint32_t TcpTypePreference(CandidateType type) {
  switch (type) {
    case CandidateType::kHost:
      return 90;
    case CandidateType::kPeerReflexive:
    case CandidateType::kServerReflexive:
      return 80;
    case CandidateType::kRelayed:
      return 0;
  }
  return 0;
}

// Priority of a TCP candidate (RFC 6544 section 4.2), where who connects counts
// more than `local_preference`, of which 13 bits do.
constexpr uint32_t TcpPriority(CandidateType type, TcpType tcp_type,
                               uint16_t local_preference,
                               uint16_t component = 1) {
  const uint32_t direction = tcp_type == TcpType::kActive    ? 6
                             : tcp_type == TcpType::kPassive ? 4
                                                             : 2;
  return TcpTypePreference(type) << 24 |
         (direction << 13 | local_preference >> 3) << 8 | (256u - component);
}

// RelayPriority puts relays over UDP (and DTLS, which is the same to a packet)
// before those over TCP, and both before TLS, whatever network they are reached
// by: type preferences 2, 1 and 0, as browsers have them.
constexpr uint32_t RelayPriority(RelayProtocol protocol,
                                 uint16_t local_preference,
                                 uint16_t component = 1) {
  const uint32_t preference = protocol == RelayProtocol::kTls   ? 0
                              : protocol == RelayProtocol::kTcp ? 1
                                                                : 2;
  return preference << 24 |
         Priority(CandidateType::kRelayed, local_preference, component);
}

// How what is sent to a server by `protocol` is told from plain datagrams, as
// Path::transport: kTcp for TLS too, since it is a stream like any other here.
constexpr Transport TransportTo(RelayProtocol protocol) {
  switch (protocol) {
    case RelayProtocol::kUdp:
      return Transport::kUdp;
    case RelayProtocol::kDtls:
      return Transport::kDtls;
    case RelayProtocol::kTcp:
    case RelayProtocol::kTls:
      return Transport::kTcp;
  }
  return Transport::kUdp;
}

// PairPriority of RFC 8445 section 6.1.2.3, where `controlling` and
// `controlled` are the priorities of the two agents' candidates.
constexpr uint64_t PairPriority(uint32_t controlling, uint32_t controlled) {
  const uint64_t low = controlling < controlled ? controlling : controlled;
  const uint64_t high = controlling < controlled ? controlled : controlling;
  return (low << 32) + 2 * high + (controlling > controlled ? 1 : 0);
}

// Foundations hands out foundations: the same text for candidates of the same
// type, base IP address, server IP address and transport, another one for all
// others (RFC 8445 section 5.1.1.3). They are small numbers in the order of the
// first request, so that they tell nothing about an address.
class Foundations {
 public:
  // `server` is of the unspecified family for host candidates.
  std::string Get(CandidateType type, const IpAddress& base,
                  const IpAddress& server, Transport transport);

 private:
  // One behind the other, each behind its size: some ten bytes for IPv4.
  std::string keys_;
};

}  // namespace kyuu::ice

#endif  // KYUU_ICE_CANDIDATE_H_

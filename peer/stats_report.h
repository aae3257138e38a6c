// StatsReport: what W3C's getStats() tells of a connection for data, with the
// names of webrtc-stats.

#ifndef KYUU_PEER_STATS_REPORT_H_
#define KYUU_PEER_STATS_REPORT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "peer/connection_stats.h"

namespace kyuu::peer {

// RTCStats. Ids are unique within a report, and stay those of the same object
// in later ones of the same connection.
struct StatsHeader {
  std::string id;
  absl::Time timestamp;
};

// RTCPeerConnectionStats (section 8.5).
struct PeerConnectionStats : StatsHeader {
  uint64_t data_channels_opened = 0;
  uint64_t data_channels_closed = 0;
};

// RTCDataChannelStats (section 8.6).
struct DataChannelReport : StatsHeader {
  std::string label;
  std::string protocol;
  std::optional<uint16_t> data_channel_identifier;  // Once it is known.
  std::string state;  // "connecting", "open", "closing" or "closed".
  ChannelStats counters;
};

// RTCTransportStats (section 8.7). Bytes are those of datagrams without IP and
// UDP.
struct TransportStats : StatsHeader {
  uint64_t packets_sent = 0;
  uint64_t packets_received = 0;
  uint64_t bytes_sent = 0;
  uint64_t bytes_received = 0;
  std::string ice_role;  // "controlling" or "controlled".
  std::string ice_local_username_fragment;
  std::string ice_state;    // "new", "checking", ...
  std::string dtls_state;   // "new", "connecting", "connected", "closed", ...
  std::string dtls_role;    // "client", "server" or "unknown".
  std::string tls_version;  // Four hex digits, "FEFD"; empty before.
  std::string dtls_cipher;  // The suite's name; empty before.
  std::string local_certificate_id;
  std::string remote_certificate_id;       // Empty before DTLS has one.
  std::string selected_candidate_pair_id;  // Empty without a path.
  uint64_t selected_candidate_pair_changes = 0;
};

// RTCIceCandidateStats (section 8.8), "local-candidate" or "remote-candidate".
struct IceCandidateStats : StatsHeader {
  bool is_remote = false;
  std::string transport_id;
  std::string address;
  uint16_t port = 0;
  std::string protocol;        // "udp" or "tcp".
  std::string candidate_type;  // "host", "srflx", "prflx" or "relay".
  // What is told of the address behind a reflexive or relayed one; empty and 0
  // where nothing is.
  std::string related_address;
  uint16_t related_port = 0;
  // Of local ones only:
  std::string username_fragment;
  uint32_t priority = 0;
  std::string foundation;
  std::string relay_protocol;  // "udp", "dtls", "tcp" or "tls"; of relays.
  // The server that told it, "turns:example.org:5349?transport=tcp"; of "srflx"
  // and "relay".
  std::string url;
  std::string tcp_type;  // "active", "passive" or "so"; of TCP.
};

// RTCIceCandidatePairStats (section 8.9).
struct IceCandidatePairStats : StatsHeader {
  std::string transport_id;
  std::string local_candidate_id;
  std::string remote_candidate_id;
  std::string state;  // "frozen", "waiting", "in-progress", "succeeded", ...
  bool nominated = false;
  // Of the last answers, smoothed; nullopt before the first.
  std::optional<absl::Duration> current_round_trip_time;
  // Of all answers to the first sending of a check.
  absl::Duration total_round_trip_time;
  uint64_t requests_sent = 0;  // With those for consent.
  uint64_t consent_requests_sent = 0;
  uint64_t responses_received = 0;
  uint64_t requests_received = 0;
  uint64_t responses_sent = 0;
  // Payload, without checks, and without what relays and TCP put around it.
  uint64_t packets_sent = 0;
  uint64_t packets_received = 0;
  uint64_t bytes_sent = 0;
  uint64_t bytes_received = 0;
  // On the clock of the report; nullopt before the first.
  std::optional<absl::Time> last_packet_sent_timestamp;
  std::optional<absl::Time> last_packet_received_timestamp;
};

// RTCCertificateStats (section 8.10), without the certificate itself.
struct CertificateStats : StatsHeader {
  std::string fingerprint;            // "AB:CD:..."
  std::string fingerprint_algorithm;  // "sha-256"
};

// A snapshot. Empty lists are of what there is none of.
struct StatsReport {
  PeerConnectionStats peer_connection;
  TransportStats transport;
  std::vector<IceCandidateStats> candidates;
  std::vector<IceCandidatePairStats> candidate_pairs;
  std::vector<CertificateStats> certificates;
  std::vector<DataChannelReport> data_channels;

  // As JSON, an object from each id to its RTCStats with W3C's names of
  // members, times in milliseconds and round trips in seconds: what
  // `Object.fromEntries(await pc.getStats())` is in a browser.
  std::string ToJson() const;
};

// Of `stats` and the channels that are not closed; the `timestamp` of those is
// filled in.
StatsReport MakeStatsReport(absl::Time timestamp, const ConnectionStats& stats,
                            std::vector<DataChannelReport> channels);

}  // namespace kyuu::peer

#endif  // KYUU_PEER_STATS_REPORT_H_

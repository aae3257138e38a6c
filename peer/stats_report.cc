#include "peer/stats_report.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "ice/agent_types.h"
#include "ice/candidate.h"
#include "nlohmann/json.hpp"

namespace kyuu::peer {
namespace {

using nlohmann::json;

constexpr absl::string_view kTransportId = "T0";

std::string DtlsState(const ConnectionStats& stats) {
  if (stats.connection_state == ConnectionState::kClosed) return "closed";
  if (stats.dtls_session) return "connected";
  const bool path = stats.ice_state == ice::AgentState::kConnected ||
                    stats.ice_state == ice::AgentState::kCompleted;
  if (stats.connection_state == ConnectionState::kFailed && path) {
    return "failed";
  }
  return path ? "connecting" : "new";
}

std::string DtlsRole(const ConnectionStats& stats) {
  if (!stats.dtls_role) return "unknown";
  return *stats.dtls_role == sdp::Setup::kActive ? "client" : "server";
}

CertificateStats Describe(const dtls::Fingerprint& fingerprint,
                          absl::string_view id, absl::Time timestamp) {
  CertificateStats certificate{{std::string(id), timestamp}, {}, {}};
  // "sha-256 AB:CD:..."
  const std::string text = fingerprint.ToString();
  certificate.fingerprint_algorithm =
      std::string(dtls::HashName(fingerprint.algorithm()));
  certificate.fingerprint = text.substr(text.find(' ') + 1);
  return certificate;
}

// Collects candidates, each once.
class Candidates {
 public:
  // `ufrag` is ours.
  Candidates(StatsReport& report, absl::Time timestamp, absl::string_view ufrag)
      : report_(report), timestamp_(timestamp), ufrag_(ufrag) {}

  void AddLocal(const ice::Candidate& candidate, const std::string& url) {
    IceCandidateStats& stats =
        Get(false, candidate.type, candidate.transport, candidate.address);
    stats.priority = candidate.priority;
    stats.foundation = candidate.foundation;
    if (candidate.related) {
      stats.related_address = candidate.related->ip.ToString();
      stats.related_port = candidate.related->port;
    }
    stats.username_fragment = ufrag_;
    stats.url = url;
    if (candidate.relay_protocol) {
      stats.relay_protocol =
          std::string(ice::ToString(*candidate.relay_protocol));
    }
    if (candidate.tcp_type) {
      stats.tcp_type = std::string(ice::ToString(*candidate.tcp_type));
    }
  }
  // The id of one that a pair names.
  std::string Id(bool is_remote, ice::CandidateType type, Transport transport,
                 const TransportAddress& address) {
    return Get(is_remote, type, transport, address).id;
  }

 private:
  IceCandidateStats& Get(bool is_remote, ice::CandidateType type,
                         Transport transport, const TransportAddress& address) {
    std::string id =
        absl::StrCat("C", is_remote ? "R" : "L", "_", ice::ToString(type), "_",
                     ToText(transport), "_", address.ToString());
    const auto known =
        std::find_if(report_.candidates.begin(), report_.candidates.end(),
                     [&](const IceCandidateStats& c) { return c.id == id; });
    if (known != report_.candidates.end()) return *known;
    IceCandidateStats& stats = report_.candidates.emplace_back();
    stats.id = std::move(id);
    stats.timestamp = timestamp_;
    stats.is_remote = is_remote;
    stats.transport_id = std::string(kTransportId);
    stats.address = address.ip.ToString();
    stats.port = address.port;
    stats.protocol = std::string(ToText(transport));
    stats.candidate_type = std::string(ice::ToString(type));
    return stats;
  }

  StatsReport& report_;
  const absl::Time timestamp_;
  const std::string ufrag_;
};

// The address that a pair's local end is known by: a reflexive candidate's is
// not the base that packets leave from.
TransportAddress Told(const ConnectionStats& stats, const Path& path,
                      ice::CandidateType type) {
  for (const ice::Candidate& candidate : stats.local_candidates) {
    if (candidate.base == path.local && candidate.type == type) {
      return candidate.address;
    }
  }
  return path.local;
}

IceCandidatePairStats Describe(const ice::PairInfo& pair,
                               const ConnectionStats& stats,
                               Candidates& candidates, absl::Time timestamp) {
  IceCandidatePairStats told;
  const Transport transport = pair.path.transport;
  told.local_candidate_id =
      candidates.Id(false, pair.local_type, transport,
                    Told(stats, pair.path, pair.local_type));
  told.remote_candidate_id =
      candidates.Id(true, pair.remote_type, transport, pair.path.remote);
  told.id = absl::StrCat("CP_", told.local_candidate_id, "_",
                         told.remote_candidate_id);
  told.timestamp = timestamp;
  told.transport_id = std::string(kTransportId);
  told.state = std::string(ice::ToString(pair.state));
  told.nominated = pair.nominated;
  if (pair.rtt != absl::ZeroDuration()) told.current_round_trip_time = pair.rtt;
  told.total_round_trip_time = pair.rtt_sum;
  told.requests_sent = pair.checks_sent;
  told.consent_requests_sent = pair.consent_sent;
  told.responses_received = pair.responses_received;
  told.requests_received = pair.requests_received;
  const ice::PairTraffic& traffic = pair.traffic;
  told.responses_sent = traffic.responses_sent;
  told.packets_sent = traffic.packets_sent;
  told.packets_received = traffic.packets_received;
  told.bytes_sent = traffic.bytes_sent;
  told.bytes_received = traffic.bytes_received;
  const auto at = [&](absl::Time then) -> std::optional<absl::Time> {
    if (then == absl::InfinitePast()) return std::nullopt;
    return timestamp - std::max(stats.taken - then, absl::ZeroDuration());
  };
  told.last_packet_sent_timestamp = at(traffic.last_sent);
  told.last_packet_received_timestamp = at(traffic.last_received);
  return told;
}

void Put(json& report, const StatsHeader& stats, absl::string_view type,
         json members) {
  members["id"] = stats.id;
  members["type"] = std::string(type);
  members["timestamp"] =
      absl::ToDoubleMilliseconds(stats.timestamp - absl::UnixEpoch());
  // What is not known has no member, as in a browser.
  for (auto it = members.begin(); it != members.end();) {
    it = it->is_null() ? members.erase(it) : std::next(it);
  }
  report[stats.id] = std::move(members);
}

json OfText(const std::string& text) {
  return text.empty() ? json() : json(text);
}

double Milliseconds(absl::Time time) {
  return absl::ToDoubleMilliseconds(time - absl::UnixEpoch());
}

json OfTime(const std::optional<absl::Time>& time) {
  return time ? json(Milliseconds(*time)) : json();
}

void Put(json& report, const TransportStats& transport) {
  Put(report, transport, "transport",
      {{"packetsSent", transport.packets_sent},
       {"packetsReceived", transport.packets_received},
       {"bytesSent", transport.bytes_sent},
       {"bytesReceived", transport.bytes_received},
       {"iceRole", transport.ice_role},
       {"iceLocalUsernameFragment", transport.ice_local_username_fragment},
       {"iceState", transport.ice_state},
       {"dtlsState", transport.dtls_state},
       {"dtlsRole", transport.dtls_role},
       {"tlsVersion", OfText(transport.tls_version)},
       {"dtlsCipher", OfText(transport.dtls_cipher)},
       {"localCertificateId", OfText(transport.local_certificate_id)},
       {"remoteCertificateId", OfText(transport.remote_certificate_id)},
       {"selectedCandidatePairId",
        OfText(transport.selected_candidate_pair_id)},
       {"selectedCandidatePairChanges",
        transport.selected_candidate_pair_changes}});
}

void Put(json& report, const IceCandidateStats& candidate) {
  json members = {{"transportId", candidate.transport_id},
                  {"address", candidate.address},
                  {"port", candidate.port},
                  {"protocol", candidate.protocol},
                  {"candidateType", candidate.candidate_type},
                  {"foundation", OfText(candidate.foundation)},
                  {"relatedAddress", OfText(candidate.related_address)},
                  {"usernameFragment", OfText(candidate.username_fragment)},
                  {"relayProtocol", OfText(candidate.relay_protocol)},
                  {"tcpType", OfText(candidate.tcp_type)},
                  {"url", OfText(candidate.url)}};
  if (!candidate.related_address.empty()) {
    members["relatedPort"] = candidate.related_port;
  }
  if (candidate.priority != 0) members["priority"] = candidate.priority;
  Put(report, candidate,
      candidate.is_remote ? "remote-candidate" : "local-candidate",
      std::move(members));
}

void Put(json& report, const IceCandidatePairStats& pair) {
  json members = {
      {"transportId", pair.transport_id},
      {"localCandidateId", pair.local_candidate_id},
      {"remoteCandidateId", pair.remote_candidate_id},
      {"state", pair.state},
      {"nominated", pair.nominated},
      {"requestsSent", pair.requests_sent},
      {"consentRequestsSent", pair.consent_requests_sent},
      {"responsesReceived", pair.responses_received},
      {"requestsReceived", pair.requests_received},
      {"responsesSent", pair.responses_sent},
      {"totalRoundTripTime", absl::ToDoubleSeconds(pair.total_round_trip_time)},
      {"packetsSent", pair.packets_sent},
      {"packetsReceived", pair.packets_received},
      {"bytesSent", pair.bytes_sent},
      {"bytesReceived", pair.bytes_received},
      {"lastPacketSentTimestamp", OfTime(pair.last_packet_sent_timestamp)},
      {"lastPacketReceivedTimestamp",
       OfTime(pair.last_packet_received_timestamp)}};
  if (pair.current_round_trip_time) {
    members["currentRoundTripTime"] =
        absl::ToDoubleSeconds(*pair.current_round_trip_time);
  }
  Put(report, pair, "candidate-pair", std::move(members));
}

void Put(json& report, const DataChannelReport& channel) {
  // Bytes of the peer's or the application's that are no UTF-8 are replaced
  // when the report is written.
  json members = {{"label", channel.label},
                  {"protocol", channel.protocol},
                  {"state", channel.state},
                  {"messagesSent", channel.counters.messages_sent},
                  {"bytesSent", channel.counters.bytes_sent},
                  {"messagesReceived", channel.counters.messages_received},
                  {"bytesReceived", channel.counters.bytes_received}};
  if (channel.data_channel_identifier) {
    members["dataChannelIdentifier"] = *channel.data_channel_identifier;
  }
  Put(report, channel, "data-channel", std::move(members));
}

}  // namespace

StatsReport MakeStatsReport(absl::Time timestamp, const ConnectionStats& stats,
                            std::vector<DataChannelReport> channels) {
  StatsReport report;
  report.peer_connection = {
      {"P", timestamp},
      stats.channels.channels_opened + stats.channels.channels_accepted,
      stats.channels.channels_closed};

  Candidates candidates(report, timestamp, stats.ice_ufrag);
  for (size_t i = 0; i < stats.local_candidates.size(); ++i) {
    candidates.AddLocal(stats.local_candidates[i],
                        stats.local_candidate_urls[i]);
  }
  TransportStats& transport = report.transport;
  for (const ice::PairInfo& pair : stats.pairs) {
    report.candidate_pairs.push_back(
        Describe(pair, stats, candidates, timestamp));
    if (stats.selected && stats.selected->path == pair.path) {
      transport.selected_candidate_pair_id = report.candidate_pairs.back().id;
    }
  }

  transport.id = std::string(kTransportId);
  transport.selected_candidate_pair_changes = stats.ice.path_changes;
  transport.timestamp = timestamp;
  transport.packets_sent = stats.counters.datagrams_sent;
  transport.packets_received = stats.counters.datagrams_received;
  transport.bytes_sent = stats.counters.bytes_sent;
  transport.bytes_received = stats.counters.bytes_received;
  transport.ice_role =
      stats.ice_role == ice::Role::kControlling ? "controlling" : "controlled";
  transport.ice_local_username_fragment = stats.ice_ufrag;
  transport.ice_state = std::string(ice::ToString(stats.ice_state));
  transport.dtls_state = DtlsState(stats);
  transport.dtls_role = DtlsRole(stats);
  report.certificates.push_back(Describe(stats.fingerprint, "CFL", timestamp));
  transport.local_certificate_id = report.certificates.back().id;
  if (stats.dtls_session) {
    transport.tls_version = "FEFD";  // DTLS 1.2, the only one there is.
    transport.dtls_cipher = stats.dtls_session->cipher_suite;
    report.certificates.push_back(
        Describe(stats.dtls_session->remote_fingerprint, "CFR", timestamp));
    transport.remote_certificate_id = report.certificates.back().id;
  }

  report.data_channels = std::move(channels);
  for (DataChannelReport& channel : report.data_channels) {
    channel.timestamp = timestamp;
  }
  return report;
}

std::string StatsReport::ToJson() const {
  json report = json::object();
  Put(report, peer_connection, "peer-connection",
      {{"dataChannelsOpened", peer_connection.data_channels_opened},
       {"dataChannelsClosed", peer_connection.data_channels_closed}});
  Put(report, transport);
  for (const auto& candidate : candidates) Put(report, candidate);
  for (const auto& pair : candidate_pairs) Put(report, pair);
  for (const auto& certificate : certificates) {
    Put(report, certificate, "certificate",
        {{"fingerprint", certificate.fingerprint},
         {"fingerprintAlgorithm", certificate.fingerprint_algorithm}});
  }
  for (const auto& channel : data_channels) Put(report, channel);
  return report.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace kyuu::peer

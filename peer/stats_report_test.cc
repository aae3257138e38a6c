#include "peer/stats_report.h"

#include <string>

#include "absl/time/time.h"
#include "base/address.h"
#include "base/testing.h"
#include "nlohmann/json.hpp"

namespace kyuu::peer {
namespace {

using nlohmann::json;

TransportAddress At(const char* text) { return *TransportAddress::Parse(text); }

const absl::Time kNow = absl::UnixEpoch() + absl::Milliseconds(1234567);

// Behind a NAT, connected from there to a host address of the peer.
ConnectionStats Connected() {
  ConnectionStats stats;
  ice::Candidate host;
  host.foundation = "1";
  host.priority = 2130706431;
  host.address = host.base = At("192.168.1.2:5000");
  ice::Candidate reflexive = host;
  reflexive.foundation = "2";
  reflexive.type = ice::CandidateType::kServerReflexive;
  reflexive.address = At("198.51.100.7:6000");
  ice::Candidate relayed = host;
  relayed.type = ice::CandidateType::kRelayed;
  relayed.address = relayed.base = At("203.0.113.9:8000");
  relayed.relay_protocol = ice::RelayProtocol::kTls;
  stats.local_candidates = {host, reflexive, relayed};
  stats.local_candidate_urls = {"", "stun:stun.example.org:3478",
                                "turns:turn.example.org:443?transport=tcp"};
  ice::PairInfo pair{};
  pair.path = {host.base, At("203.0.113.5:7000"), Transport::kUdp};
  pair.local_type = ice::CandidateType::kServerReflexive;
  pair.remote_type = ice::CandidateType::kHost;
  pair.state = ice::PairState::kSucceeded;
  pair.nominated = true;
  pair.rtt = absl::Milliseconds(25);
  pair.rtt_sum = absl::Milliseconds(50);
  pair.checks_sent = 3;
  pair.responses_received = 2;
  pair.traffic.bytes_sent = 700;
  pair.traffic.last_sent = absl::UnixEpoch() + absl::Seconds(9);
  stats.taken = absl::UnixEpoch() + absl::Seconds(10);
  stats.pairs = {pair};
  stats.selected =
      SelectedPathChanged{pair.path, pair.local_type, pair.remote_type};
  stats.connection_state = ConnectionState::kConnected;
  stats.ice_state = ice::AgentState::kConnected;
  stats.ice_ufrag = "abcd";
  stats.dtls_role = sdp::Setup::kPassive;
  stats.dtls_session =
      dtls::Connected{.version = "DTLSv1.2",
                      .cipher = "ECDHE-ECDSA-AES128-GCM-SHA256",
                      .cipher_suite = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
                      .remote_fingerprint = {}};
  stats.counters.bytes_sent = 1000;
  stats.channels.channels_opened = 2;
  stats.channels.channels_closed = 1;
  return stats;
}

TEST(StatsReport, NamesThePathThatIsUsed) {
  const StatsReport report = MakeStatsReport(kNow, Connected(), {});
  ASSERT_EQ(report.candidates.size(), 4u);
  ASSERT_EQ(report.candidate_pairs.size(), 1u);
  const IceCandidatePairStats& pair = report.candidate_pairs[0];
  EXPECT_EQ(report.transport.selected_candidate_pair_id, pair.id);
  EXPECT_EQ(pair.local_candidate_id, report.candidates[1].id);
  EXPECT_EQ(pair.remote_candidate_id, report.candidates[3].id);
  EXPECT_EQ(pair.current_round_trip_time, absl::Milliseconds(25));
  EXPECT_EQ(pair.total_round_trip_time, absl::Milliseconds(50));
  EXPECT_EQ(pair.bytes_sent, 700u);
  // A second ago, on the clock of the report.
  EXPECT_EQ(pair.last_packet_sent_timestamp, kNow - absl::Seconds(1));
  EXPECT_FALSE(pair.last_packet_received_timestamp.has_value());
  // The address that the NAT gave, not the one behind it.
  EXPECT_EQ(report.candidates[1].candidate_type, "srflx");
  EXPECT_EQ(report.candidates[1].address, "198.51.100.7");
  EXPECT_EQ(report.candidates[1].port, 6000);
  EXPECT_TRUE(report.candidates[3].is_remote);
  EXPECT_EQ(report.candidates[3].address, "203.0.113.5");
  // Which server told what.
  EXPECT_EQ(report.candidates[0].url, "");
  EXPECT_EQ(report.candidates[1].url, "stun:stun.example.org:3478");
  EXPECT_EQ(report.candidates[1].relay_protocol, "");
  EXPECT_EQ(report.candidates[2].url,
            "turns:turn.example.org:443?transport=tcp");
  EXPECT_EQ(report.candidates[2].relay_protocol, "tls");
  EXPECT_EQ(report.transport.dtls_state, "connected");
  EXPECT_EQ(report.transport.dtls_role, "server");
}

TEST(StatsReport, BeforeAnythingItSaysWhatThereIs) {
  const StatsReport report = MakeStatsReport(kNow, ConnectionStats(), {});
  EXPECT_EQ(report.transport.dtls_state, "new");
  EXPECT_EQ(report.transport.dtls_role, "unknown");
  EXPECT_EQ(report.transport.selected_candidate_pair_id, "");
  const json all = json::parse(report.ToJson());
  EXPECT_FALSE(all["T0"].contains("selectedCandidatePairId"));
  EXPECT_FALSE(all["T0"].contains("dtlsCipher"));
  EXPECT_FALSE(all["T0"].contains("remoteCertificateId"));
}

TEST(StatsReport, DtlsThatFailsIsToldFromAPathThatIsMissing) {
  ConnectionStats stats = Connected();
  stats.dtls_session.reset();
  EXPECT_EQ(MakeStatsReport(kNow, stats, {}).transport.dtls_state,
            "connecting");
  stats.connection_state = ConnectionState::kFailed;
  EXPECT_EQ(MakeStatsReport(kNow, stats, {}).transport.dtls_state, "failed");
  stats.ice_state = ice::AgentState::kFailed;
  EXPECT_EQ(MakeStatsReport(kNow, stats, {}).transport.dtls_state, "new");
  stats.connection_state = ConnectionState::kClosed;
  EXPECT_EQ(MakeStatsReport(kNow, stats, {}).transport.dtls_state, "closed");
}

// tools/interop compares the names with those that a browser has.
TEST(StatsReport, ItsJsonIsThatOfABrowser) {
  DataChannelReport channel;
  channel.id = "D7";
  channel.label = "a \"label\" with \xff";
  channel.data_channel_identifier = 4;
  channel.state = "open";
  channel.counters.messages_sent = 5;
  const json all =
      json::parse(MakeStatsReport(kNow, Connected(), {channel}).ToJson());
  for (const auto& [id, stats] : all.items()) {
    EXPECT_EQ(stats["id"], id);
    EXPECT_EQ(stats["timestamp"], 1234567.0) << id;
  }
  EXPECT_EQ(all["P"]["type"], "peer-connection");
  EXPECT_EQ(all["P"]["dataChannelsOpened"], 2);
  EXPECT_EQ(all["T0"]["type"], "transport");
  EXPECT_EQ(all["T0"]["bytesSent"], 1000);
  EXPECT_EQ(all["T0"]["dtlsCipher"], "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
  EXPECT_EQ(all["T0"]["tlsVersion"], "FEFD");
  const json& pair = all[all["T0"]["selectedCandidatePairId"]];
  EXPECT_EQ(pair["type"], "candidate-pair");
  EXPECT_EQ(pair["nominated"], true);
  EXPECT_EQ(pair["currentRoundTripTime"], 0.025);
  EXPECT_EQ(all[pair["localCandidateId"]]["type"], "local-candidate");
  EXPECT_EQ(all[pair["remoteCandidateId"]]["type"], "remote-candidate");
  EXPECT_FALSE(all[pair["remoteCandidateId"]].contains("priority"));
  const json& relay = all["CL_relay_udp_203.0.113.9:8000"];
  EXPECT_EQ(relay["url"], "turns:turn.example.org:443?transport=tcp");
  EXPECT_EQ(relay["relayProtocol"], "tls");
  const json& host = all["CL_host_udp_192.168.1.2:5000"];
  EXPECT_FALSE(host.contains("url") || host.contains("relayProtocol"));
  EXPECT_EQ(all["D7"]["type"], "data-channel");
  EXPECT_EQ(all["D7"]["label"], "a \"label\" with \xef\xbf\xbd");
  EXPECT_EQ(all["D7"]["protocol"], "");
  EXPECT_EQ(all["D7"]["dataChannelIdentifier"], 4);
  EXPECT_EQ(all["D7"]["messagesSent"], 5);
}

}  // namespace
}  // namespace kyuu::peer

#include "tools/kyuud/metrics.h"

#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/types/span.h"
#include "base/counters.h"
#include "base/histogram.h"
#include "prometheus/metric_family.h"
#include "prometheus/text_serializer.h"
#include "tools/version/version.h"

namespace kyuu::tools {
namespace {

using Families = std::vector<prometheus::MetricFamily>;

prometheus::ClientMetric Counted(uint64_t value, absl::string_view label = "") {
  prometheus::ClientMetric metric;
  if (!label.empty()) metric.label = {{"of", std::string(label)}};
  metric.counter.value = static_cast<double>(value);
  return metric;
}

// One row's struct, and what tells it from others of the same table.
template <typename S>
struct Labelled {
  const S& stats;
  absl::string_view label;
};

template <Countable S>
void AddTable(Families& out, absl::string_view table, absl::string_view what,
              std::initializer_list<Labelled<S>> rows) {
  for (const Counter<S>& counter : S::kCounters) {
    prometheus::MetricFamily family;
    family.name = absl::StrCat("kyuu_", table, "_", counter.name, "_total");
    family.help = absl::StrCat(
        what, ": ", absl::StrReplaceAll(counter.name, {{"_", " "}}), ".");
    family.type = prometheus::MetricType::Counter;
    for (const Labelled<S>& row : rows) {
      family.metric.push_back(Counted(row.stats.*counter.field, row.label));
    }
    out.push_back(std::move(family));
  }
}

void AddCounter(Families& out, std::string name, std::string help,
                double value) {
  prometheus::MetricFamily family;
  family.name = std::move(name);
  family.help = std::move(help);
  family.type = prometheus::MetricType::Counter;
  family.metric.emplace_back().counter.value = value;
  out.push_back(std::move(family));
}

template <typename T>
void AddGauge(Families& out, std::string name, std::string help,
              const std::optional<T>& value) {
  if (!value.has_value()) return;
  prometheus::MetricFamily family;
  family.name = std::move(name);
  family.help = std::move(help);
  family.type = prometheus::MetricType::Gauge;
  family.metric.emplace_back().gauge.value = static_cast<double>(*value);
  out.push_back(std::move(family));
}

void AddHistogram(Families& out, std::string name, std::string help,
                  const std::optional<Histogram>& histogram) {
  if (!histogram.has_value()) return;
  prometheus::MetricFamily family;
  family.name = std::move(name);
  family.help = std::move(help);
  family.type = prometheus::MetricType::Histogram;
  prometheus::ClientMetric::Histogram& told =
      family.metric.emplace_back().histogram;
  const absl::Span<const double> bounds = histogram->bounds();
  for (size_t i = 0; i <= bounds.size(); ++i) {
    told.sample_count += histogram->count(i);
    told.bucket.push_back(
        {told.sample_count, i < bounds.size()
                                ? bounds[i]
                                : std::numeric_limits<double>::infinity()});
  }
  told.sample_sum = histogram->sum();
  out.push_back(std::move(family));
}

void AddTimes(Families& out, const Metrics& metrics) {
  AddHistogram(out, "kyuu_turn_allocation_seconds",
               "How long allocations lived that have ended.",
               metrics.allocation_seconds);
  AddHistogram(out, "kyuu_turn_allocation_bytes",
               "What allocations have relayed that have ended, both ways.",
               metrics.allocation_bytes);
  AddHistogram(out, "kyuu_loop_turn_seconds", "How long the loops' turns took.",
               std::optional(metrics.relay.turns));
  AddHistogram(out, "kyuu_port_tls_handshake_seconds",
               "How long handshakes of TLS took.", metrics.handshakes);
  AddHistogram(out, "kyuu_signaling_message_seconds",
               "How long the handling of a client's message took.",
               metrics.messages);
  AddHistogram(out, "kyuu_signaling_call_round_trip_seconds",
               "Round trips of calls, as clients have reported them.",
               metrics.call_round_trips);
}

void AddNow(Families& out, const Metrics& metrics) {
  const auto add = [&out](std::string name, std::string help, size_t value) {
    AddGauge(out, std::move(name), std::move(help), std::optional(value));
  };
  const DoorGauges& now = metrics.now;
  add("kyuu_turn_allocations", "Allocations there are.", metrics.allocations);
  add("kyuu_turn_peer_connections", "TCP connections with peers.",
      metrics.peer_connections);
  add("kyuu_turn_free_ports", "Relay ports neither lent nor reserved.",
      metrics.free_relay_ports);
  add("kyuu_port_connections", "TCP connections open.", now.connections);
  add("kyuu_http_held_bytes", "Memory that all connections make us hold.",
      now.held_bytes);
  add("kyuu_signaling_connections", "WebSockets and streams of events open.",
      now.sessions);
  add("kyuu_signaling_waiting_sessions",
      "Sessions without a connection that may come back.",
      now.waiting_sessions);
  add("kyuu_signaling_peers", "Peers in rooms.", now.peers);
  add("kyuu_signaling_remote_peers", "Peers of other servers in rooms.",
      now.remote_peers);
  add("kyuu_backplane_up", "Whether the backplane is there: 1 or 0.",
      now.backplane_up);
  add("kyuu_backplane_nodes", "Other servers whose links are up.",
      now.backplane_nodes);
  add("kyuu_signaling_rooms", "Rooms with somebody in them.", now.rooms);
  add("kyuu_signaling_calls", "Calls, ringing ones included.", now.calls);
  add("kyuu_peerjs_peers", "Peers of PeerJS.", now.peerjs_peers);
  add("kyuu_ywebrtc_connections", "Clients of y-webrtc.",
      now.ywebrtc_connections);
  add("kyuu_ywebrtc_topics", "Topics that they have subscribed to.",
      now.ywebrtc_topics);
}

// Prometheus' custom for what is a text: a gauge of 1 with a label.
void AddBuild(Families& out) {
  AddGauge(out, "kyuu_build_info", "Which kyuud this is.", std::optional(1));
  out.back().metric.front().label = {{"version", kVersion}};
}

// As Prometheus' own client libraries name them.
void AddProcess(Families& out, const ProcessStats& process) {
  AddCounter(out, "process_cpu_seconds_total", "User and system time used.",
             absl::ToDoubleSeconds(process.cpu));
  AddGauge(out, "process_resident_memory_bytes", "Resident memory.",
           process.resident_bytes);
  AddGauge(out, "process_virtual_memory_bytes", "Virtual memory.",
           process.virtual_bytes);
  AddGauge(out, "kyuu_heap_bytes",
           "Memory that is allocated and not freed; what is resident beyond "
           "it, and the program itself, is malloc's.",
           std::optional(process.heap_bytes));
  AddGauge(out, "process_open_fds", "Descriptors open.",
           process.open_descriptors);
  AddGauge(out, "process_max_fds", "The limit of descriptors.",
           process.max_descriptors);
  std::optional<double> started;
  if (process.started.has_value()) {
    started = absl::ToDoubleSeconds(*process.started - absl::UnixEpoch());
  }
  AddGauge(out, "process_start_time_seconds", "When it started, in Unix time.",
           started);
}

}  // namespace

std::string ToPrometheus(const Metrics& metrics) {
  Families out;
  const relay::Stats& relay = metrics.relay;
  AddTable<turn::ServerStats>(out, "turn", "STUN and TURN",
                              {{relay.server, ""}});
  AddTable<relay::NodeStats>(out, "relay", "Relay loops", {{relay.node, ""}});
  AddTable<relay::FlowStats>(out, "flows", "Flows beside the process",
                             {{relay.flows, ""}});
  AddTable<relay::kernel::KernelStats>(out, "kernel", "The kernel's program",
                                       {{metrics.kernel, ""}});
  AddTable<relay::DtlsClientsStats>(out, "dtls", "Clients on DTLS",
                                    {{relay.dtls, ""}});
  AddTable<net::UdpStats>(
      out, "udp", "UDP sockets",
      {{relay.listeners, "listeners"}, {relay.relays, "relays"}});
  AddTable<net::StreamPortStats>(out, "port", "TCP connections",
                                 {{metrics.port, ""}});
  AddTable<DoorStats>(out, "http", "HTTP", {{metrics.door, ""}});
  AddTable<signaling::ServerStats>(out, "signaling", "Signaling",
                                   {{metrics.signaling, ""}});
  AddTable<signaling::AdmissionStats>(out, "admission", "Who may come",
                                      {{metrics.admission, ""}});
  AddTable<signaling::JoinCodeStats>(out, "codes", "Six digits for a room",
                                     {{metrics.codes, ""}});
  AddTable<signaling::DeflateStats>(out, "deflate", "Compressed messages",
                                    {{metrics.deflate, ""}});
  AddTable<signaling::PeerJsStats>(out, "peerjs", "Clients of PeerJS",
                                   {{metrics.peerjs, ""}});
  AddTable<signaling::YWebrtcStats>(out, "ywebrtc", "Clients of y-webrtc",
                                    {{metrics.ywebrtc, ""}});
  AddTable<signaling::FederationStats>(out, "federation", "Several servers",
                                       {{metrics.federation, ""}});
  AddTable<signaling::LinksStats>(out, "links", "Links between servers",
                                  {{metrics.links, ""}});
  AddTable<BackplaneStats>(out, "backplane", "The backplane",
                           {{metrics.backplane, ""}});
  AddTable<AuthorizerStats>(out, "authorizer", "The authorizer",
                            {{metrics.authorizer, ""}});
  AddCounter(out, "kyuu_log_dropped_lines_total",
             "Lines of the log that nobody read in time.",
             static_cast<double>(metrics.dropped_log_lines));
  AddTimes(out, metrics);
  AddNow(out, metrics);
  AddBuild(out);
  AddProcess(out, metrics.process);
  return prometheus::TextSerializer().Serialize(out);
}

}  // namespace kyuu::tools

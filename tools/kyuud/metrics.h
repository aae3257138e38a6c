// Metrics: all that kyuud counts, as Prometheus reads it (docs/metrics.md).

#ifndef KYUU_TOOLS_KYUUD_METRICS_H_
#define KYUU_TOOLS_KYUUD_METRICS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/histogram.h"
#include "net/stream_port.h"
#include "relay/kernel/stats.h"
#include "relay/stats.h"
#include "signaling/codes/join_codes.h"
#include "signaling/deflate/deflate.h"
#include "signaling/peerjs/peerjs_options.h"
#include "signaling/server_options.h"
#include "signaling/token/admission.h"
#include "signaling/ywebrtc.h"
#include "tools/kyuud/authorizer.h"
#include "tools/kyuud/backplane/backplane.h"
#include "tools/kyuud/door_stats.h"
#include "tools/kyuud/process_stats.h"

namespace kyuu::tools {

// Metrics is what is so at one moment.
struct Metrics {
  relay::Stats relay;  // Of all loops.
  relay::kernel::KernelStats kernel;
  size_t allocations = 0;
  size_t peer_connections = 0;
  size_t free_relay_ports = 0;
  net::StreamPortStats port;
  DoorStats door;
  signaling::ServerStats signaling;
  signaling::AdmissionStats admission;
  signaling::JoinCodeStats codes;
  signaling::DeflateStats deflate;
  signaling::PeerJsStats peerjs;
  signaling::YWebrtcStats ywebrtc;
  signaling::FederationStats federation;
  signaling::LinksStats links;
  BackplaneStats backplane;
  AuthorizerStats authorizer;
  DoorGauges now;
  // Seconds and bytes; what each is of: docs/metrics.md.
  static constexpr double kMessageSeconds[] = {1e-5, 3e-5, 1e-4, 3e-4, 1e-3,
                                               3e-3, 0.01, 0.03, 0.1};
  std::optional<Histogram> handshakes;
  std::optional<Histogram> messages;
  std::optional<Histogram> call_round_trips;
  std::optional<Histogram> allocation_seconds;
  std::optional<Histogram> allocation_bytes;
  uint64_t dropped_log_lines = 0;
  ProcessStats process;
};

// The type of the text (version 0.0.4 of the format).
inline constexpr char kMetricsContentType[] =
    "text/plain; version=0.0.4; charset=utf-8";

// One family for each counter: kyuu_TABLE_NAME_total, by its name in the table
// of its struct (base/counters.h), so that none can be forgotten; and gauges.
std::string ToPrometheus(const Metrics& metrics);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUUD_METRICS_H_

// `kyuu ping`: how long it takes to a peer and back, by which way.

#ifndef KYUU_TOOLS_KYUU_PING_PING_ERRAND_H_
#define KYUU_TOOLS_KYUU_PING_PING_ERRAND_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "base/random.h"
#include "net/loop.h"
#include "nlohmann/json.hpp"
#include "tools/kyuu/answerer.h"
#include "tools/kyuu/errand.h"
#include "tools/kyuu/ping/ping_options.h"
#include "tools/kyuu/ping/ping_series.h"

namespace kyuu::tools {

// PingErrand pings, and answers the pings of the other side.
class PingErrand : public Errand {
 public:
  // `random` must outlive it.
  PingErrand(Surroundings surroundings, const PingOptions& options,
             Random& random);

  void HandleConnected(Call& call, CallRole role) override;
  void HandlePath(const PathFound& path) override { path_ = path; }
  void HandleAside(Aside& aside) override;
  void HandleOver(const absl::Status& status) override;
  void HandleInterrupt() override { Finish(absl::OkStatus()); }

 private:
  bool wants_more() const {
    return !options_.count || series_.sent() < *options_.count;
  }
  void OpenChannel();
  void OnAlarm();
  void Send(absl::Time now);
  void Tell(const PingSeries::Answer& answer);
  void TellLost(uint64_t number);
  void TellSummary();
  void Write(const nlohmann::json& line);
  // Arms the alarm, or ends if everything has come of it that will.
  void GoOn();
  // With the summary; if none came back, that is the reason in place of OK.
  void Finish(absl::Status status);

  Surroundings surroundings_;
  const PingOptions options_;
  PingSeries series_;
  Answerer answerer_;
  net::Alarm alarm_;
  Call* call_ = nullptr;  // While there is one.
  std::optional<peer::ChannelId> channel_;
  // From the connection on, until the channel is open.
  absl::Time open_by_ = absl::InfiniteFuture();
  absl::Time next_send_ = absl::InfiniteFuture();
  PathFound path_;
  bool finished_ = false;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_PING_PING_ERRAND_H_

#include "tools/kyuu/server_line.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/status_macros.h"

namespace kyuu::tools {
namespace {

constexpr absl::Duration kRetryMax = absl::Seconds(30);

}  // namespace

absl::Duration RetryDelay(int failures, Random& random) {
  const absl::Duration whole =
      std::min(kRetryMax, absl::Seconds(int64_t{1} << std::min(failures, 5)));
  return whole * (0.75 + static_cast<double>(random.Below(501)) / 1000);
}

ServerLine::ServerLine(net::Loop& loop, Random& random, std::string url,
                       SignalingLink::Handler handler)
    : loop_(loop),
      random_(random),
      url_(std::move(url)),
      handler_(std::move(handler)),
      retry_(loop, [this] {
        if (const absl::Status status = Connect(); !status.ok()) {
          handler_(signaling::ClientClosed{status});
        }
      }) {}

absl::Status ServerLine::Connect() {
  link_.reset();
  KYUU_ASSIGN_OR_RETURN(
      link_,
      SignalingLink::Connect(
          loop_, random_, url_, [this](signaling::Client::Event event) {
            if (std::holds_alternative<signaling::Ready>(event)) {
              up_ = true;
              failures_ = 0;
            } else if (std::holds_alternative<signaling::ClientClosed>(event)) {
              up_ = false;
            }
            handler_(std::move(event));
          }));
  link_->Flush();
  return absl::OkStatus();
}

absl::Duration ServerLine::Retry() {
  const absl::Duration delay = RetryDelay(failures_++, random_);
  retry_.Set(net::Loop::Now() + delay);
  return delay;
}

void ServerLine::Close() {
  retry_.Stop();
  if (link_) link_->Close();
}

}  // namespace kyuu::tools

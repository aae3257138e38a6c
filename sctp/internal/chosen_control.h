// The congestion control that Options::congestion_control names.

#ifndef KYUU_SCTP_INTERNAL_CHOSEN_CONTROL_H_
#define KYUU_SCTP_INTERNAL_CHOSEN_CONTROL_H_

#include <cstddef>
#include <variant>

#include "absl/time/time.h"
#include "sctp/internal/bbr_control.h"
#include "sctp/internal/congestion_control.h"
#include "sctp/internal/cubic_control.h"
#include "sctp/internal/rfc9260_control.h"
#include "sctp/options.h"

namespace kyuu::sctp::internal {

// ChosenControl is one of the models of CongestionControl, and one itself.
class ChosenControl {
 public:
  ChosenControl(const Options& options, size_t mtu)
      : control_(Make(options, mtu)) {}

  void OnSent(const SentSample& sent) {
    std::visit([&](auto& control) { control.OnSent(sent); }, control_);
  }
  void OnAcked(const AckSample& acked) {
    std::visit([&](auto& control) { control.OnAcked(acked); }, control_);
  }
  void OnLost(const LossSample& lost) {
    std::visit([&](auto& control) { control.OnLost(lost); }, control_);
  }
  void OnTimeout(absl::Time now) {
    std::visit([&](auto& control) { control.OnTimeout(now); }, control_);
  }
  void OnSpurious(absl::Time now) {
    std::visit([&](auto& control) { control.OnSpurious(now); }, control_);
  }
  void OnPathReady(absl::Time now) {
    std::visit([&](auto& control) { control.OnPathReady(now); }, control_);
  }
  size_t cwnd() const {
    return std::visit([](const auto& control) { return control.cwnd(); },
                      control_);
  }
  size_t ssthresh() const {
    return std::visit([](const auto& control) { return control.ssthresh(); },
                      control_);
  }
  double pacing_rate() const {
    return std::visit([](const auto& control) { return control.pacing_rate(); },
                      control_);
  }

 private:
  using Any = std::variant<CubicControl, BbrControl, Rfc9260Control>;

  static Any Make(const Options& options, size_t mtu) {
    switch (options.congestion_control) {
      case Options::CongestionControl::kRfc9260:
        return Rfc9260Control(options, mtu);
      case Options::CongestionControl::kBbr:
        return BbrControl(options, mtu);
      case Options::CongestionControl::kCubic:
        break;
    }
    return CubicControl(options, mtu);
  }

  Any control_;
};
static_assert(CongestionControl<ChosenControl>);

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_CHOSEN_CONTROL_H_

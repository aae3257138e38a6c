// What one channel of peer_churn has to keep to.

#ifndef KYUU_TOOLS_SOAK_CHURN_FLOW_H_
#define KYUU_TOOLS_SOAK_CHURN_FLOW_H_

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "peer/peer_connection.h"

namespace kyuu::peer {

struct Counts {
  int64_t calls = 0, channels = 0, messages = 0, received = 0, restarts = 0;
  int64_t given_up = 0;  // Of channels that may lose.
};

// What is wrong is told once it is seen; it is not the end.
class Verdict {
 public:
  void Wrong(const std::string& what) {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++wrong_;
    std::printf("not ok %s\n", what.c_str());
    std::fflush(stdout);
  }
  int wrong() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return wrong_;
  }

 private:
  mutable std::mutex mutex_;
  int wrong_ = 0;
};

inline Verdict& TheVerdict() {
  static auto* verdict = new Verdict();
  return *verdict;
}

// One channel in one direction: who opened it is who sends. Locked by itself,
// since both ends' threads and the one that acts have it.
class Flow {
 public:
  explicit Flow(ChannelConfig config) : config_(std::move(config)) {}

  const ChannelConfig& config() const { return config_; }
  bool reliable() const {
    return !config_.max_retransmits && !config_.max_packet_life_time;
  }

  // The next message: its number, and bytes that follow from it.
  std::vector<uint8_t> Next(size_t size) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return Make(sent_, size);
  }
  void OnSent() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++sent_;
  }
  void OnReceived(const std::vector<uint8_t>& bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    Reader reader(bytes);
    const uint64_t number = reader.U64();
    if (!reader.ok() || Make(number, bytes.size()) != bytes) {
      return Wrong("a message was changed");
    }
    // The peer may have it before our Send() has returned.
    if (number > sent_) return Wrong("a message that was not sent");
    if (config_.ordering == sctp::Ordering::kOrdered && number < expected_) {
      return Wrong("out of order, or twice");
    }
    if (reliable() && config_.ordering == sctp::Ordering::kOrdered &&
        number != expected_) {
      return Wrong("one is missing");
    }
    expected_ = number + 1;
    if (config_.ordering == sctp::Ordering::kUnordered &&
        !unordered_.insert(number).second) {
      return Wrong("unordered, and twice");
    }
    ++received_;
  }
  // The sender closed it, so that all of it is still to arrive.
  void OnEnding() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ending_ = true;
  }
  // The call was cut off, or the receiver closed the channel.
  void OnCutOff() {
    const std::lock_guard<std::mutex> lock(mutex_);
    cut_off_ = true;
  }
  void OnReceiverClosed(const absl::Status& status) {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    if (!ending_ || cut_off_) return;
    if (!status.ok()) {
      Wrong(absl::StrCat("closed in order, and told ", status.ToString()));
    } else if (reliable() && received_ != sent_) {
      Wrong(absl::StrCat("closed in order with ", received_, " of ", sent_));
    }
  }
  bool settled() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return closed_ || cut_off_;
  }
  void AddTo(Counts& counts) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    counts.messages += static_cast<int64_t>(sent_);
    counts.received += static_cast<int64_t>(received_);
    if (!reliable()) counts.given_up += static_cast<int64_t>(sent_ - received_);
  }

 private:
  static std::vector<uint8_t> Make(uint64_t number, size_t size) {
    std::vector<uint8_t> bytes(std::max<size_t>(size, 8));
    Writer(absl::MakeSpan(bytes)).U64(number);
    for (size_t i = 8; i < bytes.size(); ++i) {
      bytes[i] = static_cast<uint8_t>(number * 31 + i);
    }
    return bytes;
  }
  void Wrong(const std::string& what) const {
    TheVerdict().Wrong(absl::StrCat(config_.label, ": ", what));
  }

  const ChannelConfig config_;
  mutable std::mutex mutex_;
  uint64_t sent_ = 0, received_ = 0, expected_ = 0;
  std::set<uint64_t> unordered_;
  bool ending_ = false, cut_off_ = false, closed_ = false;
};

}  // namespace kyuu::peer

#endif  // KYUU_TOOLS_SOAK_CHURN_FLOW_H_

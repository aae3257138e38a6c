// Two PeerConnections that signal to each other, and waiting for what they do.

#ifndef KYUU_PEER_TESTING_PEER_CONNECTION_PAIR_H_
#define KYUU_PEER_TESTING_PEER_CONNECTION_PAIR_H_

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "peer/peer_connection.h"

namespace kyuu::peer {

// Board holds what handlers noted, in order, and lets the test wait for it.
class Board {
 public:
  void Note(std::string line) {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++counts_[line];
    lines_.push_back(std::move(line));
    // Under the lock: whoever has waited for this line may destroy the board.
    changed_.notify_all();
  }
  std::vector<std::string> lines() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return lines_;
  }
  size_t Count(const std::string& line) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto it = counts_.find(line);
    return it == counts_.end() ? 0 : it->second;
  }
  // Where `line` was noted first; fails the test if it was not.
  size_t At(absl::string_view line) const {
    const std::vector<std::string> all = lines();
    const auto it = std::find(all.begin(), all.end(), line);
    if (it == all.end()) ADD_FAILURE() << line << " is missing";
    return static_cast<size_t>(it - all.begin());
  }
  // Fails the test, and returns false, after two minutes: sanitizers on a busy
  // machine are slow.
  bool Wait(const std::string& line, size_t times = 1) {
    std::unique_lock<std::mutex> lock(mutex_);
    const bool done = changed_.wait_for(lock, std::chrono::seconds(120),
                                        [&] { return counts_[line] >= times; });
    if (!done) {
      std::string seen;
      for (const std::string& l : lines_) absl::StrAppend(&seen, "\n  ", l);
      ADD_FAILURE() << "waited for " << line << ", saw" << seen;
    }
    return done;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> lines_;
  std::map<std::string, size_t> counts_;
};

// Side is one of the two: every handler notes "NAME" or "NAME VALUE", and then
// runs the hook with the name. The connection may be dropped at any moment, by
// any thread.
class Side {
 public:
  using Hook = std::function<void(const std::string& name)>;

  // Of its candidates the other is told those alone whose lines have `part`.
  // Before Create().
  void TellOnly(std::string part) { tells_ = std::move(part); }
  // The description of `connection`, which this side had or has: a hook may
  // have dropped it. With these candidates.
  SessionDescription Told(const PeerConnection& connection) const {
    SessionDescription told = *connection.local_description();
    std::vector<std::string> lines = absl::StrSplit(told.sdp, '\n');
    std::erase_if(lines, [this](const std::string& line) {
      return absl::StartsWith(line, "a=candidate:") &&
             !absl::StrContains(line, tells_);
    });
    told.sdp = absl::StrJoin(lines, "\n");
    return told;
  }
  void Create(Configuration configuration, Side& other, Hook hook = {}) {
    other_ = &other;
    hook_ = std::move(hook);
    // Where there is a network that does not matter.
    if (!configuration.hide_addresses) {
      configuration.loopback = LoopbackUse::kAlways;
    }
    auto connection =
        PeerConnection::Create(std::move(configuration), Handlers());
    ASSERT_OK(connection);
    const std::lock_guard<std::mutex> lock(mutex_);
    connection_ = *std::move(connection);
  }
  // Null once dropped.
  std::shared_ptr<PeerConnection> get() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return connection_;
  }
  PeerConnection* operator->() const { return get().get(); }
  void Drop() {
    std::shared_ptr<PeerConnection> last;
    const std::lock_guard<std::mutex> lock(mutex_);
    last.swap(connection_);
    // `last` dies after the lock.
  }
  std::shared_ptr<DataChannel> channel() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return channel_;
  }
  void Keep(std::shared_ptr<DataChannel> channel) {
    const std::lock_guard<std::mutex> lock(mutex_);
    channel_ = std::move(channel);
  }
  Board& board() { return board_; }

  void Note(const std::string& name, absl::string_view value = "") {
    board_.Note(value.empty() ? name : absl::StrCat(name, " ", value));
    if (hook_) hook_(name);
  }

  DataChannelHandlers ChannelHandlers() {
    DataChannelHandlers handlers;
    handlers.on_open = [this](DataChannel&) { Note("open"); };
    handlers.on_message = [this](DataChannel&, Message message) {
      Note("message",
           message.payload.size() > 100
               ? absl::StrCat(message.payload.size(), " bytes")
               : absl::StrCat(
                     message.type == PayloadType::kText ? "text:" : "binary:",
                     message.text()));
    };
    handlers.on_message_part = [this](DataChannel&, MessagePart part) {
      if (part.part == Part::kMore) return;
      Note("parts", part.part == Part::kGivenUp
                        ? "given up"
                        : absl::StrCat(part.offset + part.payload.size()));
    };
    handlers.on_buffered_amount_low = [this](DataChannel&) { Note("low"); };
    handlers.on_writable = [this](DataChannel&) { Note("writable"); };
    handlers.on_message_settled = [this](DataChannel&, uint64_t lifecycle,
                                         Fate fate) {
      Note("settled",
           absl::StrCat(lifecycle,
                        fate == Fate::kDelivered ? " delivered" : " given up"));
    };
    handlers.on_closing = [this](DataChannel&) { Note("closing"); };
    handlers.on_close = [this](DataChannel&, absl::Status status) {
      Note("close", absl::StatusCodeToString(status.code()));
    };
    return handlers;
  }

 private:
  PeerConnectionHandlers Handlers() {
    PeerConnectionHandlers handlers;
    handlers.on_negotiation_needed = [this] { Note("negotiationneeded"); };
    handlers.on_ice_candidate = [this](const IceCandidate& candidate) {
      const bool told = candidate.candidate.empty() ||
                        absl::StrContains(candidate.candidate, tells_);
      if (const auto other = other_->get(); other && told) {
        EXPECT_OK(IgnoreClosed(other->AddIceCandidate(candidate)));
      }
      Note("candidate", candidate.candidate.empty() ? "end" : "");
    };
    handlers.on_ice_candidate_error = [this](const ServerFailed&) {
      Note("candidateerror");
    };
    handlers.on_signaling_state_change = [this](SignalingState state) {
      Note("signaling", sdp::SignalingStateName(state));
    };
    handlers.on_ice_gathering_state_change = [this](GatheringState state) {
      Note("gathering", ToString(state));
    };
    handlers.on_ice_connection_state_change = [this](ice::AgentState state) {
      Note("ice", ice::ToString(state));
    };
    handlers.on_connection_state_change = [this](ConnectionState state) {
      Note("connection", ToString(state));
    };
    handlers.on_selected_path_change = [this](const SelectedPathChanged&) {
      Note("path");
    };
    handlers.on_data_channel = [this](std::shared_ptr<DataChannel> channel) {
      channel->SetHandlers(ChannelHandlers());
      const std::string label = channel->label();
      Keep(std::move(channel));
      Note("datachannel", label);
    };
    handlers.on_closed = [this](absl::Status status) {
      Note("closed", absl::StatusCodeToString(status.code()));
    };
    return handlers;
  }
  static absl::Status IgnoreClosed(absl::Status status) {
    return absl::IsFailedPrecondition(status) ? absl::OkStatus() : status;
  }

  Side* other_ = nullptr;
  Hook hook_;
  std::string tells_;
  Board board_;
  mutable std::mutex mutex_;
  std::shared_ptr<PeerConnection> connection_;
  std::shared_ptr<DataChannel> channel_;
};

// Pair is two sides, `a` the one that offers.
struct Pair {
  ~Pair() { Drop(); }
  void Drop() {
    // Silence first: their handlers use both.
    for (Side* side : {&a, &b}) {
      if (const auto connection = side->get()) connection->Close();
    }
    for (Side* side : {&a, &b}) side->Drop();
  }

  // Connects with one channel "chat" of a's. What fails because a hook dropped
  // or closed a side is ignored if that is expected.
  enum class Expect { kSuccess, kInterruption };
  void Connect(Expect expect = Expect::kSuccess) {
    const auto check = [&](const absl::Status& status) {
      EXPECT_TRUE(status.ok() || expect == Expect::kInterruption) << status;
      return status.ok();
    };
    const std::shared_ptr<PeerConnection> x = a.get(), y = b.get();
    auto channel = x->CreateDataChannel({.label = "chat"}, a.ChannelHandlers());
    if (!check(channel.status())) return;
    a.Keep(*channel);
    Negotiate(expect);
  }
  void Negotiate(Expect expect = Expect::kSuccess) {
    const std::shared_ptr<PeerConnection> x = a.get(), y = b.get();
    const auto check = [&](const absl::Status& status) {
      EXPECT_TRUE(status.ok() || expect == Expect::kInterruption) << status;
      return status.ok();
    };
    if (!x || !y || !check(x->SetLocalDescription())) return;
    if (!check(y->SetRemoteDescription(a.Told(*x)))) return;
    if (!check(y->SetLocalDescription())) return;
    check(x->SetRemoteDescription(b.Told(*y)));
  }

  Side a, b;
};

}  // namespace kyuu::peer

#endif  // KYUU_PEER_TESTING_PEER_CONNECTION_PAIR_H_

// Peer connections and data channels that come and go: what was sent arrives,
// and nothing grows.
//
//   peer_churn SECONDS [SEED]
//
// Some calls are up at any time, half of them on threads that they share. About
// once in 5 ms something happens to one of them: a channel is opened, fed or
// closed, from either side; ICE restarts; the call ends, in order or at once,
// and another one begins. A line tells memory, descriptors and counts each ten
// seconds. The last lines judge: of reliable channels that were closed in order
// by their sender all has arrived, in order; nobody is told an error of what
// was closed in order; of all channels nothing came that was not sent, or
// twice; when all has ended nothing is in use; and the median of memory and
// descriptors of the last quarter is not above that of the second (not judged
// below a minute). Exits with 1 if one does not hold.

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/check.h"
#include "base/random.h"
#include "peer/peer_connection.h"
#include "tools/soak/churn_flow.h"

namespace kyuu::peer {
namespace {

constexpr size_t kCalls = 24;
constexpr size_t kChannelsOfACall = 12;
constexpr size_t kLargestMessage = 48 << 10;
constexpr absl::Duration kPace = absl::Milliseconds(5);
constexpr absl::Duration kSample = absl::Seconds(10);
// An end that was begun takes this long at most: repeats of repeats.
constexpr absl::Duration kPatience = absl::Seconds(60);
constexpr double kGrowthKilobytes = 2048;
// What libraries keep for the process.
constexpr double kLeftKilobytes = 4096;

// Two connections, joined. All but the handlers is the acting thread's.
class Call {
 public:
  Call(std::string name, const std::shared_ptr<Thread>& thread)
      : name_(std::move(name)) {
    for (size_t side : {0, 1}) {
      connections_[side] = *PeerConnection::Create(
          {.loopback = LoopbackUse::kAlways, .thread = thread},
          {.on_ice_candidate =
               [this, side](const IceCandidate& candidate) {
                 const absl::Status added =
                     connections_[1 - side]->AddIceCandidate(candidate);
                 // Too late: the other end is gone.
                 if (absl::IsFailedPrecondition(added)) return;
                 if (!added.ok()) TheVerdict().Wrong(added.ToString());
               },
           .on_data_channel =
               [this](std::shared_ptr<DataChannel> channel) {
                 Receive(std::move(channel));
               }});
    }
  }
  ~Call() {
    for (auto& connection : connections_) connection->Close();
  }

  const std::string& name() const { return name_; }
  size_t channels() const { return channels_.size(); }
  bool ending() const { return ending_.has_value(); }

  void Negotiate() {
    PeerConnection& a = *connections_[0];
    PeerConnection& b = *connections_[1];
    KYUU_CHECK(a.SetLocalDescription().ok());
    KYUU_CHECK(b.SetRemoteDescription(*a.local_description()).ok());
    KYUU_CHECK(b.SetLocalDescription().ok());
    KYUU_CHECK(a.SetRemoteDescription(*b.local_description()).ok());
  }
  void Restart() {
    connections_[0]->RestartIce();
    Negotiate();
  }

  void Open(size_t side, ChannelConfig config) {
    config.label = absl::StrCat(name_, ".", next_channel_++);
    auto flow = std::make_shared<Flow>(config);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      flows_[config.label] = flow;
    }
    auto channel = connections_[side]->CreateDataChannel(std::move(config));
    KYUU_CHECK(channel.ok());
    channels_.push_back({std::move(flow), *std::move(channel)});
  }

  void Feed(Random& random) {
    if (channels_.empty()) return;
    Sender& sender = channels_[random.Below(channels_.size())];
    for (uint64_t burst = random.Below(6); burst > 0; --burst) {
      const size_t size = random.Below(4) == 0 ? random.Below(kLargestMessage)
                                               : random.Below(1000);
      // Not open yet, or full.
      if (!sender.channel->Send(sender.flow->Next(size)).ok()) return;
      sender.flow->OnSent();
    }
  }

  // From the sender's side, or from the other one.
  void CloseChannel(Random& random) {
    if (channels_.empty()) return;
    const size_t i = random.Below(channels_.size());
    Sender sender = channels_[i];
    if (sender.channel->ready_state() != DataChannelState::kOpen) return;
    channels_.erase(channels_.begin() + static_cast<std::ptrdiff_t>(i));
    if (random.Below(3) == 0) {
      std::shared_ptr<DataChannel> other;
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        other = incoming_[sender.flow->config().label];
      }
      if (other != nullptr) {
        sender.flow->OnCutOff();
        other->Close();
        return;
      }
    }
    sender.flow->OnEnding();
    sender.channel->Close();
  }

  // In order: from one end, and what was sent arrives.
  void End(size_t side) {
    for (Sender& sender : channels_) {
      if (sender.channel->ready_state() == DataChannelState::kOpen) {
        sender.flow->OnEnding();
      } else {
        sender.flow->OnCutOff();
      }
    }
    channels_.clear();
    ending_ = absl::Now();
    connections_[side]->Shutdown();
  }
  // At once.
  void CutOff() {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (auto& [label, flow] : flows_) flow->OnCutOff();
  }

  // Whether an end that was begun has come; one that does not is told.
  bool Ended() {
    if (!ending_) return false;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      const bool settled =
          std::all_of(flows_.begin(), flows_.end(),
                      [](const auto& flow) { return flow.second->settled(); });
      if (settled) return true;
    }
    if (absl::Now() - *ending_ < kPatience) return false;
    TheVerdict().Wrong(absl::StrCat(name_, ": does not end"));
    return true;
  }

  void AddTo(Counts& counts) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++counts.calls;
    counts.channels += static_cast<int64_t>(flows_.size());
    for (const auto& [label, flow] : flows_) flow->AddTo(counts);
  }

 private:
  struct Sender {
    std::shared_ptr<Flow> flow;
    std::shared_ptr<DataChannel> channel;
  };

  void Receive(std::shared_ptr<DataChannel> channel) {
    std::shared_ptr<Flow> flow;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      flow = flows_[channel->label()];
      incoming_[channel->label()] = channel;
    }
    KYUU_CHECK(flow != nullptr);
    channel->SetHandlers(
        {.on_message =
             [flow](DataChannel&, const Message& message) {
               flow->OnReceived(message.payload);
             },
         .on_close =
             [this, flow](DataChannel&, const absl::Status& status) {
               flow->OnReceiverClosed(status);
               const std::lock_guard<std::mutex> lock(mutex_);
               incoming_.erase(flow->config().label);
             }});
  }

  const std::string name_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Flow>> flows_;
  std::map<std::string, std::shared_ptr<DataChannel>> incoming_;
  std::vector<Sender> channels_;
  int next_channel_ = 0;
  std::optional<absl::Time> ending_;
  std::unique_ptr<PeerConnection> connections_[2];
};

struct Sample {
  double kilobytes = 0;  // Resident.
  double heap = 0;       // Of them in use, by malloc's account, in kB.
  double descriptors = 0;
};

Sample Now() {
  Sample sample;
  // What is free between what is in use is malloc's affair: at the same use it
  // grows for hours.
  malloc_trim(0);
  std::ifstream statm("/proc/self/statm");
  double pages = 0;
  statm >> pages >> pages;
  sample.kilobytes = pages * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1024;
  sample.heap = static_cast<double>(mallinfo2().uordblks) / 1024;
  sample.descriptors = static_cast<double>(
      std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
  return sample;
}

double Median(const std::vector<Sample>& samples, size_t begin, size_t end,
              double Sample::*what) {
  std::vector<double> values;
  for (size_t i = begin; i < end; ++i) values.push_back(samples[i].*what);
  std::nth_element(
      values.begin(),
      values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
      values.end());
  return values[values.size() / 2];
}

void Judge(const std::vector<Sample>& samples) {
  const size_t quarter = samples.size() / 4;
  const double before =
      Median(samples, quarter, 2 * quarter, &Sample::kilobytes);
  const double after = Median(samples, samples.size() - quarter, samples.size(),
                              &Sample::kilobytes);
  std::printf("resident kB: %.0f -> %.0f\n", before, after);
  if (after > before + kGrowthKilobytes) TheVerdict().Wrong("memory grew");
}

class Churn {
 public:
  explicit Churn(uint64_t seed) : random_(seed) {
    for (auto& thread : threads_) thread = *Thread::Start();
    for (size_t i = 0; i < kCalls; ++i) calls_.push_back(Begin());
  }

  void Step() {
    std::unique_ptr<Call>& call = calls_[random_.Below(calls_.size())];
    if (call->ending()) {
      if (call->Ended()) Replace(call);
      return;
    }
    const size_t side = random_.Below(2);
    const uint64_t what = random_.Below(200);
    if (what == 0) return call->End(side);
    if (what == 1) {
      call->CutOff();
      return Replace(call);
    }
    if (what == 2) {
      ++counts_.restarts;
      return call->Restart();
    }
    if (what < 20) {
      if (call->channels() < kChannelsOfACall) call->Open(side, AnyConfig());
      return;
    }
    if (what < 35) return call->CloseChannel(random_);
    call->Feed(random_);
  }

  void Tell(const Sample& sample, absl::Duration since) const {
    std::printf(
        "%5.0f s: %.0f kB resident, %.0f in use, %.0f descriptors; %lld calls, "
        "%lld channels, %lld restarts, %lld messages, %lld arrived, %lld given "
        "up\n",
        absl::ToDoubleSeconds(since), sample.kilobytes, sample.heap,
        sample.descriptors, static_cast<long long>(counts_.calls),
        static_cast<long long>(counts_.channels),
        static_cast<long long>(counts_.restarts),
        static_cast<long long>(counts_.messages),
        static_cast<long long>(counts_.received),
        static_cast<long long>(counts_.given_up));
    std::fflush(stdout);
  }

  // All calls end in order, and nothing is left of them.
  void Finish() {
    for (auto& call : calls_) {
      if (!call->ending()) call->End(0);
    }
    for (auto& call : calls_) {
      while (!call->Ended()) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
      call->AddTo(counts_);
      call.reset();
    }
  }

 private:
  ChannelConfig AnyConfig() {
    ChannelConfig config;
    if (random_.Below(3) == 0) config.ordering = sctp::Ordering::kUnordered;
    switch (random_.Below(6)) {
      case 0:
        config.max_retransmits = static_cast<uint16_t>(random_.Below(3));
        break;
      case 1:
        config.max_packet_life_time = absl::Milliseconds(random_.Below(500));
        break;
      default:
        break;
    }
    return config;
  }
  std::unique_ptr<Call> Begin() {
    const uint64_t where = random_.Below(4);
    auto call = std::make_unique<Call>(absl::StrCat("call ", next_call_++),
                                       where < 2 ? threads_[where] : nullptr);
    call->Open(0, {});
    call->Negotiate();
    return call;
  }
  void Replace(std::unique_ptr<Call>& call) {
    call->AddTo(counts_);
    call = Begin();
  }

  SeededRandom random_;
  std::shared_ptr<Thread> threads_[2];
  std::vector<std::unique_ptr<Call>> calls_;
  int64_t next_call_ = 0;
  Counts counts_;  // Of calls that have ended.
};

int Main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: peer_churn SECONDS [SEED]\n");
    return 2;
  }
  const absl::Duration length = absl::Seconds(std::atof(argv[1]));
  // Of a short run enough samples for quarters.
  const absl::Duration every = std::min(kSample, length / 12);
  const Sample first = Now();
  std::optional<Churn> churn(
      std::in_place, argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1);
  std::vector<Sample> samples;
  const absl::Time began = absl::Now();
  absl::Time next = began, sample_at = began + every;
  while (next < began + length) {
    absl::SleepFor(next - absl::Now());
    next += kPace;
    churn->Step();
    if (absl::Now() < sample_at) continue;
    sample_at += every;
    samples.push_back(Now());
    churn->Tell(samples.back(), absl::Now() - began);
  }
  churn->Finish();
  churn->Tell(Now(), absl::Now() - began);
  churn.reset();
  const Sample last = Now();
  std::printf("descriptors: %.0f -> %.0f\n", first.descriptors,
              last.descriptors);
  if (last.descriptors > first.descriptors) {
    TheVerdict().Wrong("descriptors are left open");
  }
  if (last.heap > kLeftKilobytes) {
    TheVerdict().Wrong("something of what has ended is in use");
  }
  if (length >= absl::Minutes(1)) Judge(samples);
  return TheVerdict().wrong() == 0 ? 0 : 1;
}

}  // namespace
}  // namespace kyuu::peer

int main(int argc, char** argv) { return kyuu::peer::Main(argc, argv); }

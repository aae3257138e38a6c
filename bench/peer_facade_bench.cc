// Messages between two PeerConnections of one process, sent by an application's
// thread over real sockets: what the facade and its locks leave of the engine's
// throughput.

#include <malloc.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdint>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "benchmark/benchmark.h"
#include "peer/peer_connection.h"

namespace kyuu::peer {
namespace {

// A counter that one thread raises and another one waits for.
class Counter {
 public:
  void Add() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++value_;
    if (value_ == goal_) reached_.notify_all();
  }
  void Await(int64_t goal) {
    std::unique_lock<std::mutex> lock(mutex_);
    goal_ = goal;
    reached_.wait(lock, [&] { return value_ >= goal; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable reached_;
  int64_t value_ = 0;
  int64_t goal_ = 0;
};

class Call {
 public:
  // On `thread`, or with a thread for each if null.
  explicit Call(const std::shared_ptr<Thread>& thread = nullptr) {
    a_ = *PeerConnection::Create(
        {.loopback = LoopbackUse::kAlways, .thread = thread},
        {.on_ice_candidate = [this](const IceCandidate& candidate) {
          // Too late only: an end is at hand.
          b_->AddIceCandidate(candidate).IgnoreError();
        }});
    b_ = *PeerConnection::Create(
        {.loopback = LoopbackUse::kAlways, .thread = thread},
        {.on_ice_candidate =
             [this](const IceCandidate& candidate) {
               // Too late only: an end is at hand.
               a_->AddIceCandidate(candidate).IgnoreError();
             },
         .on_data_channel =
             [this](std::shared_ptr<DataChannel> channel) {
               channel->SetHandlers(
                   {.on_message = [this](DataChannel&, Message) {
                     received_.Add();
                   }});
             }});
    channel_ = *a_->CreateDataChannel(
        {.label = "bench"},
        {.on_open = [this](DataChannel&) { opened_.Add(); },
         .on_writable = [this](DataChannel&) { writable_.Add(); }});
    KYUU_CHECK(a_->SetLocalDescription().ok());
    KYUU_CHECK(b_->SetRemoteDescription(*a_->local_description()).ok());
    KYUU_CHECK(b_->SetLocalDescription().ok());
    KYUU_CHECK(a_->SetRemoteDescription(*b_->local_description()).ok());
    opened_.Await(1);
  }
  ~Call() {
    a_->Close();
    b_->Close();
  }

  void Send(size_t bytes) {
    while (!channel_->Send(std::vector<uint8_t>(bytes)).ok()) {
      writable_.Await(++refused_);
    }
    ++sent_;
  }
  void AwaitAll() { received_.Await(sent_); }

 private:
  std::unique_ptr<PeerConnection> a_, b_;
  std::shared_ptr<DataChannel> channel_;
  Counter opened_, writable_, received_;
  int64_t sent_ = 0;
  int64_t refused_ = 0;
};

void BM_SendFromAnotherThread(benchmark::State& state) {
  const size_t bytes = static_cast<size_t>(state.range(0));
  Call call;
  for (auto _ : state) call.Send(bytes);
  call.AwaitAll();
  state.SetItemsProcessed(state.iterations());
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_SendFromAnotherThread)
    ->Arg(16)
    ->Arg(1000)
    ->Arg(65536)
    ->UseRealTime();

void BM_Connect(benchmark::State& state) {
  for (auto _ : state) Call();
}
BENCHMARK(BM_Connect)->UseRealTime()->Unit(benchmark::kMicrosecond);

// What the process has resident, in kB.
double ResidentKilobytes() {
  std::ifstream statm("/proc/self/statm");
  double pages = 0;
  statm >> pages >> pages;
  return pages * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1024;
}

// What is allocated, in all arenas, OpenSSL's part included.
double InUseKilobytes() {
  return static_cast<double>(mallinfo2().uordblks) / 1024;
}

// Of connected peers with one channel: on one thread (0) or with a thread each
// (1), before anything was sent (0) or after so many bytes.
void BM_MemoryOfAPeer(benchmark::State& state) {
  constexpr int kCalls = 100;
  constexpr size_t kMessage = 16384;
  const size_t messages = static_cast<size_t>(state.range(1)) / kMessage;
  for (auto _ : state) {
    std::shared_ptr<Thread> shared;
    if (state.range(0) == 0) shared = *Thread::Start();
    std::vector<std::unique_ptr<Call>> calls;
    calls.push_back(std::make_unique<Call>(shared));  // OpenSSL's beginning.
    const double before = ResidentKilobytes();
    const double in_use_before = InUseKilobytes();
    for (int i = 0; i < kCalls; ++i) {
      calls.push_back(std::make_unique<Call>(shared));
      for (size_t k = 0; k < messages; ++k) calls.back()->Send(kMessage);
      calls.back()->AwaitAll();
    }
    state.counters["kB"] = (ResidentKilobytes() - before) / (2 * kCalls);
    state.counters["in use kB"] =
        (InUseKilobytes() - in_use_before) / (2 * kCalls);
  }
}
BENCHMARK(BM_MemoryOfAPeer)
    ->ArgsProduct({{0, 1}, {0, 512 << 10}})
    ->Iterations(1);

}  // namespace
}  // namespace kyuu::peer

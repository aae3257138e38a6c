// Messages between two PeerConnections of one process, sent by an application's
// thread over real sockets: what the facade and its locks leave of the engine's
// throughput.

#include <condition_variable>
#include <cstdint>
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
  Call() {
    a_ = *PeerConnection::Create(
        {.loopback = LoopbackUse::kAlways},
        {.on_ice_candidate = [this](const IceCandidate& candidate) {
          // Too late only: an end is at hand.
          b_->AddIceCandidate(candidate).IgnoreError();
        }});
    b_ = *PeerConnection::Create(
        {.loopback = LoopbackUse::kAlways},
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
    std::vector<uint8_t> payload(bytes);
    while (!channel_->Send(std::move(payload)).ok()) {
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

}  // namespace
}  // namespace kyuu::peer

// Memory of data channels, as malloc counts it: what one costs at the side that
// did not ask for it, open and idle, and in use; and what a burst of messages
// leaves behind there; and the most that a message of 1 GiB takes on its way,
// in parts. Two associations in memory, without loss.
//
//   bazel run --config=opt //bench:sctp_memory_bench

#include <malloc.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "base/check.h"
#include "base/random.h"
#include "benchmark/benchmark.h"
#include "sctp/data_channel.h"
#include "sim/pair.h"

namespace kyuu {
namespace {

double HeapBytes() {
  const struct mallinfo2 info = mallinfo2();
  return static_cast<double>(info.uordblks + info.hblkhd);
}

// Two connected sides; `b` is not looked at by the simulation's buffers when
// nothing is under way.
struct Two {
  Two() : a({}, random), b({}, random), pair(a, b, {}) {
    a.Start(pair.now(), sctp::StreamParity::kEven);
    b.Start(pair.now(), sctp::StreamParity::kOdd);
    pair.on_a = [](const sctp::DataChannels::Event&) {};
    pair.on_b = [this](const sctp::DataChannels::Event& event) {
      if (std::get_if<sctp::ChannelMessage>(&event) != nullptr) ++messages;
    };
    pair.RunFor(absl::Seconds(1));
    KYUU_CHECK(a.is_connected() && b.is_connected());
  }
  // Opens `count` channels from a.
  std::vector<sctp::ChannelId> Open(size_t count) {
    std::vector<sctp::ChannelId> channels;
    for (size_t i = 0; i < count; ++i) {
      channels.push_back(*a.Create(pair.now(), {.label = "channel"}));
    }
    pair.RunFor(absl::Seconds(5));
    KYUU_CHECK(b.channel_count() == count);
    return channels;
  }
  void Send(sctp::ChannelId channel) {
    KYUU_CHECK(
        a.Send(pair.now(), channel, sctp::PayloadType::kBinary, {1}).ok());
  }

  SeededRandom random{1};
  sctp::DataChannels a;
  sctp::DataChannels b;
  sim::Pair<sctp::DataChannels> pair;
  size_t messages = 0;
};

// Both sides hold each channel, so the difference is halved.
void Channels(benchmark::State& state) {
  const size_t count = static_cast<size_t>(state.range(0));
  double idle = 0;
  double busy = 0;
  double after = 0;
  for (auto _ : state) {
    auto two = std::make_unique<Two>();
    const double before = HeapBytes();
    const std::vector<sctp::ChannelId> channels = two->Open(count);
    const double ids = static_cast<double>(count * sizeof(sctp::ChannelId));
    const auto each = [&] {
      return (HeapBytes() - before - ids) / static_cast<double>(count);
    };
    idle = each() / 2;
    // The sender's side, while a message waits on each channel.
    const double opened = each();
    for (const sctp::ChannelId channel : channels) two->Send(channel);
    busy = idle + each() - opened;
    two->pair.RunFor(absl::Seconds(5));
    KYUU_CHECK(two->messages == count);
    after = each() / 2;
  }
  state.counters["idle_bytes"] = idle;
  state.counters["waiting_message_bytes"] = busy;
  state.counters["idle_again_bytes"] = after;
}
BENCHMARK(Channels)->Arg(1000)->Arg(16'384)->Iterations(1);

// One-byte messages on one channel: what both sides hold on to afterwards.
void Burst(benchmark::State& state) {
  const size_t count = static_cast<size_t>(state.range(0));
  double left = 0;
  for (auto _ : state) {
    auto two = std::make_unique<Two>();
    const sctp::ChannelId channel = two->Open(1).front();
    two->Send(channel);
    two->pair.RunFor(absl::Seconds(1));
    const double before = HeapBytes();
    for (size_t i = 0; i < count; ++i) two->Send(channel);
    two->pair.RunFor(absl::Minutes(1));
    KYUU_CHECK(two->messages == count + 1);
    left = HeapBytes() - before;
  }
  state.counters["left_bytes"] = left;
}
BENCHMARK(Burst)->Arg(120'000)->Iterations(1);

// A message of `range` MiB that is nowhere whole: the sender gives parts of 64
// KiB while little waits, the receiver takes what is there. What all of it
// takes at the most: both ends, and the packets on their way.
void Streamed(benchmark::State& state) {
  const uint64_t size = static_cast<uint64_t>(state.range(0)) << 20;
  double most = 0;
  uint64_t arrived = 0;
  for (auto _ : state) {
    SeededRandom random(1);
    sctp::DataChannels::Options options;
    options.association.max_message_in_parts = size_t{1} << 30;
    options.incoming_delivery = sctp::Delivery::kParts;
    sctp::DataChannels a(options, random);
    sctp::DataChannels b(options, random);
    sim::Pair<sctp::DataChannels> pair(
        a, b,
        {.a_to_b = {.delay = absl::Milliseconds(5),
                    .rate_bits_per_s = 1'000'000'000},
         .b_to_a = {.delay = absl::Milliseconds(5)}});
    a.Start(pair.now(), sctp::StreamParity::kEven);
    b.Start(pair.now(), sctp::StreamParity::kOdd);
    a.SetMaxMessageSize(0);
    pair.on_a = [](const sctp::DataChannels::Event&) {};
    pair.on_b = [&](const sctp::DataChannels::Event& event) {
      const auto* part = std::get_if<sctp::ChannelMessagePart>(&event);
      if (part != nullptr) arrived += part->payload.size();
    };
    const auto channel = *a.Create(pair.now(), {.label = "large"});
    pair.RunFor(absl::Seconds(1));
    KYUU_CHECK(
        a.BeginMessage(pair.now(), channel, sctp::PayloadType::kBinary, size)
            .ok());
    const double before = HeapBytes();
    uint64_t given = 0;
    while (arrived < size) {
      while (given < size && a.buffered_amount(channel) < 256 * 1024) {
        std::vector<uint8_t> part(64 * 1024);
        KYUU_CHECK(
            a.SendPart(pair.now(), channel, std::move(part), sctp::Part::kMore)
                .ok());
        given += 64 * 1024;
      }
      pair.RunFor(absl::Milliseconds(1));
      most = std::max(most, HeapBytes() - before);
    }
  }
  state.counters["most_bytes"] = most;
  state.counters["bytes"] = static_cast<double>(arrived);
}
BENCHMARK(Streamed)->Arg(64)->Arg(1024)->Iterations(1);

}  // namespace
}  // namespace kyuu

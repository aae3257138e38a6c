// Acknowledgements, to a victim that has 32 700 chunks in flight on 1000
// channels.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench/hostile_cases.h"
#include "bench/hostile_rig.h"
#include "sctp/internal/chunk/sack_chunk.h"

namespace kyuu::bench {
namespace {

using sctp::internal::SackChunk;

constexpr size_t kChannels = 1000;
constexpr uint32_t kInFlight = 32'700;
constexpr uint32_t kBlocks = 285;  // Of one packet.

// Of nothing but what was acknowledged before.
SackChunk Sack(HostileRig& rig) {
  SackChunk sack;
  sack.cumulative_tsn_ack = rig.victim_tsn - 1;
  sack.a_rwnd = 1 << 30;
  return sack;
}

// As many gap blocks as fit, of every second chunk from `first` on.
SackChunk Alternating(HostileRig& rig, uint32_t first) {
  SackChunk sack = Sack(rig);
  for (uint32_t i = 0; i < kBlocks; ++i) {
    const auto at = static_cast<uint16_t>(2 + (first + 2 * i) % kInFlight);
    sack.gap_ack_blocks.push_back({at, at});
  }
  return sack;
}

void ReportEverySecond(HostileRig& rig) {
  for (uint32_t at = 0; at < kInFlight - 2 * kBlocks; at += 2 * kBlocks) {
    rig.Give(rig.Stuff([&](Writer& w) { Alternating(rig, at).Write(w); }, 1));
  }
}

Packets EverySecond(HostileRig& rig) {
  rig.FillFlight(kChannels);
  uint32_t at = 0;
  return rig.Each(57, [&](Writer& w) {
    Alternating(rig, at).Write(w);
    at += 2 * kBlocks;
  });
}

Packets EverySecondAgain(HostileRig& rig) {
  rig.FillFlight(kChannels);
  ReportEverySecond(rig);
  uint32_t at = 0;
  return rig.Each(1000, [&](Writer& w) {
    Alternating(rig, at % (kInFlight - 2 * kBlocks)).Write(w);
    at += 154;
  });
}

Packets OneHoleEach(HostileRig& rig) {
  rig.FillFlight(kChannels);
  ReportEverySecond(rig);
  uint32_t at = 3;
  return rig.Fill(100, [&](Writer& w) {
    SackChunk sack = Sack(rig);
    sack.gap_ack_blocks.push_back(
        {static_cast<uint16_t>(at), static_cast<uint16_t>(at)});
    sack.Write(w);
    at = 3 + (at + 2 * 4093) % 32'000;
  });
}

// Blocks that overlap, in no order.
Packets Overlapping(HostileRig& rig) {
  rig.FillFlight(kChannels);
  uint32_t seed = 1;
  return rig.Each(1000, [&](Writer& w) {
    SackChunk sack = Sack(rig);
    for (uint32_t i = 0; i < kBlocks; ++i) {
      seed = seed * 1'664'525 + 1'013'904'223;
      const uint32_t at = 2 + (seed >> 8) % 32'000;
      sack.gap_ack_blocks.push_back(
          {static_cast<uint16_t>(at), static_cast<uint16_t>(at + seed % 500)});
    }
    sack.Write(w);
  });
}

Packets OneChunkEach(HostileRig& rig) {
  rig.FillFlight(kChannels);
  uint32_t count = 0;
  return rig.Fill(400, [&](Writer& w) {
    SackChunk sack = Sack(rig);
    sack.cumulative_tsn_ack = rig.victim_tsn - 1 + ++count;
    sack.Write(w);
  });
}

Packets NothingNew(HostileRig& rig) {
  rig.FillFlight(kChannels);
  return rig.Fill(1000, [&](Writer& w) { Sack(rig).Write(w); });
}

Packets Stale(HostileRig& rig) {
  rig.FillFlight(kChannels);
  return rig.Fill(1000, [&](Writer& w) {
    SackChunk sack = Sack(rig);
    sack.cumulative_tsn_ack = rig.victim_tsn - 100;
    sack.Write(w);
  });
}

Packets Invalid(HostileRig& rig) {
  rig.FillFlight(kChannels);
  return rig.Each(1000, [&](Writer& w) {
    SackChunk sack = Alternating(rig, 0);
    sack.gap_ack_blocks.back() = {65'535, 65'535};
    sack.Write(w);
  });
}

Packets DuplicateTsns(HostileRig& rig) {
  rig.FillFlight(kChannels);
  uint32_t seed = 1;
  return rig.Each(1000, [&](Writer& w) {
    SackChunk sack = Sack(rig);
    // Something new, so that there is loss to judge.
    sack.cumulative_tsn_ack = rig.victim_tsn - 1 + seed % 2;
    for (uint32_t i = 0; i < kBlocks; ++i) {
      seed = seed * 1'664'525 + 1'013'904'223;
      sack.duplicate_tsns.push_back(rig.victim_tsn + (seed >> 8) % kInFlight);
    }
    sack.Write(w);
  });
}

// Reports thousands and takes them back, in turns.
Packets Reneging(HostileRig& rig) {
  rig.FillFlight(kChannels);
  uint32_t count = 0;
  return rig.Fill(200, [&](Writer& w) {
    SackChunk sack = Sack(rig);
    if (++count % 2 != 0) sack.gap_ack_blocks.push_back({2, 32'000});
    if (count % 2 == 0) sack.cumulative_tsn_ack = rig.victim_tsn + count / 2;
    sack.Write(w);
  });
}

}  // namespace

std::vector<HostileCase> SackCases() {
  return {
      {"every second chunk", EverySecond},
      {"every second chunk, again", EverySecondAgain},
      {"one of 16000 holes each", OneHoleEach},
      {"overlapping blocks in no order", Overlapping},
      {"one chunk more each", OneChunkEach},
      {"nothing new", NothingNew},
      {"out of date", Stale},
      {"invalid in the last block", Invalid},
      {"duplicates of what is in flight", DuplicateTsns},
      {"reported and taken back", Reneging},
  };
}

}  // namespace kyuu::bench

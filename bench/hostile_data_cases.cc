// Data, and what is given up of it.

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "bench/hostile_cases.h"
#include "bench/hostile_rig.h"
#include "sctp/internal/chunk/data_chunk.h"
#include "sctp/internal/chunk/forward_tsn_chunk.h"

namespace kyuu::bench {
namespace {

using sctp::StreamId;
using sctp::internal::DataChunk;
using sctp::internal::ForwardTsnChunk;
using sctp::internal::Mid;
using sctp::internal::Ssn;
using sctp::internal::Tsn;

constexpr uint8_t kBegin = DataChunk::kBegin;
constexpr uint8_t kWhole = DataChunk::kBegin | DataChunk::kEnd;
constexpr uint8_t kUnordered = DataChunk::kUnordered;
constexpr uint32_t kWindow = 32'767;  // Options::max_tsn_window.

void Append(Packets& to, Packets packets) {
  for (Packet& packet : packets) to.push_back(std::move(packet));
}

Packets SmallMessages(HostileRig& rig) {
  rig.OpenChannels(1);
  uint16_t ssn = 0;
  return rig.Fill(1000, [&](Writer& w) {
    ++ssn;
    rig.Data(w, {.flags = kWhole, .ssn = Ssn(ssn), .mid = ssn});
  });
}

Packets ManyChannels(HostileRig& rig) {
  rig.OpenChannels(16'000);
  uint32_t i = 0;
  return rig.Fill(1000, [&](Writer& w) {
    const auto stream = static_cast<uint16_t>((i++ * 6151) % 16'000 * 2);
    rig.Data(w, {.flags = kWhole | kUnordered, .stream = stream, .mid = i});
  });
}

Packets NoChannel(HostileRig& rig) {
  uint32_t i = 0;
  return rig.Fill(1000, [&](Writer& w) {
    const auto stream = static_cast<uint16_t>(i++ * 6151 % 65'535);
    rig.Data(w, {.flags = kWhole | kUnordered, .stream = stream, .mid = i});
  });
}

Packets InvalidStream(HostileRig& rig) {
  uint32_t i = 0;
  return rig.Fill(1000, [&](Writer& w) {
    rig.Data(w, {.flags = kWhole, .stream = 65'535, .mid = i++});
  });
}

// Behind a hole that nothing fills.
Packets Begun(HostileRig& rig) {
  uint32_t i = 0;
  ++rig.tsn;
  return rig.Fill(900, [&](Writer& w) {
    const auto stream = static_cast<uint16_t>(i++ * 6151 % 65'535);
    rig.Data(w, {.flags = kBegin, .stream = stream});
  });
}

Packets Middles(HostileRig& rig) {
  ++rig.tsn;
  uint32_t fsn = 1;
  return rig.Fill(900,
                  [&](Writer& w) { rig.Data(w, {.flags = 0, .fsn = fsn++}); });
}

Packets WaitingMessages(HostileRig& rig) {
  ++rig.tsn;
  uint32_t i = 0;
  return rig.Fill(900, [&](Writer& w) {
    const auto stream = static_cast<uint16_t>(i++ * 6151 % 65'535);
    rig.Data(w, {.flags = kWhole, .stream = stream, .ssn = Ssn(1), .mid = 1});
  });
}

// Begun messages of one stream, each behind the first, which ends last; and
// again.
Packets FirstEndsLast(HostileRig& rig) {
  rig.OpenChannels(1);
  Packets packets;
  uint16_t ssn = 1;
  for (int round = 0; round < 20; ++round) {
    const Tsn first = rig.tsn;
    const uint16_t first_ssn = ssn++;
    ++rig.tsn;
    Append(packets, rig.Fill(50, [&](Writer& w) {
      rig.Data(w, {.flags = kWhole, .ssn = Ssn(ssn), .mid = ssn});
      ++ssn;
    }));
    const Tsn next = std::exchange(rig.tsn, first);
    Append(packets, rig.Each(1, [&](Writer& w) {
      rig.Data(w, {.flags = kWhole, .ssn = Ssn(first_ssn), .mid = first_ssn});
    }));
    rig.tsn = next;
  }
  return packets;
}

// The fragments of a message from the last one to the first, and again.
Packets Backwards(HostileRig& rig) {
  rig.OpenChannels(1);
  Packets packets;
  constexpr uint32_t kFragments = 2000;
  for (uint16_t round = 1; round <= 30; ++round) {
    uint32_t left = kFragments;
    const Tsn base = rig.tsn;
    while (left > 0) {
      packets.push_back(rig.Stuff([&](Writer& w) {
        if (left == 0) return;
        --left;
        rig.tsn = base + left;
        uint8_t flags = left == 0 ? kBegin : 0;
        if (left == kFragments - 1) flags |= DataChunk::kEnd;
        rig.Data(
            w, {.flags = flags, .ssn = Ssn(round), .mid = round, .fsn = left});
      }));
    }
    rig.tsn = base + kFragments;
  }
  return packets;
}

// The window in bit-reversed order.
Packets Scattered(HostileRig& rig) {
  const Tsn base = rig.tsn;
  uint32_t i = 0;
  return rig.Fill(560, [&](Writer& w) {
    uint32_t place = 0;
    for (int bit = 0; bit < 15; ++bit) place |= (i >> bit & 1) << (14 - bit);
    ++i;
    rig.tsn = base + (place == kWindow ? 1 : place + 1);
    rig.Data(w, {.flags = kWhole | kUnordered, .mid = place + 1});
  });
}

// From the end of the window downwards, every second one.
Packets Downwards(HostileRig& rig) {
  const Tsn base = rig.tsn;
  uint32_t i = kWindow - 1;
  return rig.Fill(270, [&](Writer& w) {
    rig.tsn = base + i;
    i -= 2;
    rig.Data(w, {.flags = kWhole | kUnordered, .mid = i});
  });
}

void OpenHoles(HostileRig& rig) {
  uint32_t i = 0;
  const Tsn base = rig.tsn;
  const Packets packets = rig.Fill(18, [&](Writer& w) {
    rig.tsn = base + 2 * i++ + 1;
    rig.Data(w, {.flags = kWhole | kUnordered, .mid = i});
  });
  for (const Packet& packet : packets) rig.Give(packet);
  rig.tsn = base;
}

Packets Duplicates(HostileRig& rig) {
  OpenHoles(rig);
  const Tsn base = rig.tsn;
  uint32_t i = 0;
  return rig.Fill(1000, [&](Writer& w) {
    rig.tsn = base + (i++ * 389 % 1000 * 2) + 1;
    rig.Data(w, {.flags = kWhole | kUnordered, .mid = 1});
  });
}

Packets OutsideWindow(HostileRig& rig) {
  OpenHoles(rig);
  const Tsn base = rig.tsn + 40'000;
  return rig.Fill(1000, [&](Writer& w) {
    rig.tsn = base;
    rig.Data(w, {.flags = kWhole | kUnordered, .mid = 1});
  });
}

Packets FillsHoles(HostileRig& rig) {
  OpenHoles(rig);
  Packets packets;
  const Tsn base = rig.tsn;
  for (uint32_t i = 1000; i > 0; --i) {
    rig.tsn = base + 2 * i;
    packets.push_back(rig.Stuff(
        [&](Writer& w) {
          rig.Data(w, {.flags = kWhole | kUnordered, .mid = 5000 + i});
        },
        1));
  }
  return packets;
}

// --- What was given up.

Packets ForwardStreams(HostileRig& rig) {
  uint32_t i = 0;
  return rig.Each(2000, [&](Writer& w) {
    ForwardTsnChunk forward = rig.Forward();
    while (ForwardTsnChunk::kHeaderSize + 4 +
               forward.skipped.size() *
                   ForwardTsnChunk::EntrySize(forward.type) <
           1170) {
      ++i;
      forward.skipped.push_back(
          {static_cast<StreamId>(i * 6151 % 65'535),
           Ssn(static_cast<uint16_t>(i / 65'535)), Mid(i / 65'535),
           i % 2 == 0 ? sctp::Ordering::kOrdered : sctp::Ordering::kUnordered});
    }
    forward.Write(w);
  });
}

Packets ForwardOneByOne(HostileRig& rig) {
  OpenHoles(rig);
  return rig.Fill(1000, [&](Writer& w) { rig.Forward().Write(w); });
}

Packets ForwardStale(HostileRig& rig) {
  OpenHoles(rig);
  return rig.Fill(1000, [&](Writer& w) {
    ForwardTsnChunk forward = rig.Forward();
    forward.new_cumulative_tsn = Tsn(500);
    forward.Write(w);
  });
}

// 30 000 held fragments given up at once, and again.
Packets ForwardOverHeld(HostileRig& rig) {
  Packets packets;
  for (int round = 0; round < 4; ++round) {
    ++rig.tsn;
    uint32_t fsn = 1;
    Append(packets, rig.Fill(400, [&](Writer& w) {
      rig.Data(w, {.flags = 0, .mid = 7, .fsn = fsn++});
    }));
    Append(packets, rig.Each(1, [&](Writer& w) {
      ForwardTsnChunk forward = rig.Forward();
      forward.new_cumulative_tsn = rig.tsn - 1;
      forward.skipped.push_back(
          {StreamId{0}, Ssn(0), Mid(7), sctp::Ordering::kOrdered});
      forward.Write(w);
    }));
  }
  return packets;
}

}  // namespace

std::vector<HostileCase> DataCases() {
  return {
      {"1 byte, in order, one channel", SmallMessages},
      {"1 byte, unordered, 16000 channels", ManyChannels},
      {"1 byte, streams without channels", NoChannel},
      {"1 byte, a stream that does not exist", InvalidStream},
      {"begun messages behind a hole", Begun},
      {"middle fragments behind a hole", Middles},
      {"whole messages that wait for their streams", WaitingMessages},
      {"2900 messages behind a hole that closes", FirstEndsLast},
      {"fragments from last to first", Backwards},
      {"the window in bit-reversed order", Scattered},
      {"the window downwards, every second", Downwards},
      {"duplicates, 1000 holes", Duplicates},
      {"beyond the window, 1000 holes", OutsideWindow},
      {"one of 1000 holes filled each", FillsHoles},
      {"FORWARD TSN of as many streams as fit", ForwardStreams},
      {"FORWARD TSNs, one TSN each, 1000 holes", ForwardOneByOne},
      {"FORWARD TSNs that are out of date, 1000 holes", ForwardStale},
      {"FORWARD TSN over 23000 held fragments", ForwardOverHeld},
  };
}

}  // namespace kyuu::bench

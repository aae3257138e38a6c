// A peer that has authenticated itself and means ill, for benchmarks: every
// packet is written by hand, beforehand, so that only its victim is measured.

#ifndef KYUU_BENCH_HOSTILE_RIG_H_
#define KYUU_BENCH_HOSTILE_RIG_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/random.h"
#include "sctp/data_channel.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/chunk/data_chunk.h"
#include "sctp/internal/chunk/forward_tsn_chunk.h"
#include "sctp/internal/chunk/init_chunk.h"
#include "sctp/internal/chunk/packet.h"
#include "sctp/internal/serial.h"

namespace kyuu::bench {

using Packet = std::vector<uint8_t>;
using Packets = std::vector<Packet>;

// What the two have agreed on (RFC 8260).
enum class Format : uint8_t { kData, kIData };

// HostileRig is a connected victim, as a peer meets it, and what its peer needs
// to know for the next packet.
struct HostileRig {
  // The size of its packets, that of ours.
  static constexpr size_t kPacketSize = 1191;
  static constexpr uint32_t kTag = 0x11111111;

  explicit HostileRig(Format format);

  // Gives the victim a packet, and takes everything that it has to say.
  void Give(absl::Span<const uint8_t> packet);
  // Opens channels of the peer on streams 0, 2, and so on.
  void OpenChannels(size_t count);
  // Has the victim send as many messages of one byte as its window of TSNs
  // allows, on `channels` channels, and acknowledges none.
  void FillFlight(size_t channels);
  sctp::internal::InitChunk MakeInit() const;

  // A packet with as many chunks of `write` as fit, `most` at the most.
  template <typename F>
  Packet Stuff(F&& write, size_t most = std::numeric_limits<size_t>::max()) {
    return StuffTagged(tag, write, most);
  }
  template <typename F>
  Packet StuffTagged(uint32_t with, F&& write, size_t most) {
    Packet packet(kPacketSize);
    Writer writer(absl::MakeSpan(packet));
    sctp::internal::CommonHeader{5000, 5000, with}.Write(writer);
    size_t size = 0;
    for (size_t i = 0; i < most && writer.remaining() >= size; ++i) {
      const size_t before = writer.size();
      write(writer);
      size = writer.size() - before;
      if (size == 0) break;
    }
    sctp::internal::FinishPacket(writer.mutable_written());
    packet.resize(writer.size());
    return packet;
  }
  // `count` such packets, and packets with one chunk each.
  template <typename F>
  Packets Fill(size_t count, F&& write) {
    Packets packets;
    for (size_t i = 0; i < count; ++i) packets.push_back(Stuff(write));
    return packets;
  }
  template <typename F>
  Packets Each(size_t count, F&& write) {
    Packets packets;
    for (size_t i = 0; i < count; ++i) packets.push_back(Stuff(write, 1));
    return packets;
  }

  // Writes DATA or I-DATA with the next TSN.
  struct DataOf {
    uint8_t flags = 0;
    uint16_t stream = 0;
    sctp::internal::Ssn ssn{};
    uint32_t mid = 0;
    uint32_t fsn = 0;
    size_t size = 1;
  };
  void Data(Writer& writer, const DataOf& data);
  // A FORWARD TSN or I-FORWARD-TSN over the next TSN.
  sctp::internal::ForwardTsnChunk Forward();

  Format format;
  SeededRandom random{1};
  sctp::DataChannels victim;
  absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  uint32_t tag = 0;                // Of the victim.
  sctp::internal::Tsn victim_tsn;  // The first one of the victim.
  sctp::internal::Tsn tsn{1000};   // The next one of its peer.
  // The number of the peer's next request (RFC 6525), and of the victim's
  // first.
  uint32_t request = 1000;
  std::vector<sctp::ChannelId> channels;
  std::vector<uint8_t> cookie;  // That of the handshake.
  bool ended = false;

 private:
  static sctp::DataChannels::Options OptionsOf();
};

}  // namespace kyuu::bench

#endif  // KYUU_BENCH_HOSTILE_RIG_H_

// A peer whose every packet is written by hand, to put an association into
// situations that no well-behaved peer would.

#ifndef KYUU_SCTP_TESTING_PUPPET_H_
#define KYUU_SCTP_TESTING_PUPPET_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/random.h"
#include "sctp/association.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/chunk/control_chunks.h"
#include "sctp/internal/chunk/data_chunk.h"
#include "sctp/internal/chunk/init_chunk.h"
#include "sctp/internal/chunk/packet.h"
#include "sctp/internal/chunk/sack_chunk.h"

namespace kyuu::sctp::internal {

// Puppet talks to one association, `peer`, over nothing: what it sends arrives
// at once.
class Puppet {
 public:
  static constexpr uint32_t kTag = 0x11111111;
  static constexpr Tsn kInitialTsn{1000};

  // A chunk that the association has sent, with a copy of its bytes.
  struct Received {
    uint32_t tag = 0;
    std::vector<uint8_t> bytes;
    ChunkView view() const {
      Reader reader(bytes);
      return NextChunk(reader).value_or(ChunkView());
    }
    ChunkType type() const { return view().type; }
  };

  explicit Puppet(const Options& options = {}, uint64_t seed = 1)
      : random(seed), peer(options, random) {}

  // Sends a packet with `tag` that `write` fills.
  template <typename F>
  void SendTagged(uint32_t tag, F&& write) {
    std::vector<uint8_t> buffer(65536);
    Writer writer(absl::MakeSpan(buffer));
    CommonHeader{5000, 5000, tag}.Write(writer);
    write(writer);
    if (checksums) FinishPacket(writer.mutable_written());
    peer.HandlePacket(now, writer.written());
  }
  template <typename F>
  void Send(F&& write) {
    SendTagged(peer_tag, write);
  }
  template <typename Chunk>
  void SendChunk(const Chunk& chunk) {
    Send([&](Writer& writer) { chunk.Write(writer); });
  }
  // A chunk of any type with any value.
  void SendRaw(uint8_t type, uint8_t flags, absl::Span<const uint8_t> value) {
    Send([&](Writer& writer) {
      ChunkWriter chunk(writer, static_cast<ChunkType>(type), flags);
      writer.Bytes(value);
    });
  }
  void SendData(uint32_t tsn_offset, uint8_t flags, uint16_t stream,
                uint16_t ssn, const std::string& payload) {
    DataChunk chunk;
    chunk.flags = flags;
    chunk.tsn = kInitialTsn + tsn_offset;
    chunk.stream = static_cast<StreamId>(stream);
    chunk.ssn = Ssn(ssn);
    chunk.ppid = Ppid{53};
    chunk.payload = AsBytes(payload);
    SendChunk(chunk);
  }

  // `ppid` of the first fragment is 53.
  void SendIData(uint32_t tsn_offset, uint8_t flags, uint16_t stream,
                 uint32_t mid, uint32_t fsn, const std::string& payload) {
    DataChunk chunk;
    chunk.type = ChunkType::kIData;
    chunk.flags = flags;
    chunk.tsn = kInitialTsn + tsn_offset;
    chunk.stream = static_cast<StreamId>(stream);
    chunk.mid = Mid(mid);
    chunk.fsn = fsn;
    chunk.ppid = Ppid{53};
    chunk.payload = AsBytes(payload);
    SendChunk(chunk);
  }

  // Takes all chunks that the association sends now.
  std::vector<Received> Drain() {
    std::vector<Received> chunks;
    std::vector<uint8_t> buffer(65536);
    while (auto packet = peer.PollTransmit(now, absl::MakeSpan(buffer))) {
      const PacketView view = ParsePacket(*packet, ZeroChecksum::kAccepted);
      if (view.unchecked) ++unchecked_packets;
      Reader reader(view.chunks);
      while (std::optional<ChunkView> chunk = NextChunk(reader)) {
        chunks.push_back(
            {view.header.verification_tag,
             std::vector<uint8_t>(chunk->whole.begin(), chunk->whole.end())});
      }
    }
    return chunks;
  }
  // The last chunk of `type` among what the association sends now.
  std::optional<Received> DrainFor(ChunkType type) {
    std::optional<Received> found;
    for (Received& chunk : Drain()) {
      if (chunk.type() == type) found = std::move(chunk);
    }
    return found;
  }
  std::vector<Event> Events() {
    std::vector<Event> events;
    while (auto event = peer.PollEvent()) events.push_back(*std::move(event));
    return events;
  }
  // The status of Closed among the events that wait, if it is there.
  std::optional<absl::Status> ClosedStatus() {
    for (Event& event : Events()) {
      if (auto* closed = std::get_if<Closed>(&event)) return closed->status;
    }
    return std::nullopt;
  }
  void Wait(absl::Duration duration) {
    now += duration;
    peer.HandleTimeout(now);
  }

  InitChunk MakeInit() const {
    InitChunk init;
    init.initiate_tag = kTag;
    init.a_rwnd = 1 << 20;
    init.outbound_streams = 65535;
    init.inbound_streams = 65535;
    init.initial_tsn = kInitialTsn;
    init.extensions = {.forward_tsn = true, .re_config = true};
    return init;
  }
  // The INIT of a peer that speaks RFC 8260 too.
  InitChunk MakeMixedInit() const {
    InitChunk init = MakeInit();
    init.extensions.i_data = init.extensions.i_forward_tsn = true;
    return init;
  }
  // Gets a cookie for `init`, and learns the tag of the association.
  std::vector<uint8_t> GetCookie(const InitChunk& init) {
    SendTagged(0, [&](Writer& writer) { init.Write(writer); });
    const std::optional<Received> answer = DrainFor(ChunkType::kInitAck);
    if (!answer) return {};
    const std::optional<InitChunk> ack = InitChunk::Parse(answer->view());
    peer_tag = ack->initiate_tag;
    peer_initial_tsn = ack->initial_tsn;
    return std::vector<uint8_t>(ack->cookie.begin(), ack->cookie.end());
  }
  // Connects to the association, which need not do anything; false on failure.
  bool Connect(const InitChunk& init) {
    const std::vector<uint8_t> cookie = GetCookie(init);
    SendChunk(CookieEchoChunk{cookie});
    return DrainFor(ChunkType::kCookieAck).has_value();
  }
  bool Connect() { return Connect(MakeInit()); }

  absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  SeededRandom random;
  Association peer;
  // Whether to send checksums, and how many packets came without.
  bool checksums = true;
  int unchecked_packets = 0;
  uint32_t peer_tag = 0;
  Tsn peer_initial_tsn;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_TESTING_PUPPET_H_

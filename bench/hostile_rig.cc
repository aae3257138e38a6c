#include "bench/hostile_rig.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/check.h"
#include "sctp/dcep.h"
#include "sctp/internal/chunk/control_chunks.h"

namespace kyuu::bench {
namespace {

using sctp::internal::ChunkType;
using sctp::internal::DataChunk;
using sctp::internal::InitChunk;
using sctp::internal::Ssn;
using sctp::internal::Tsn;

// The first chunk of `packet`.
std::optional<sctp::internal::ChunkView> FirstChunk(
    absl::Span<const uint8_t> packet) {
  Reader reader(sctp::internal::ParsePacket(
                    packet, sctp::internal::ZeroChecksum::kAccepted)
                    .chunks);
  return sctp::internal::NextChunk(reader);
}

}  // namespace

// What a peer with a window of its own reaches by acknowledging for a while.
sctp::DataChannels::Options HostileRig::OptionsOf() {
  sctp::DataChannels::Options options;
  options.association.initial_cwnd_packets = 40'000;
  options.association.max_init_retransmits.reset();
  options.association.max_association_retransmits.reset();
  return options;
}

InitChunk HostileRig::MakeInit() const {
  InitChunk init;
  init.initiate_tag = kTag;
  init.a_rwnd = 1 << 30;
  init.outbound_streams = init.inbound_streams = 65'535;
  init.initial_tsn = Tsn(1000);
  init.extensions = {.forward_tsn = true, .re_config = true};
  init.extensions.i_data = init.extensions.i_forward_tsn =
      format == Format::kIData;
  return init;
}

HostileRig::HostileRig(Format agreed)
    : format(agreed), victim(OptionsOf(), random) {
  victim.Start(now, sctp::StreamParity::kOdd);
  std::array<uint8_t, 2048> buffer;
  const auto take = [&] {
    const auto packet = victim.PollTransmit(now, absl::MakeSpan(buffer));
    KYUU_CHECK(packet.has_value());
    return *packet;
  };
  const auto init = InitChunk::Parse(*FirstChunk(take()));
  KYUU_CHECK(init.has_value());
  tag = init->initiate_tag;
  victim_tsn = init->initial_tsn;
  victim.HandlePacket(now, StuffTagged(
                               0, [&](Writer& w) { MakeInit().Write(w); }, 1));
  const auto ack = InitChunk::Parse(*FirstChunk(take()));
  KYUU_CHECK(ack.has_value());
  cookie.assign(ack->cookie.begin(), ack->cookie.end());
  Give(Stuff(
      [&](Writer& w) { sctp::internal::CookieEchoChunk{cookie}.Write(w); }, 1));
  KYUU_CHECK(victim.is_connected());
}

void HostileRig::Give(absl::Span<const uint8_t> packet) {
  now += absl::Microseconds(10);
  if (victim.NextTimeout() <= now) victim.HandleTimeout(now);
  victim.HandlePacket(now, packet);
  std::array<uint8_t, 2048> buffer;
  while (victim.PollTransmit(now, absl::MakeSpan(buffer))) {
  }
  while (const auto event = victim.PollEvent()) {
    if (const auto* in = std::get_if<sctp::ChannelIncoming>(&*event)) {
      channels.push_back(in->channel);
    }
    if (std::holds_alternative<sctp::Closed>(*event)) ended = true;
  }
}

void HostileRig::Data(Writer& writer, const DataOf& data) {
  static const std::vector<uint8_t>* const bytes =
      new std::vector<uint8_t>(kPacketSize, 'x');
  DataChunk chunk;
  if (format == Format::kIData) chunk.type = ChunkType::kIData;
  chunk.flags = data.flags;
  chunk.tsn = tsn;
  chunk.stream = static_cast<sctp::StreamId>(data.stream);
  chunk.ssn = data.ssn;
  chunk.mid = sctp::internal::Mid(data.mid);
  chunk.fsn = data.fsn;
  chunk.ppid = sctp::kPpidBinary;
  chunk.payload = absl::MakeConstSpan(*bytes).first(data.size);
  chunk.Write(writer);
  ++tsn;
}

sctp::internal::ForwardTsnChunk HostileRig::Forward() {
  sctp::internal::ForwardTsnChunk forward;
  if (format == Format::kIData) forward.type = ChunkType::kIForwardTsn;
  forward.new_cumulative_tsn = tsn;
  ++tsn;
  return forward;
}

void HostileRig::OpenChannels(size_t count) {
  const std::vector<uint8_t> open = sctp::DcepOpen{.label = "x"}.Serialize();
  for (size_t i = 0; i < count; ++i) {
    Give(Stuff(
        [&](Writer& w) {
          DataChunk chunk;
          if (format == Format::kIData) chunk.type = ChunkType::kIData;
          chunk.flags = DataChunk::kBegin | DataChunk::kEnd;
          chunk.tsn = tsn;
          chunk.stream = static_cast<sctp::StreamId>(2 * i);
          chunk.ppid = sctp::kPpidDcep;
          chunk.payload = open;
          chunk.Write(w);
        },
        1));
    ++tsn;
  }
  KYUU_CHECK(channels.size() == count);
}

void HostileRig::FillFlight(size_t count) {
  OpenChannels(count);
  for (size_t i = 0; i < 32'700 - count; ++i) {
    const auto channel = channels[i * 389 % count];
    KYUU_CHECK(victim.Send(now, channel, sctp::PayloadType::kBinary, {1}).ok());
  }
  // At the pace that it allows itself.
  std::array<uint8_t, 2048> buffer;
  for (int i = 0; i < 100; ++i) {
    now += absl::Milliseconds(1);
    if (victim.NextTimeout() <= now) victim.HandleTimeout(now);
    while (victim.PollTransmit(now, absl::MakeSpan(buffer))) {
    }
  }
}

}  // namespace kyuu::bench

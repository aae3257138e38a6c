// Everything but data and its acknowledgement: control chunks, and DCEP.

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/check.h"
#include "bench/hostile_cases.h"
#include "bench/hostile_rig.h"
#include "sctp/data_channel.h"
#include "sctp/dcep.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/chunk/control_chunks.h"
#include "sctp/internal/chunk/data_chunk.h"
#include "sctp/internal/chunk/error_chunk.h"
#include "sctp/internal/chunk/init_chunk.h"
#include "sctp/internal/chunk/reconfig_chunk.h"

namespace kyuu::bench {
namespace {

using sctp::StreamId;
using sctp::internal::ChunkType;
using sctp::internal::ChunkWriter;
using sctp::internal::CookieEchoChunk;
using sctp::internal::DataChunk;
using sctp::internal::ErrorCause;
using sctp::internal::HeartbeatChunk;
using sctp::internal::IncomingResetRequest;
using sctp::internal::InitChunk;
using sctp::internal::OutgoingResetRequest;
using sctp::internal::ReconfigChunk;
using sctp::internal::ReconfigParameter;
using sctp::internal::ReconfigResponse;
using sctp::internal::ReconfigResult;
using sctp::internal::ReconfigSn;
using sctp::internal::Ssn;

constexpr size_t kMany = 1000;      // Packets.
constexpr uint16_t kStreams = 570;  // Of one request.

Packets Empty(HostileRig& rig, ChunkType type) {
  return rig.Fill(kMany, [&](Writer& w) { const ChunkWriter chunk(w, type); });
}

Packets UnknownReported(HostileRig& rig) {
  return Empty(rig, static_cast<ChunkType>(0xc5));
}
Packets UnknownSkipped(HostileRig& rig) {
  return Empty(rig, static_cast<ChunkType>(0x85));
}
Packets Pads(HostileRig& rig) { return Empty(rig, ChunkType::kPad); }
Packets CookieAcks(HostileRig& rig) {
  return Empty(rig, ChunkType::kCookieAck);
}
Packets ShutdownAcks(HostileRig& rig) {
  return Empty(rig, ChunkType::kShutdownAck);
}
Packets InitAcks(HostileRig& rig) { return Empty(rig, ChunkType::kInitAck); }
Packets Inits(HostileRig& rig) { return Empty(rig, ChunkType::kInit); }
Packets Errors(HostileRig& rig) { return Empty(rig, ChunkType::kError); }
Packets EmptySacks(HostileRig& rig) { return Empty(rig, ChunkType::kSack); }
Packets EmptyData(HostileRig& rig) {
  // Of a header that is cut short.
  return Empty(rig, ChunkType::kData);
}

Packets StaleCookies(HostileRig& rig) {
  return rig.Fill(kMany, [&](Writer& w) {
    WriteCauseChunk(w, ChunkType::kError, 0, ErrorCause::kStaleCookie,
                    std::vector<uint8_t>(4));
  });
}

Packets LargeHeartbeat(HostileRig& rig) {
  const std::vector<uint8_t> info(1160, 7);
  return rig.Each(kMany, [&](Writer& w) {
    HeartbeatChunk{ChunkType::kHeartbeat, info}.Write(w);
  });
}

Packets SmallHeartbeats(HostileRig& rig) {
  return rig.Fill(kMany, [&](Writer& w) {
    HeartbeatChunk{ChunkType::kHeartbeat, {}}.Write(w);
  });
}

Packets HeartbeatAcks(HostileRig& rig) {
  const std::vector<uint8_t> info(8, 7);
  return rig.Fill(kMany, [&](Writer& w) {
    HeartbeatChunk{ChunkType::kHeartbeatAck, info}.Write(w);
  });
}

// --- The handshake again.

Packets InitAgain(HostileRig& rig) {
  Packets packets;
  InitChunk init = rig.MakeInit();
  for (size_t i = 0; i < kMany; ++i) {
    ++init.initiate_tag;
    packets.push_back(rig.StuffTagged(
        0, [&](Writer& w) { init.Write(w); }, 1));
  }
  return packets;
}

Packets InitOfParameters(HostileRig& rig) {
  Packets packets;
  for (size_t i = 0; i < kMany; ++i) {
    packets.push_back(rig.StuffTagged(
        0,
        [&](Writer& w) {
          const ChunkWriter chunk(w, ChunkType::kInit);
          w.U32(static_cast<uint32_t>(i + 1));
          w.U32(1 << 20);
          w.U16(65'535);
          w.U16(65'535);
          w.U32(1000);
          // Of a type to be skipped and reported.
          while (w.remaining() >= 4) {
            w.U16(0xc123);
            w.U16(4);
          }
        },
        1));
  }
  return packets;
}

Packets CookieAgain(HostileRig& rig) {
  return rig.Fill(kMany,
                  [&](Writer& w) { CookieEchoChunk{rig.cookie}.Write(w); });
}

Packets ForgedCookies(HostileRig& rig) {
  std::vector<uint8_t> forged = rig.cookie;
  forged.back() ^= 1;
  return rig.Fill(kMany, [&](Writer& w) { CookieEchoChunk{forged}.Write(w); });
}

Packets ShortCookies(HostileRig& rig) {
  return Empty(rig, ChunkType::kCookieEcho);
}

// --- RE-CONFIG.

void Write(Writer& w, ReconfigParameter parameter) {
  ReconfigChunk chunk;
  chunk.parameters.push_back(std::move(parameter));
  chunk.Write(w);
}

OutgoingResetRequest Outgoing(HostileRig& rig, uint16_t streams,
                              uint32_t from) {
  OutgoingResetRequest request{.request_sn = ReconfigSn(rig.request++),
                               .response_sn = ReconfigSn(0),
                               .last_assigned_tsn = rig.tsn - 1,
                               .streams = {}};
  for (uint32_t i = from; i < from + streams; ++i) {
    request.streams.push_back(static_cast<StreamId>(i * 6151 % 65'535));
  }
  return request;
}

Packets ResetStreams(HostileRig& rig) {
  uint32_t from = 0;
  return rig.Each(kMany, [&](Writer& w) {
    Write(w, Outgoing(rig, kStreams, from += kStreams));
  });
}

Packets ResetStreamsAgain(HostileRig& rig) {
  const ReconfigParameter request = Outgoing(rig, kStreams, 0);
  return rig.Each(kMany, [&](Writer& w) { Write(w, request); });
}

Packets ResetAll(HostileRig& rig) {
  return rig.Fill(kMany, [&](Writer& w) { Write(w, Outgoing(rig, 0, 0)); });
}

Packets ResetOne(HostileRig& rig) {
  uint32_t from = 0;
  return rig.Fill(kMany,
                  [&](Writer& w) { Write(w, Outgoing(rig, 1, ++from)); });
}

Packets ResetOutOfSequence(HostileRig& rig) {
  return rig.Fill(kMany, [&](Writer& w) {
    rig.request += 1000;
    Write(w, Outgoing(rig, 0, 0));
  });
}

Packets ResetAheadOfData(HostileRig& rig) {
  return rig.Each(kMany, [&](Writer& w) {
    OutgoingResetRequest request = Outgoing(rig, kStreams, 0);
    request.last_assigned_tsn = rig.tsn + 1000;
    Write(w, request);
  });
}

Packets Responses(HostileRig& rig) {
  return rig.Fill(kMany, [&](Writer& w) {
    Write(w, ReconfigResponse{ReconfigSn(rig.victim_tsn.value()),
                              ReconfigResult::kPerformed,
                              {}});
  });
}

// Of streams that have something in flight.
Packets ResetIncoming(HostileRig& rig) {
  rig.FillFlight(5000);
  uint32_t from = 0;
  return rig.Each(kMany, [&](Writer& w) {
    IncomingResetRequest request{ReconfigSn(rig.request++), {}};
    for (uint16_t i = 0; i < kStreams; ++i) {
      request.streams.push_back(static_cast<StreamId>(from++ % 5000 * 2));
    }
    Write(w, request);
  });
}

// Of streams that nothing was sent on.
Packets ResetIncomingUnused(HostileRig& rig) {
  uint32_t from = 0;
  return rig.Each(kMany, [&](Writer& w) {
    IncomingResetRequest request{ReconfigSn(rig.request++), {}};
    for (uint16_t i = 0; i < kStreams; ++i) {
      request.streams.push_back(static_cast<StreamId>(from++ * 61 % 65'535));
    }
    Write(w, request);
  });
}

Packets AddStreams(HostileRig& rig) {
  return rig.Fill(kMany, [&](Writer& w) {
    Write(w, sctp::internal::AddOutgoingStreamsRequest{
                 ReconfigSn(rig.request++), 1});
  });
}

Packets ResetAssociation(HostileRig& rig) {
  rig.FillFlight(1000);
  return rig.Fill(kMany, [&](Writer& w) {
    Write(w, sctp::internal::SsnTsnResetRequest{ReconfigSn(rig.request++)});
  });
}

// --- DCEP.

void Dcep(HostileRig& rig, Writer& w, uint32_t stream, uint16_t ssn,
          const std::vector<uint8_t>& message) {
  DataChunk chunk;
  chunk.flags = DataChunk::kBegin | DataChunk::kEnd;
  chunk.tsn = rig.tsn;
  chunk.stream = static_cast<StreamId>(stream);
  chunk.ssn = Ssn(ssn);
  chunk.ppid = sctp::kPpidDcep;
  chunk.payload = message;
  chunk.Write(w);
  ++rig.tsn;
}

// Up to the limit.
Packets Opens(HostileRig& rig) {
  const auto open = sctp::DcepOpen{}.Serialize();
  uint32_t stream = 0;
  return rig.Fill(380, [&](Writer& w) { Dcep(rig, w, 2 * stream++, 0, open); });
}

// Beyond it: each is refused, and its stream reset.
Packets OpensRefused(HostileRig& rig) {
  for (const auto& packet : Opens(rig)) rig.Give(packet);
  const auto open = sctp::DcepOpen{}.Serialize();
  uint32_t stream = 17'000;
  return rig.Fill(380, [&](Writer& w) { Dcep(rig, w, 2 * stream++, 0, open); });
}

Packets OpensAgain(HostileRig& rig) {
  rig.OpenChannels(1);
  const auto open = sctp::DcepOpen{}.Serialize();
  uint16_t ssn = 0;
  return rig.Fill(kMany, [&](Writer& w) { Dcep(rig, w, 0, ++ssn, open); });
}

Packets OpensOfOurs(HostileRig& rig) {
  const auto open = sctp::DcepOpen{}.Serialize();
  uint32_t stream = 0;
  return rig.Fill(500,
                  [&](Writer& w) { Dcep(rig, w, 2 * stream++ + 1, 0, open); });
}

Packets OpensBroken(HostileRig& rig) {
  uint32_t stream = 0;
  return rig.Fill(500, [&](Writer& w) { Dcep(rig, w, 2 * stream++, 0, {3}); });
}

Packets DcepAcks(HostileRig& rig) {
  const auto ack = sctp::DcepAck{}.Serialize();
  uint32_t stream = 0;
  return rig.Fill(500, [&](Writer& w) { Dcep(rig, w, stream++, 0, ack); });
}

// Channels that are opened and closed again, packet by packet.
Packets OpensAndResets(HostileRig& rig) {
  const auto open = sctp::DcepOpen{}.Serialize();
  Packets packets;
  for (uint32_t round = 0; round < 200; ++round) {
    uint32_t stream = 0;
    packets.push_back(
        rig.Stuff([&](Writer& w) { Dcep(rig, w, 2 * stream++, 0, open); }));
    OutgoingResetRequest request = Outgoing(rig, 0, 0);
    for (uint32_t i = 0; i < stream; ++i) {
      request.streams.push_back(static_cast<StreamId>(2 * i));
    }
    packets.push_back(rig.Stuff([&](Writer& w) { Write(w, request); }, 1));
    // And what the victim asks for is granted.
    packets.push_back(rig.Stuff(
        [&](Writer& w) {
          Write(w, ReconfigResponse{ReconfigSn(rig.victim_tsn.value() + round),
                                    ReconfigResult::kPerformed,
                                    {}});
        },
        1));
  }
  return packets;
}

}  // namespace

std::vector<HostileCase> ControlCases() {
  return {
      {"unknown, to be reported", UnknownReported},
      {"unknown, to be skipped", UnknownSkipped},
      {"PAD", Pads},
      {"COOKIE ACK", CookieAcks},
      {"SHUTDOWN ACK", ShutdownAcks},
      {"INIT ACK, empty", InitAcks},
      {"INIT, empty", Inits},
      {"ERROR, empty", Errors},
      {"ERROR, stale cookie", StaleCookies},
      {"SACK, cut short", EmptySacks},
      {"DATA, cut short", EmptyData},
      {"HEARTBEAT of 1160 bytes", LargeHeartbeat},
      {"HEARTBEATs, empty", SmallHeartbeats},
      {"HEARTBEAT ACKs that nobody asked for", HeartbeatAcks},
      {"INIT again", InitAgain},
      {"INIT of unknown parameters", InitOfParameters},
      {"COOKIE ECHO again", CookieAgain},
      {"COOKIE ECHO, forged", ForgedCookies},
      {"COOKIE ECHO, empty", ShortCookies},
      {"reset of 570 streams", ResetStreams},
      {"reset of 570 streams, repeated", ResetStreamsAgain},
      {"reset of all streams", ResetAll},
      {"reset of one stream", ResetOne},
      {"reset out of sequence", ResetOutOfSequence},
      {"reset ahead of its data", ResetAheadOfData},
      {"responses to nothing", Responses},
      {"incoming reset, streams in use", ResetIncoming},
      {"incoming reset, streams not in use", ResetIncomingUnused},
      {"addition of streams", AddStreams},
      {"reset of the association", ResetAssociation},
      {"OPEN", Opens},
      {"OPEN beyond the limit", OpensRefused},
      {"OPEN again", OpensAgain},
      {"OPEN on ids of ours", OpensOfOurs},
      {"OPEN, broken", OpensBroken},
      {"ACK of DCEP, not asked for", DcepAcks},
      {"OPEN and reset, in turns", OpensAndResets},
  };
}

}  // namespace kyuu::bench

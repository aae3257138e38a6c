// Every counter of an association, and what raises it: a counter without a row
// here, or whose row does not raise it, fails.

#include "base/counters.h"

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/bytes.h"
#include "gtest/gtest.h"
#include "sctp/association.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/chunk/control_chunks.h"
#include "sctp/internal/chunk/data_chunk.h"
#include "sctp/internal/chunk/forward_tsn_chunk.h"
#include "sctp/internal/chunk/init_chunk.h"
#include "sctp/internal/chunk/reconfig_chunk.h"
#include "sctp/internal/chunk/sack_chunk.h"
#include "sctp/options.h"
#include "sctp/stats.h"
#include "sctp/testing/puppet.h"
#include "sctp/testing/test_pair.h"

namespace kyuu::sctp {
namespace {

using internal::ChunkType;
using internal::DataChunk;
using internal::Puppet;
using internal::ReconfigSn;
using internal::Ssn;
using internal::Tsn;

constexpr uint8_t kWhole = DataChunk::kBegin | DataChunk::kEnd;

// What a puppet makes its association count.
Counters By(const std::function<void(Puppet&)>& act,
            const Options& options = {}) {
  Puppet p(options);
  EXPECT_TRUE(p.Connect());
  act(p);
  return p.peer.stats();
}

Message Zeros(uint16_t stream, size_t size) {
  return Message{StreamId{stream}, Ppid{51}, std::vector<uint8_t>(size)};
}

// Two associations over `link`; side a sends `messages` of `size` bytes.
// What a has counted then, plus what b has.
Counters Transfer(const sim::PairOptions& link, int messages, size_t size,
                  const SendOptions& how = {}) {
  TestPair p(link);
  p.Connect();
  for (int i = 0; i < messages; ++i) {
    EXPECT_OK(p.SendText(p.a, 1, std::string(size, 'x'), how));
  }
  p.pair.RunFor(absl::Minutes(2));
  Counters sum = p.a.stats();
  AddCounters<Counters>(sum, p.b.stats());
  return sum;
}

sim::PairOptions Link(double loss, double reorder) {
  sim::PairOptions link;
  link.a_to_b.loss = loss;
  link.a_to_b.reorder = reorder;
  link.a_to_b.reorder_delay = absl::Milliseconds(30);
  return link;
}

struct Row {
  absl::string_view counter;
  std::function<Counters()> count;
};

Counters Plain() { return Transfer({}, 10, 5000); }
Counters Lossy() { return Transfer(Link(0.1, 0), 100, 5000); }
Counters Abandoned() {
  return Transfer(Link(0.1, 0), 100, 5000, {.max_retransmits = 0});
}

// The send buffer is full of what gives way.
Counters Displaced() {
  TestPair p({}, {.stream_send_buffer_bytes = 10'000}, {});
  p.Connect();
  for (uint16_t i = 0; i < 3; ++i) {
    EXPECT_OK(p.SendText(p.a, 1, std::string(10'000, 'x'), {.importance = i}));
  }
  return p.a.stats();
}

Counters Silent() {
  TestPair p;
  p.Connect();
  p.pair.a_to_b.options().loss = 1;
  EXPECT_OK(p.SendText(p.a, 1, "x"));
  p.pair.RunFor(absl::Seconds(2));
  return p.a.stats();
}

Counters SilentLater() {
  TestPair p;
  p.Connect();
  EXPECT_OK(p.SendText(p.a, 1, "x"));  // Measures the round trip.
  p.pair.RunFor(absl::Seconds(1));
  p.pair.a_to_b.options().loss = 1;
  EXPECT_OK(p.SendText(p.a, 1, "x"));
  p.pair.RunFor(absl::Seconds(1));
  return p.a.stats();
}

// SACKs that come a second late.
Counters Delayed() {
  TestPair p;
  p.Connect();
  EXPECT_OK(p.SendText(p.a, 1, "x"));  // Measures the round trip.
  p.pair.RunFor(absl::Seconds(1));
  p.pair.b_to_a.options().delay = absl::Seconds(2);
  EXPECT_OK(p.SendText(p.a, 1, std::string(10'000, 'x')));
  p.pair.RunFor(absl::Seconds(5));
  return p.a.stats();
}

// A link that carries 9000 bytes at first, and then 1300.
Counters Narrowed() {
  sim::PairOptions link;
  link.a_to_b.mtu = 9000;
  TestPair p(link, {.max_mtu = 9000}, {});
  p.Connect();
  for (int i = 0; i < 20; ++i) {
    EXPECT_OK(p.SendText(p.a, 1, std::string(10'000, 'x')));
    p.pair.RunFor(absl::Milliseconds(100));
    if (i == 2) p.pair.a_to_b.options().mtu = 1300;
  }
  p.pair.RunFor(absl::Seconds(10));
  return p.a.stats();
}

std::vector<Row> TrafficRows() {
  return {
      {"packets_sent", Plain},
      {"packets_received", Plain},
      {"bytes_sent", Plain},
      {"bytes_received", Plain},
      {"messages_sent", Plain},
      {"messages_received", Plain},
      {"data_chunks_sent", Plain},
      {"data_chunks_received", Plain},
      {"chunks_retransmitted", Lossy},
      {"fast_recoveries", Lossy},
      {"t3_timeouts", Silent},
      {"spurious_timeouts", Delayed},
      {"tail_loss_probes", SilentLater},
      {"spurious_reductions",
       [] { return Transfer(Link(0, 0.05), 100, 5000); }},
      {"messages_abandoned", Abandoned},
      {"messages_displaced", Displaced},
      {"messages_skipped", Abandoned},
      {"mtu_probes_sent", Narrowed},
      {"mtu_probes_lost", Narrowed},
      {"black_holes", Narrowed},
      {"heartbeats_sent", Plain},
  };
}

std::vector<Row> PacketRows() {
  return {
      {"drop_malformed_packet",
       [] {
         return By([](Puppet& p) { p.peer.HandlePacket(p.now, AsBytes("x")); });
       }},
      {"drop_bad_checksum",
       [] {
         return By([](Puppet& p) {
           p.peer.HandlePacket(p.now, AsBytes("a packet without checksum"));
         });
       }},
      {"drop_bad_port",
       [] {
         return By([](Puppet& p) {
           std::vector<uint8_t> buffer(64);
           Writer writer(absl::MakeSpan(buffer));
           internal::CommonHeader{1, 2, p.peer_tag}.Write(writer);
           internal::FinishPacket(writer.mutable_written());
           p.peer.HandlePacket(p.now, writer.written());
         });
       }},
      {"drop_bad_verification_tag",
       [] {
         return By([](Puppet& p) {
           p.SendTagged(1, [](Writer& writer) {
             WriteEmptyChunk(writer, ChunkType::kCookieAck);
           });
         });
       }},
      {"drop_malformed_chunk",
       [] { return By([](Puppet& p) { p.SendRaw(0, kWhole, {}); }); }},
      {"drop_unknown_chunk",
       [] { return By([](Puppet& p) { p.SendRaw(0xbf, 0, {}); }); }},
      {"drop_unexpected_chunk",
       [] { return By([](Puppet& p) { p.SendRaw(11, 0, {}); }); }},
      {"drop_excess_chunks",
       [] {
         return By([](Puppet& p) {
           p.Send([](Writer& writer) {
             for (int i = 0; i < 9; ++i) {
               WriteEmptyChunk(writer, ChunkType::kPad);
             }
           });
         });
       }},
      {"drop_bad_cookie",
       [] {
         return By([](Puppet& p) {
           p.SendChunk(internal::CookieEchoChunk{AsBytes("not one of ours")});
         });
       }},
      {"drop_invalid_init",
       [] {
         return By([](Puppet& p) {
           internal::InitChunk init = p.MakeInit();
           init.initiate_tag = 0;
           p.SendTagged(0, [&](Writer& writer) { init.Write(writer); });
         });
       }},
      {"drop_oversized_reply",
       [] {
         return By([](Puppet& p) {
           const std::vector<uint8_t> info(2000);
           p.SendChunk(internal::HeartbeatChunk{ChunkType::kHeartbeat, info});
         });
       }},
      {"drop_bad_heartbeat_ack",
       [] {
         return By([](Puppet& p) {
           p.SendChunk(internal::HeartbeatChunk{ChunkType::kHeartbeatAck,
                                                AsBytes("8 bytes.")});
         });
       }},
  };
}

std::vector<Row> DataRows() {
  return {
      {"drop_duplicate_data",
       [] {
         return By([](Puppet& p) {
           p.SendData(0, kWhole, 1, 0, "x");
           p.SendData(0, kWhole, 1, 0, "x");
         });
       }},
      {"drop_data_outside_window",
       [] {
         return By([](Puppet& p) { p.SendData(40'000, kWhole, 1, 0, "x"); });
       }},
      {"drop_data_no_buffer",
       [] {
         return By(
             [](Puppet& p) {
               p.SendData(1, kWhole, 1, 0, std::string(1000, 'x'));
               p.SendData(2, kWhole, 1, 1, std::string(1000, 'x'));
             },
             {.receive_window_bytes = 1500});
       }},
      {"drop_data_invalid_stream",
       [] {
         return By([](Puppet& p) { p.SendData(0, kWhole, 7, 0, "x"); },
                   {.incoming_streams = 7});
       }},
      {"drop_stale_ssn",
       [] {
         return By([](Puppet& p) {
           p.SendData(0, kWhole, 1, 0, "x");
           p.SendData(1, kWhole, 1, 0, "x");
         });
       }},
      {"drop_invalid_sack",
       [] {
         return By([](Puppet& p) {
           internal::SackChunk sack;
           sack.cumulative_tsn_ack = p.peer_initial_tsn + 5;
           p.SendChunk(sack);
         });
       }},
      {"drop_stale_sack",
       [] {
         return By([](Puppet& p) {
           internal::SackChunk sack;
           sack.cumulative_tsn_ack = p.peer_initial_tsn - 2;
           p.SendChunk(sack);
         });
       }},
      {"drop_invalid_forward_tsn",
       [] {
         return By([](Puppet& p) {
           internal::ForwardTsnChunk forward;
           forward.new_cumulative_tsn = Puppet::kInitialTsn + 40'000;
           p.SendChunk(forward);
         });
       }},
  };
}

// An outgoing reset request of the peer, the `number`th.
void Reset(Puppet& p, uint32_t number) {
  internal::ReconfigChunk reconfig;
  internal::OutgoingResetRequest request;
  request.request_sn = ReconfigSn(Puppet::kInitialTsn.value() + number);
  request.last_assigned_tsn = Puppet::kInitialTsn - 1;
  request.streams = {StreamId{1}};
  reconfig.parameters.push_back(request);
  p.SendChunk(reconfig);
}

std::vector<Row> ProcedureRows() {
  const auto restart = [] {
    return By([](Puppet& p) {
      // More than may be in flight.
      for (int i = 0; i < 1000; ++i) {
        EXPECT_OK(p.peer.Send(p.now, Zeros(1, 100)));
      }
      internal::InitChunk init = p.MakeInit();
      init.initiate_tag = Puppet::kTag + 1;
      EXPECT_TRUE(p.Connect(init));
    });
  };
  return {
      {"drop_invalid_reconfig",
       [] { return By([](Puppet& p) { Reset(p, 7); }); }},
      {"deferred_resets",
       [] {
         return By(
             [](Puppet& p) {
               Reset(p, 0);
               Reset(p, 1);
             },
             {.max_waiting_resets = 1});
       }},
      {"drop_outgoing_no_stream",
       [] {
         Puppet p;
         EXPECT_OK(p.peer.Send(p.now, Zeros(9, 1)));
         internal::InitChunk init = p.MakeInit();
         init.inbound_streams = 9;
         EXPECT_TRUE(p.Connect(init));
         return Counters(p.peer.stats());
       }},
      {"denied_additions",
       [] {
         return By([](Puppet& p) {
           internal::ReconfigChunk reconfig;
           reconfig.parameters.push_back(internal::AddOutgoingStreamsRequest{
               ReconfigSn(Puppet::kInitialTsn.value()), 1});
           p.SendChunk(reconfig);
         });
       }},
      {"drop_outgoing_restart", restart},
      {"restarts", restart},
  };
}

TEST(Counters, EachIsRaisedByWhatItIsNamedAfter) {
  std::set<absl::string_view> named;
  for (const std::vector<Row>& rows :
       {TrafficRows(), PacketRows(), DataRows(), ProcedureRows()}) {
    for (const Row& row : rows) {
      EXPECT_GT(FindCounter(row.count(), row.counter).value_or(0), 0u)
          << row.counter;
      EXPECT_TRUE(named.insert(row.counter).second) << row.counter;
    }
  }
  for (const Counter<Counters>& counter : Counters::kCounters) {
    EXPECT_TRUE(named.contains(counter.name)) << counter.name;
  }
}

}  // namespace
}  // namespace kyuu::sctp

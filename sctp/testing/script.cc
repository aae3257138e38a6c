#include "sctp/testing/script.h"

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/bytes.h"
#include "base/check.h"
#include "sctp/association.h"
#include "sctp/internal/chunk/control_chunks.h"
#include "sctp/internal/chunk/forward_tsn_chunk.h"
#include "sctp/internal/chunk/reconfig_chunk.h"
#include "sctp/internal/chunk/sack_chunk.h"
#include "sctp/testing/puppet.h"

namespace kyuu::sctp::internal {
namespace {

// Small buffers, so that bounds are met early.
Options ScriptOptions() {
  Options options;
  options.receive_window_bytes = 8192;
  options.max_message_in = 4096;
  options.max_message_in_parts = 16384;
  options.max_unfinished_bytes = 6000;
  options.send_buffer_bytes = 16384;
  options.max_tsn_window = 64;
  options.max_gap_intervals = 8;
  options.initial_cwnd_packets = 2;
  options.outgoing_streams = 100;
  options.incoming_streams = 100;
  options.max_outgoing_streams = 500;
  options.max_incoming_streams = 500;
  options.max_waiting_resets = 8;
  options.grant_association_reset = true;
  return options;
}

class Script {
 public:
  explicit Script(absl::Span<const uint8_t> bytes)
      : reader_(bytes), puppet_(ScriptOptions()) {}

  void Run() {
    const uint8_t begin = reader_.U8();
    mixed_ = begin >= 128;
    Begin(begin % 11);
    for (int steps = 0; !reader_.empty() && steps < 500; ++steps) {
      Step(reader_.U8() % 16);
      if (reader_.Peek() % 3 != 0) Drain();
      Check();
    }
    Drain();
    // Drained, it is quiet until a timer is due.
    KYUU_CHECK(puppet_.Drain().empty());
  }

 private:
  static constexpr int kEnded = 10;
  static constexpr uint32_t kHalf = uint32_t{1} << 31;

  void Begin(int state) {
    if (state == 0) return;  // CLOSED
    if (state <= 2) {        // COOKIE-WAIT, COOKIE-ECHOED
      KYUU_CHECK(puppet_.peer.Connect(puppet_.now).ok());
      const auto init = puppet_.DrainFor(ChunkType::kInit);
      LearnFrom(*InitChunk::Parse(init->view()));
      if (state == 2) SendInitAck();
      return;
    }
    KYUU_CHECK(puppet_.Connect(Init()));
    if (state == 3) return;          // ESTABLISHED
    if (state == 4 || state == 5) {  // with data out, limited or not
      SendOptions how;
      if (state == 5) how.max_retransmits = 0;
      Say(3000, 1, how);
      Say(100, 2, how);
      Say(3000, 1, how);
    }
    if (state == 6) {  // SHUTDOWN-PENDING
      Say(500, 1, {});
      puppet_.Drain();
      puppet_.peer.Shutdown(puppet_.now);
    }
    if (state == 7) puppet_.peer.Shutdown(puppet_.now);  // SHUTDOWN-SENT
    if (state == 8) {                                    // SHUTDOWN-RECEIVED
      Say(500, 1, {});
      puppet_.Drain();
    }
    if (state == 8 || state == 9) {  // SHUTDOWN-ACK-SENT
      puppet_.SendChunk(ShutdownChunk{puppet_.peer_initial_tsn - 1});
    }
    if (state == kEnded) puppet_.peer.Abort(puppet_.now, "script");
    puppet_.Drain();
  }

  void SendSack() {
    SackChunk sack;
    sack.cumulative_tsn_ack = OurTsn(reader_.U8());
    sack.a_rwnd = reader_.U16();
    for (int i = reader_.Peek() % 4; i > 0; --i) {
      const uint16_t start = reader_.U8();
      sack.gap_ack_blocks.push_back(
          {start, static_cast<uint16_t>(start + reader_.U8() % 4)});
    }
    puppet_.SendChunk(sack);
  }

  void SendForwardTsn() {
    ForwardTsnChunk forward;
    forward.new_cumulative_tsn = TheirTsn(reader_.U8());
    for (int i = reader_.Peek() % 4; i > 0; --i) {
      const uint8_t place = reader_.U8();
      const uint8_t number = reader_.U8() & 7;
      forward.skipped.push_back(
          {static_cast<StreamId>(place & 3), Ssn(number), Mid(number),
           place & 4 ? Ordering::kUnordered : Ordering::kOrdered});
    }
    if (mixed_) forward.type = ChunkType::kIForwardTsn;
    puppet_.SendChunk(forward);
  }

  void Step(int what) {
    switch (what) {
      case 0:
      case 1:
      case 2: {
        const uint8_t tsn = reader_.U8();
        const uint8_t flags = reader_.U8();
        const uint8_t place = reader_.U8();
        const std::string text(reader_.U8(), 'd');
        if (mixed_) {
          const bool first = (flags & DataChunk::kBegin) != 0;
          return puppet_.SendIData(ahead_ + tsn, flags & 0xf, place & 3,
                                   place >> 2 & 7, first ? 0 : place >> 5,
                                   text);
        }
        return puppet_.SendData(ahead_ + tsn, flags & 0xf, place & 3,
                                place >> 2 & 7, text);
      }
      case 3:
      case 4:
        return SendSack();
      case 5:
        return SendForwardTsn();
      case 6:
        return SendReconfig();
      case 7: {
        const uint8_t type = reader_.U8();
        const uint8_t flags = reader_.U8();
        const auto value = reader_.Bytes(reader_.U8() % 64);
        return puppet_.SendRaw(type, flags, value);
      }
      case 8: {
        // Any packet with any tag.
        const uint32_t tag =
            reader_.U8() % 3 == 0 ? reader_.U32() : Puppet::kTag;
        const auto rest = reader_.Bytes(reader_.U8());
        return puppet_.SendTagged(tag, [&](Writer& w) { w.Bytes(rest); });
      }
      case 9:
        return puppet_.Wait(absl::Milliseconds(reader_.U8() * 20));
      case 10: {
        SendOptions how;
        const uint8_t kind = reader_.U8();
        if (kind & 1) how.ordering = Ordering::kUnordered;
        if (kind & 2) how.max_retransmits = kind >> 5;
        if (kind & 4) how.lifetime = absl::Milliseconds(kind);
        if (kind & 64) how.importance = kind & 7;
        return Say(size_t{1} + reader_.U8() * 16, kind >> 3 & 3, how);
      }
      case 11:
        return UseStream(reader_.U8());
      case 12:
        return Handshake(reader_.U8() % 5);
      case 13:
        TakeEvents();
        return;
      case 14:
        if (reader_.U8() % 8 == 0) puppet_.peer.Shutdown(puppet_.now);
        return;
      default:
        if (reader_.U8() % 16 == 0) puppet_.peer.Close(puppet_.now);
        Asked(puppet_.peer.Connect(puppet_.now));
    }
  }

  // A script may ask for what is out of place, and is told so.
  static void Asked(const absl::Status& status) {
    KYUU_CHECK(status.ok() || absl::IsInvalidArgument(status) ||
               absl::IsFailedPrecondition(status) ||
               absl::IsResourceExhausted(status));
  }
  void UseStream(uint8_t what) {
    const StreamId stream{static_cast<uint16_t>(what & 3)};
    Association& peer = puppet_.peer;
    switch (what >> 5) {
      case 4: {
        const uint8_t more = reader_.U8();
        return Asked(peer.AddStreams(puppet_.now, more >> 5, more >> 2 & 7));
      }
      case 5: {
        SendOptions how;
        if (what & 4) how.ordering = Ordering::kUnordered;
        if (what & 8) how.max_retransmits = 0;
        std::optional<size_t> size;
        if (what & 16) size = reader_.U8() * 16;
        return Asked(
            peer.BeginMessage(puppet_.now, stream, Ppid{51}, size, how));
      }
      case 6: {
        const Part parts[] = {Part::kMore, Part::kMore,   Part::kMore,
                              Part::kMore, Part::kMore,   Part::kLast,
                              Part::kLast, Part::kGivenUp};
        return Asked(peer.SendPart(puppet_.now, stream,
                                   std::vector<uint8_t>(reader_.U8() * 16, 'p'),
                                   parts[what >> 2 & 7]));
      }
      case 3:
        return Asked(peer.ResetAssociation(puppet_.now));
      case 7:
        return peer.SetDelivery(stream,
                                what & 4 ? Delivery::kParts : Delivery::kWhole);
      default:
        Asked(peer.ResetStreams(puppet_.now, {&stream, 1}));
    }
  }

  void Handshake(int what) {
    InitChunk init = Init();
    init.initiate_tag += reader_.U8() % 3;
    if (what == 0) {
      puppet_.SendTagged(0, [&](Writer& w) { init.Write(w); });
    } else if (what == 1) {
      const std::vector<uint8_t> cookie = puppet_.GetCookie(init);
      if (!cookie.empty()) cookies_.push_back(cookie);
    } else if (what == 2 && !cookies_.empty()) {
      const auto& cookie = cookies_[reader_.U8() % cookies_.size()];
      puppet_.SendChunk(CookieEchoChunk{cookie});
    } else if (what == 3) {
      SendInitAck();
    } else {
      puppet_.Send(
          [](Writer& w) { WriteEmptyChunk(w, ChunkType::kCookieAck); });
    }
  }

  void SendInitAck() {
    InitChunk ack = Init();
    ack.type = ChunkType::kInitAck;
    const std::vector<uint8_t> cookie(40, 'c');
    ack.cookie = cookie;
    puppet_.SendChunk(ack);
  }
  void SendReconfig() {
    ReconfigChunk chunk;
    const uint8_t kind = reader_.U8();
    const ReconfigSn sn(Puppet::kInitialTsn.value() + (kind >> 4 & 3));
    const std::vector<StreamId> streams(
        kind >> 6, static_cast<StreamId>(reader_.U8() & 3));
    switch (kind % 4) {
      case 0:
        chunk.parameters.push_back(OutgoingResetRequest{
            sn, ReconfigSn(0), TheirTsn(reader_.U8()), streams});
        break;
      case 1:
        chunk.parameters.push_back(IncomingResetRequest{sn, streams});
        break;
      case 2:
        if (kind & 4) {
          chunk.parameters.push_back(AddOutgoingStreamsRequest{
              sn, static_cast<uint16_t>(reader_.U8())});
        } else {
          chunk.parameters.push_back(AddIncomingStreamsRequest{
              sn, static_cast<uint16_t>(reader_.U8())});
        }
        if (kind & 8) chunk.parameters.push_back(SsnTsnResetRequest{sn + 1});
        break;
      default: {
        ReconfigResponse response{
            ReconfigSn(puppet_.peer_initial_tsn.value() + (kind >> 4 & 3)),
            static_cast<ReconfigResult>(reader_.U8() % 8),
            {}};
        if (kind & 4) {
          const Tsn theirs = TheirTsn(reader_.U8()) + kHalf;
          response.next_tsns = {theirs, OurTsn(reader_.U8())};
        }
        chunk.parameters.push_back(response);
      }
    }
    puppet_.SendChunk(chunk);
  }

  InitChunk Init() const {
    return mixed_ ? puppet_.MakeMixedInit() : puppet_.MakeInit();
  }
  Tsn OurTsn(uint8_t offset) const {
    return puppet_.peer_initial_tsn + offset - 1;
  }
  Tsn TheirTsn(uint8_t offset) const {
    return Puppet::kInitialTsn + ahead_ + offset;
  }
  void LearnFrom(const InitChunk& init) {
    puppet_.peer_tag = init.initiate_tag;
    puppet_.peer_initial_tsn = init.initial_tsn;
  }
  void Say(size_t size, uint16_t stream, const SendOptions& how) {
    Asked(puppet_.peer.Send(puppet_.now,
                            Message{static_cast<StreamId>(stream), Ppid{51},
                                    std::vector<uint8_t>(size, 's')},
                            how));
  }
  void Drain() {
    // A driver that never sleeps would be a bug: each packet needs a cause.
    KYUU_CHECK(puppet_.Drain().size() < 5000);
  }
  void TakeEvents() {
    for (const Event& event : puppet_.Events()) {
      KYUU_CHECK(!closed_);
      // The puppet's TSNs go on half the range away.
      const auto* reset = std::get_if<AssociationReset>(&event);
      if (reset != nullptr && reset->status.ok()) ahead_ ^= kHalf;
      closed_ = std::holds_alternative<Closed>(event);
    }
  }
  void Check() {
    const Stats stats = puppet_.peer.stats();
    const Options options = ScriptOptions();
    KYUU_CHECK(stats.receive_held_bytes <=
               2 * options.receive_window_bytes + options.max_message_in);
    KYUU_CHECK(stats.send_occupied_bytes <=
               options.send_buffer_bytes + 4096 + options.send_overhead_bytes);
    KYUU_CHECK(stats.flight_bytes <= 4 * options.send_buffer_bytes);
    if (stats.terms) {
      // A script adds up to 7 at a time, fewer than 500 times.
      KYUU_CHECK(stats.terms->outgoing_streams <= 500 + 500 * 7);
      KYUU_CHECK(stats.terms->incoming_streams <= 500 + 500 * 7);
    }
  }

  Reader reader_;
  Puppet puppet_;
  std::vector<std::vector<uint8_t>> cookies_;
  bool mixed_ = false;  // The peer speaks RFC 8260.
  uint32_t ahead_ = 0;  // Of the puppet's initial TSN, by resets.
  bool closed_ = false;
};

}  // namespace

void RunScript(absl::Span<const uint8_t> bytes) { Script(bytes).Run(); }

}  // namespace kyuu::sctp::internal

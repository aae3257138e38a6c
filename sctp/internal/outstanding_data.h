// Chunks in flight: acknowledgement, loss detection and retransmission
// (RFC 9260 sections 6.3.3 and 7.2.4), and partial reliability (RFC 3758).

#ifndef KYUU_SCTP_INTERNAL_OUTSTANDING_DATA_H_
#define KYUU_SCTP_INTERNAL_OUTSTANDING_DATA_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/chunk/data_chunk.h"
#include "sctp/internal/chunk/forward_tsn_chunk.h"
#include "sctp/internal/chunk/sack_chunk.h"
#include "sctp/internal/congestion_control.h"
#include "sctp/internal/loss_detection.h"
#include "sctp/internal/ring_queue.h"
#include "sctp/internal/sack_result.h"
#include "sctp/internal/send_queue.h"
#include "sctp/internal/serial.h"

namespace kyuu::sctp::internal {

// OutstandingData keeps one entry per TSN from the lowest unacknowledged one
// on, in a ring: what a SACK costs depends on what it changes, and on how many
// gap blocks it has, whatever holes there are.
class OutstandingData {
 public:
  // `queue` must outlive this.
  OutstandingData(Tsn initial_tsn, SendQueue& queue)
      : queue_(queue), first_tsn_(initial_tsn), rtt_tsn_(initial_tsn) {}

  bool empty() const { return entries_.empty(); }
  Tsn next_tsn() const {
    return first_tsn_ + static_cast<uint32_t>(entries_.size());
  }
  Tsn cumulative_tsn_ack() const { return first_tsn_ - 1; }
  // RestartAt goes on with `next`; nothing is outstanding (RFC 6525 section
  // 4.3).
  void RestartAt(Tsn next);
  // On the wire and neither acknowledged nor found lost, chunk headers
  // included.
  size_t flight_bytes() const { return flight_bytes_; }
  bool has_lost() const { return lost_ > 0; }
  // DATA or I-DATA, as agreed. Set before anything is in flight.
  void set_data_type(ChunkType type) { data_type_ = type; }
  size_t header_size() const { return DataChunk::HeaderSize(data_type_); }
  // Chunks that were looked at for SACKs so far: what they have cost.
  uint64_t chunks_examined() const { return chunks_examined_; }
  // Places for chunks that exist, used or not.
  size_t chunk_places() const { return entries_.capacity(); }

  // BeginPacket tells that the chunks that follow share one packet.
  void BeginPacket() { ++packet_; }
  // Send records the next `size` bytes of the queue's current message as in
  // flight and returns the chunk that carries them.
  DataChunk Send(absl::Time now, OutMessage& message, size_t size);
  // The size of the next chunk to send again, header and padding included;
  // gives up what has expired on the way. 0 if there is none.
  size_t NextLostSize(absl::Time now);
  // ... which NextLostSize has just measured.
  DataChunk Resend(absl::Time now);

  SackResult HandleSack(absl::Time now, const SackChunk& sack,
                        const RoundTrip& round_trip);
  // Takes what has become lost by time, so many at once; if there is more,
  // loss_due() is `now`. Returns its bytes.
  size_t DetectLoss(absl::Time now, const RoundTrip& round_trip);
  // When to call DetectLoss, unless a SACK comes first.
  absl::Time loss_due() const { return loss_due_; }
  // There is nothing more to send though the window allows it: until what is in
  // flight has arrived, rates are the application's.
  void LimitedByApplication() {
    limited_until_ = delivered_ + static_cast<uint32_t>(flight_bytes_);
    limited_ = true;
  }
  // The congestion window is about to be reduced for what was just found lost,
  // or for all that is in flight.
  void BeginEpisode();
  // True if one packet is all that is in flight.
  bool lone_packet() const {
    return flight_bytes_ > 0 && OldestPacket() == at(Newest()).packet;
  }
  // Marks what the last packet carried for transmission, as a probe: it is not
  // taken for lost. Returns the first chunk's TSN; none if no chunk of it may
  // be sent again.
  std::optional<Tsn> RepeatLastPacket(absl::Time now);
  // T3-rtx expired: all in flight counts as lost (section 6.3.3 rule E3).
  void OnTimeout();

  // Abandon gives up a message that was begun (RFC 3758 section 3.5 rule A3).
  void Abandon(MessageId id);
  // True if the lowest outstanding chunks were given up, so that the peer has
  // to be told (RFC 3758 section 3.5, rules C1 to C3).
  bool ShouldForward() const;
  // Changes whenever the answer of ShouldForward or Forward may.
  uint64_t forward_version() const { return forward_version_; }
  // The FORWARD TSN about them, within `space` bytes.
  ForwardTsnChunk Forward(size_t space) const;

 private:
  // kTimedOut: lost, by nothing but the expiry of T3.
  enum class State : uint8_t {
    kInFlight,
    kLost,
    kTimedOut,
    kAcked,
    kAbandoned
  };
  struct Entry {
    MessageId message{};
    uint32_t offset = 0;
    uint16_t size = 0;
    uint8_t flags = 0;
    State state = State::kInFlight;
    uint16_t transmissions = 0;
    bool reported = false;  // In a gap block, so neither in flight nor lost.
    bool limited = false;   // Its message may be given up (RFC 3758).
    // At its departure: the application had nothing more to send.
    bool starved = false;
    uint32_t packet = 0;  // Number of the packet that carried it last.
    // Its neighbours in its Departures. Of one that is reported, `later` is a
    // TSN up to which all are, itself not included.
    Tsn earlier;
    Tsn later;
    // The place in the message, and the TSN of the fragment before.
    uint32_t fsn = 0;
    Tsn before;
    // At its departure: `delivered_`, since when, and `first_sent_us_`.
    uint32_t delivered = 0;
    uint32_t delivered_us = 0;
    uint32_t first_sent_us = 0;
    int64_t sent_ns = 0;  // When that was.

    bool is_lost() const {
      return state == State::kLost || state == State::kTimedOut;
    }
  };
  // From the one that was sent longest ago.
  struct Departures {
    size_t count = 0;
    Tsn oldest;
    Tsn newest;
  };
  size_t WireSize(const Entry& entry) const {
    return header_size() + PaddedSize(entry.size);
  }

  Entry& at(Tsn tsn) { return entries_[tsn - first_tsn_]; }
  const Entry& at(Tsn tsn) const { return entries_[tsn - first_tsn_]; }
  bool IsValid(const SackChunk& sack) const;
  void Acknowledge(absl::Time now, Tsn tsn, absl::Duration min_rtt,
                   SackResult& result);
  void ApplyBlock(absl::Time now, Tsn first, Tsn last, absl::Duration min_rtt,
                  SackResult& result);
  Tsn FirstUnreported(Tsn tsn);
  void PopUpTo(absl::Time now, Tsn tsn, absl::Duration min_rtt,
               SackResult& result);
  void HandleDuplicates(const SackChunk& sack, SackResult& result);
  void OnRepeatedInVain(Tsn tsn, SackResult& result);
  void DoubtGuess();
  void UndoReneged();
  void UndoTimeout();
  size_t DetectLoss(absl::Time now, const RoundTrip& round_trip,
                    const Departures& list, size_t& found);
  void EnterLost(Tsn tsn, Entry& entry, State state);
  // Gives the message up instead if it has used up its transmissions.
  void MarkLost(Tsn tsn, State state);
  // Those in flight that `entry` is one of.
  Departures& ListOf(const Entry& entry) {
    return entry.transmissions > 1 ? resent_ : sent_;
  }
  Tsn Newest() const;
  uint32_t OldestPacket() const;
  void Append(Departures& list, Tsn tsn, Entry& entry);
  void Prepend(Departures& list, Tsn tsn, Entry& entry);
  void Remove(Departures& list, Tsn tsn, const Entry& entry);
  void EnterFlight(Tsn tsn, Entry& entry);
  void LeaveState(Tsn tsn, Entry& entry);
  void Depart(absl::Time now, Entry& entry);
  RateSample MeasureRate(absl::Time now, absl::Duration min_rtt) const;
  DataChunk ChunkOf(Tsn tsn, const Entry& entry);

  SendQueue& queue_;
  ChunkType data_type_ = ChunkType::kData;
  Tsn first_tsn_;
  RingQueue<Entry> entries_;
  size_t flight_bytes_ = 0;
  // In flight: sent once, which is in the order of TSNs, and sent again.
  Departures sent_;
  Departures resent_;
  Departures timed_out_;
  size_t lost_ = 0;  // kLost and kTimedOut.
  Tsn lost_from_;    // No chunk below it is lost.
  uint64_t forward_version_ = 0;
  uint32_t packet_ = 0;
  LossDetection loss_;
  LossEpisode episode_;
  bool by_timeout_ = false;     // The episode began as T3 expired.
  std::vector<Tsn> just_lost_;  // Before their episode begins.
  absl::Time loss_due_ = absl::InfiniteFuture();
  bool newly_acked_ = false;
  bool silent_ = false;  // Nothing was acknowledged since T3 expired.
  // What lies beyond, the last SACK may have had no room for.
  std::optional<Tsn> judged_until_;
  uint64_t chunks_examined_ = 0;
  uint32_t delivered_ = 0;  // Bytes acknowledged so far, modulo 2^32.
  // The last packet of which the SACK at hand acknowledged a chunk that was
  // sent once.
  std::optional<uint32_t> sampled_packet_;
  // Of the newest packet that has arrived: its departure, and when `delivered_`
  // was counted last. In microseconds, modulo 2^32.
  uint32_t first_sent_us_ = 0;
  uint32_t delivered_us_ = 0;
  // What left of that packet, if the SACK at hand told of it.
  std::optional<Entry> newest_acked_;
  // The last packet of which the SACK at hand acknowledged a kTimedOut chunk.
  std::optional<uint32_t> late_packet_;
  bool answered_too_soon_ = false;  // It told of what was just sent again.
  bool too_soon_guessed_ = false;   // And nothing has confirmed that since.
  bool min_rtt_doubted_ = false;    // It was a wrong guess.
  uint32_t round_end_ = 0;  // The packet whose arrival begins the next round.
  uint32_t limited_until_ = 0;  // Of `delivered_`.
  bool limited_ = false;        // Until then.
  Tsn rtt_tsn_;                 // The next chunk to measure a round trip by.
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_OUTSTANDING_DATA_H_

// Messages on their way out: queued by stream until they are cut into chunks,
// and kept until every chunk is acknowledged or given up.

#ifndef KYUU_SCTP_INTERNAL_SEND_QUEUE_H_
#define KYUU_SCTP_INTERNAL_SEND_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "sctp/internal/event_queue.h"
#include "sctp/internal/importance_index.h"
#include "sctp/internal/message_pool.h"
#include "sctp/internal/out_message.h"
#include "sctp/internal/out_stream.h"
#include "sctp/internal/recent_map.h"
#include "sctp/internal/ring_queue.h"
#include "sctp/internal/serial.h"
#include "sctp/internal/stream_scheduler.h"
#include "sctp/internal/stream_table.h"
#include "sctp/message.h"
#include "sctp/options.h"
#include "sctp/stats.h"

namespace kyuu::sctp::internal {

// Whether limited messages may be given up: only if the peer agrees.
enum class PartialReliability : uint8_t { kOff, kOn };

// SendQueue holds the messages and picks the one to send from next, as the
// scheduler says. A message that was begun is finished first, unless the
// fragments of different messages can be told apart (RFC 8260).
class SendQueue {
 public:
  // `options`, `events` and `stats` must outlive this.
  SendQueue(const Options& options, EventQueue& events, Stats& stats)
      : options_(options),
        events_(events),
        stats_(stats),
        scheduler_(options.scheduler) {}

  PartialReliability partial_reliability() const {
    return partial_reliability_;
  }
  void set_partial_reliability(PartialReliability value) {
    partial_reliability_ = value;
  }

  // Lets the fragments of several messages be mixed; 0, as at first, does not.
  // All that are begun then have `bytes` together at most, or there is only
  // one: a peer whose window is full of beginnings can never open it again.
  // Beside them there may be one above 2 * `bytes`, which no peer can keep in
  // its window.
  void set_mix_limit(size_t bytes);

  // True if Add or Append may be called: the bounds of
  // Options::send_buffer_bytes and stream_send_buffer_bytes.
  bool HasRoom(StreamId stream, const SendOptions& how) const;
  // The messages to be given up so that there is room for one like `how`; none
  // if that would not be enough. Displace does it, or for one that was begun
  // Abandon of OutstandingData. Where both bounds are hit, call it again.
  std::vector<MessageId> FindLessImportant(StreamId stream,
                                           const SendOptions& how) const;
  void Displace(MessageId id);
  // A message was refused for lack of room: WritableAgain will follow.
  void Refuse(StreamId stream);
  void Add(absl::Time now, Message&& message, const SendOptions& how);

  // Open begins a message that comes in parts. Until its last part nothing else
  // may be added to its stream.
  void Open(absl::Time now, StreamId stream, OpenMessage message);
  // The open message of `stream`, or null.
  const OpenMessage* FindOpen(StreamId stream) const;
  // Append adds a part to the open message of `stream`; the last one may be
  // empty, unless it is the first.
  void Append(StreamId stream, std::vector<uint8_t>&& bytes, Part part);
  // What was begun of an open message is to be given up by Abandon of
  // OutstandingData; GiveUp forgets one of which nothing was sent. True if that
  // is so.
  bool GiveUp(StreamId stream);
  std::vector<StreamId> open_streams() const;

  // Current is the message to cut the next fragment from, or null; another one
  // may be current the next time, unless Advance was called. Messages whose
  // time is up before they were begun are dropped on the way there.
  OutMessage* Current(absl::Time now);
  MessageId current_id() const { return current_; }
  // Advance tells that `bytes` of the current message became a fragment.
  void Advance(size_t bytes);
  // Whether the time of a message is up. One that can go at once goes out
  // whatever its lifetime is.
  bool IsExpired(absl::Time now, const OutMessage& message) const;

  OutMessage& Get(MessageId id) { return pool_[id]; }
  const OutMessage& Get(MessageId id) const { return pool_[id]; }
  // The part, from `id` on, that the message goes on with, or its last one.
  MessageId LastBegun(MessageId id);
  // Abandon gives up a message that was begun, from LastBegun on.
  void Abandon(MessageId id);
  // Release frees a message that is complete and has nothing outstanding.
  void Release(MessageId id);

  // Pause makes ready for a reset (RFC 6525 section 5.1.2): what is added from
  // now on waits for Restart.
  void Pause(StreamId stream, ResetTiming timing = ResetTiming::kSoon);
  // Hurry makes a patient pause one that is to end soon.
  void Hurry(StreamId stream);
  // PauseUsed is Pause for a stream that was used since its last reset; false
  // if it was not. The peer may name any number of streams again and again:
  // each costs one look into a table.
  bool PauseUsed(StreamId stream);
  // Something was acknowledged: the delay of those that are settled by it
  // begins.
  void OnAcknowledged(absl::Time now) { acknowledged_at_ = now; }
  // Takes those among the settled whose delay is over.
  void Ripen(absl::Time now);
  // When that is so for the next one.
  absl::Time next_ripe() const {
    return delayed_.empty() ? absl::InfiniteFuture() : delayed_.front().at;
  }
  // Paused streams of which everything was acknowledged or given up, and their
  // delay is over.
  bool has_settled() const { return !settled_.empty(); }
  std::vector<StreamId> TakeSettled(size_t max);
  // Whether a paused stream waits for the acknowledgement of what was sent.
  bool is_settling() const {
    return settling_ > 0 || (all_paused_ && alive_ > held_);
  }
  // Whether any stream is paused alone, or waits for Restart.
  bool any_paused() const { return paused_ > 0; }
  // Restart lets a stream go on, from SSN 0 or as it was.
  enum class Numbering { kContinue, kFromZero };
  void Restart(StreamId stream, Numbering numbering);
  // PauseAll makes ready for a reset of all streams, as Pause does for one;
  // none is paused alone, or is until ResumeAll.
  void PauseAll() { all_paused_ = true; }
  // Everything from before PauseAll was acknowledged or given up.
  bool all_settled() const { return all_paused_ && alive_ == held_; }
  void ResumeAll(Numbering numbering);
  // After a restart of the association: what was queued or begun was meant
  // for the peer of before and is dropped, counted; all streams begin anew.
  void RestartAll();
  // Drops what waits on streams from `count` on; counted.
  void LimitStreams(uint16_t count);
  // The association has ended: drops everything, and remembers how much of each
  // stream had not been sent.
  void End();

  size_t buffered(StreamId stream) const;
  void SetLowThreshold(StreamId stream, size_t bytes);
  size_t buffered_bytes() const { return buffered_bytes_; }
  size_t occupied_bytes() const { return occupied_bytes_; }
  // No message waits for its next fragment, but for those behind a reset.
  bool empty() const {
    return waits_for_part() || (scheduler_.empty() && current_ == kNoMessage);
  }

  // What is kept: places for messages, and streams with a state of their own.
  size_t message_places() const { return pool_.places(); }
  size_t stream_states() const { return streams_.size(); }

 private:
  using Stream = OutStream;
  using Numbers = OutNumbers;

  Stream& stream_state(StreamId stream);
  const Stream* FindStream(StreamId stream) const;
  void Unbuffer(StreamId id, Stream& stream, size_t bytes);
  void Forget(MessageId id);
  void Tell(OutMessage& message, Fate fate);
  bool Starves(StreamId id) const;
  void DropPayload(OutMessage& message);
  void RemoveDisplaced(Stream& stream);
  void Activate(StreamId id, Stream& stream);
  void TakeTurn(StreamId id, Stream& stream);
  // Takes a message, or a part of one, for its stream.
  enum class Place : uint8_t { kNew, kBehindItsParts };
  void Enqueue(MessageId id, Place place);
  bool mixes() const { return mix_limit_ > 0; }
  // Without mixing, all wait for the message that was begun.
  bool waits_for_part() const {
    return !mixes() && current_ != kNoMessage && pool_[current_].started &&
           !pool_[current_].ready();
  }
  OutMessage::Room RoomOf(const OutMessage& message) const;
  void TakeRoomToMix(OutMessage& message);
  void ReturnRoomToMix(const OutMessage& message);
  bool MayBegin(const OutMessage& message) const;
  void Unpark();
  // Takes the first message out of its stream, whose turn ends with it unless
  // another part follows.
  void Finish(MessageId id);
  // Drops the first message of its stream, all parts of it.
  void DropFirst(MessageId id);
  void PassOn(MessageId part);
  void Pause(StreamId id, Numbers& numbers, ResetTiming timing);
  void Hurry(StreamId id, Numbers& numbers);
  void Resume(StreamId id, Stream& stream, Numbers& numbers);
  bool IsSettled(StreamId id) const;
  void AddSettled(StreamId id, const Numbers& numbers);
  void Settle(StreamId id, const Stream& stream);
  void TellWritable(StreamId id, Stream& stream);
  void TellAllWritable();
  void DropWaiting(StreamId id, Stream& stream);
  void Clear();
  // Takes note that nothing is under way on a stream any more.
  void Rest(Stream& stream);

  const Options& options_;
  EventQueue& events_;
  Stats& stats_;
  PartialReliability partial_reliability_ = PartialReliability::kOff;

  MessagePool pool_;
  RecentMap<StreamId, Stream> streams_;
  StreamTable<Numbers> numbers_;
  size_t resting_ = 0;  // Of the streams_.
  StreamScheduler scheduler_;
  MessageId current_ = kNoMessage;
  ImportanceIndex importance_;
  absl::flat_hash_map<StreamId, OpenMessage> open_;
  size_t mix_limit_ = 0;
  // Of what is begun, where it may be mixed: payload, and one beyond that.
  size_t mixed_bytes_ = 0;
  bool mixes_beyond_ = false;
  RingQueue<StreamId> parked_;  // Whose next message may not begin now.
  uint64_t next_arrival_ = 0;
  std::vector<StreamId> settled_;
  // Settled ones, and some that have not waited or are paused anew.
  RingQueue<DelayedReset> delayed_;
  absl::Time acknowledged_at_ = absl::InfinitePast();
  size_t settling_ = 0;
  size_t paused_ = 0;  // Streams.
  bool all_paused_ = false;
  size_t alive_ = 0;  // Of all streams, as in OutStream.
  size_t held_ = 0;
  std::vector<StreamId> refused_;
  size_t buffered_bytes_ = 0;
  size_t occupied_bytes_ = 0;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_SEND_QUEUE_H_

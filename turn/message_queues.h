// The two directions of a byte stream that carries STUN and ChannelData (RFC
// 8489 section 6.2.2, RFC 8656 section 12.5), for both of its ends.

#ifndef KYUU_TURN_MESSAGE_QUEUES_H_
#define KYUU_TURN_MESSAGE_QUEUES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/queue.h"

namespace kyuu::turn {

// IncomingMessages cuts what comes into messages, however the network has cut
// it.
class IncomingMessages {
 public:
  void Append(absl::Span<const uint8_t> bytes);
  // The next whole message without its padding, a view until the next Append(),
  // Clear() or GiveBack(); nullopt if more bytes are needed. INVALID_ARGUMENT:
  // what comes is neither STUN nor ChannelData; RESOURCE_EXHAUSTED: a message
  // of more than `bytes_max` with its padding. After an error nothing more can
  // be found.
  absl::StatusOr<std::optional<absl::Span<const uint8_t>>> Next(
      size_t bytes_max);
  // The same with those that follow it and look like it, ChannelData of the
  // same channel and size: a train, as a datagram socket receives it.
  struct Alike {
    absl::Span<const uint8_t> bytes;
    size_t segment_size = 0;  // From one message to the next.
  };
  absl::StatusOr<std::optional<Alike>> NextAlike(size_t bytes_max);
  // Whether Next() would give a message, of whatever size.
  bool has_message() const;
  void Clear() { at_ = in_.size(); }
  // Gives memory back if nothing is held: thousands of streams hold nothing
  // between their messages.
  void GiveBack();
  size_t held_bytes() const { return in_.size() - at_; }
  // What is held, whole message or not; a view as Next()'s.
  absl::Span<const uint8_t> rest() const {
    return absl::MakeConstSpan(in_).subspan(at_);
  }

 private:
  std::vector<uint8_t> in_;  // Taken up to at_.
  size_t at_ = 0;
};

// OutgoingMessages holds what the stream has not taken yet. How much may wait
// is its owner's affair.
class OutgoingMessages {
 public:
  // Whether Take() gives one message at a time, for a stream of records: some
  // programs (coturn's uclient) take a TLS record for a message.
  enum class Pieces : uint8_t { kBytes, kMessages };

  // `bytes_max` is about what waits at most: memory is given back by it.
  OutgoingMessages(Pieces pieces, size_t bytes_max)
      : pieces_(pieces), bytes_max_(bytes_max) {}

  // Queues a message that may come in two parts, and `padding` zeros.
  void Add(absl::Span<const uint8_t> prefix,
           absl::Span<const uint8_t> payload = {}, size_t padding = 0);
  // The next bytes, copied into `out`; nullopt if none wait.
  std::optional<absl::Span<const uint8_t>> Take(absl::Span<uint8_t> out);
  void Clear();

  size_t queued_bytes() const { return out_.size() - sent_; }
  size_t held_bytes() const {
    return queued_bytes() + messages_.size() * sizeof(size_t);
  }

 private:
  const Pieces pieces_;
  const size_t bytes_max_;
  std::string out_;         // Sent up to sent_.
  Queue<size_t> messages_;  // What is left of each, with kMessages.
  size_t sent_ = 0;
};

}  // namespace kyuu::turn

#endif  // KYUU_TURN_MESSAGE_QUEUES_H_

// A message, or a part of one, on its way out.

#ifndef KYUU_SCTP_INTERNAL_OUT_MESSAGE_H_
#define KYUU_SCTP_INTERNAL_OUT_MESSAGE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "sctp/internal/serial.h"
#include "sctp/message.h"

namespace kyuu::sctp::internal {

// The place of a message in the pool.
enum class MessageId : uint32_t {};
inline constexpr MessageId kNoMessage{UINT32_MAX};

// OutMessage is a message that Send has taken, or one part of a message that
// comes in parts. Each part has a place of its own, so that it is freed when it
// is acknowledged and not with the whole; they are a chain, and what numbers
// the fragments goes from each to the next one.
struct OutMessage {
  StreamId stream{};
  Ppid ppid{};
  std::vector<uint8_t> payload;
  Ordering ordering = Ordering::kOrdered;
  uint16_t priority = 0;
  // Transmissions of a chunk that are allowed.
  uint32_t max_transmissions = UINT32_MAX;
  absl::Time expires = absl::InfiniteFuture();
  // While it is in the ImportanceIndex; of parts the first that is not
  // complete.
  std::optional<uint16_t> importance;
  std::optional<uint64_t> lifecycle;  // Until its fate was told.
  uint64_t arrival = 0;               // Messages that Send has taken before.
  size_t whole_size = 0;  // Of all parts, or the most that they may become.

  MessageId next = kNoMessage;  // The part that follows.
  // A part will follow that is not here. The last byte waits for it: the end
  // of the message is marked on a byte, which may turn out to be this one.
  bool open = false;

  // Once the first fragment exists, of the whole message.
  bool started = false;
  // What it takes of the room for messages that are mixed.
  enum class Room : uint8_t { kNone, kCounted, kBeyond } room = Room::kNone;
  Mid mid;       // Among those of its stream and ordering.
  Tsn last_tsn;  // Of the fragment made last.
  // Made so far, with the unsent one that stands for what was abandoned.
  uint32_t fragments = 0;
  size_t offset = 0;         // Where the next fragment begins.
  uint32_t outstanding = 0;  // Fragments neither acknowledged nor skipped.
  bool abandoned = false;
  bool displaced = false;  // Abandoned for another one, before it was begun.

  void SetHow(const SendOptions& how) {
    ordering = how.ordering;
    priority = std::max(how.priority, uint16_t{1});
    lifecycle = how.lifecycle;
    if (how.max_retransmits) {
      max_transmissions = uint32_t{1} + *how.max_retransmits;
    }
  }
  // What is left of the identifier in DATA.
  Ssn ssn() const {
    return ordering == Ordering::kUnordered
               ? Ssn()
               : Ssn(static_cast<uint16_t>(mid.value()));
  }
  bool complete() const { return abandoned || offset == payload.size(); }
  // Bytes that may become fragments now.
  size_t sendable() const { return payload.size() - offset - (open ? 1 : 0); }
  // Whether it has something to do for its turn.
  bool ready() const { return abandoned || sendable() > 0; }
  // Whether its end is that of the message.
  bool is_end() const { return !open && next == kNoMessage; }
  // Whether the next `size` bytes are the last of the message.
  bool ends_with(size_t size) const {
    return is_end() && offset + size == payload.size();
  }
};

// OpenMessage is a message that comes in parts, until its last one.
struct OpenMessage {
  Ppid ppid{};
  SendOptions how;
  enum class Size : uint8_t { kExact, kAtMost } kind = Size::kAtMost;
  size_t size = 0;
  size_t taken = 0;  // Bytes in the parts so far.
  absl::Time expires = absl::InfiniteFuture();
  uint64_t arrival = 0;
  MessageId first = kNoMessage;  // The part that is not complete yet.
  MessageId tail = kNoMessage;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_OUT_MESSAGE_H_

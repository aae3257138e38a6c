// Server-sent events taken out of their stream (WHATWG HTML, section
// "Interpreting an event stream"). A value.

#ifndef KYUU_SIGNALING_EVENTS_EVENT_READER_H_
#define KYUU_SIGNALING_EVENTS_EVENT_READER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace kyuu::signaling {

struct ServerSentEvent {
  std::string type;  // "" for a message.
  std::string data;  // Its lines, with LF between them.
};

struct EventLimits {
  // Of a line, without its end: a message of 64 KiB behind "data: ".
  size_t max_line_bytes = 64 * 1024 + 64;
  // Of all lines of an event with their ends, comments apart: a message of 64
  // KiB comes as seven times as many bytes if it consists of line ends.
  size_t max_event_bytes = 7 * 64 * 1024 + 64;
};

// EventReader is fed a stream:
//
//   while (!bytes.empty()) {
//     auto taken = reader.Feed(bytes);             // Not OK: give it up.
//     bytes.remove_prefix(*taken);
//     if (auto event = reader.Take()) ...          // Stops after each event.
//   }
//
// The fields `id` and `retry` are left unread: a stream that ends is not
// opened again by itself.
class EventReader {
 public:
  explicit EventReader(EventLimits limits = {}) : limits_(limits) {}

  // How many bytes it took: up to the end of an event, and none while one waits
  // for Take(). OUT_OF_RANGE beyond the limits; the reader is then of no more
  // use.
  absl::StatusOr<size_t> Feed(absl::Span<const uint8_t> bytes);
  std::optional<ServerSentEvent> Take();

  // Lines that were whole, comments too: what shows that somebody lives.
  uint64_t lines() const { return lines_; }

 private:
  absl::Status OnLine(absl::string_view line);
  void OnField(absl::string_view name, absl::string_view value);

  const EventLimits limits_;
  std::string line_;        // As far as it has come.
  bool behind_cr_ = false;  // An LF belongs to the line end before it.
  uint64_t lines_ = 0;
  size_t event_bytes_ = 0;
  bool has_data_ = false;
  ServerSentEvent event_;  // As far as its lines have come.
  bool complete_ = false;  // It waits for Take().
};

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_EVENTS_EVENT_READER_H_

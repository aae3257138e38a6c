// A server's answer, cut anywhere, into the client's reader of event streams:
// cuts change nothing, the end is told once and last, and what is held is
// bounded.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/check.h"
#include "signaling/events/event_source.h"

namespace {

using kyuu::signaling::EventSource;

std::string Heard(absl::Span<const uint8_t> input, size_t step) {
  kyuu::signaling::EventSourceOptions options;
  options.events = {.max_line_bytes = 100, .max_event_bytes = 200};
  options.max_message_bytes = 150;
  options.url.host = "a";
  const absl::Time now = absl::UnixEpoch();
  EventSource source(options, now);
  std::string all;
  bool over = false;
  for (size_t at = 0; at < input.size(); at += step) {
    source.HandlePacket(now, input.subspan(at, step));
    while (auto event = source.PollEvent()) {
      KYUU_CHECK(!over);
      if (auto* m = std::get_if<kyuu::signaling::WebSocketMessage>(&*event)) {
        KYUU_CHECK(m->data.size() <= options.max_message_bytes);
        absl::StrAppend(&all, m->data);
      } else if (auto* o =
                     std::get_if<kyuu::signaling::EventSourceOpened>(&*event)) {
        absl::StrAppend(&all, "opened ", o->name);
      } else if (auto* c =
                     std::get_if<kyuu::signaling::WebSocketClosed>(&*event)) {
        absl::StrAppend(&all, "closed ", c->code, c->reason);
      }
      absl::StrAppend(&all, "|", event->index(), "\n");
      over = std::holds_alternative<kyuu::signaling::WebSocketClosed>(*event);
    }
    KYUU_CHECK(source.finished() == over);
  }
  source.HandleStreamEnd(now, absl::OkStatus());
  KYUU_CHECK(source.finished());
  KYUU_CHECK(source.NextTimeout() == absl::InfiniteFuture());
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const absl::Span<const uint8_t> input(data + 1, size - 1);
  KYUU_CHECK(Heard(input, input.size() + 1) ==
             Heard(input, std::max<size_t>(1, data[0] % 32)));
  return 0;
}

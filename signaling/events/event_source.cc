#include "signaling/events/event_source.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "signaling/close_code.h"
#include "signaling/internal/json.h"
#include "signaling/internal/utf8.h"

namespace kyuu::signaling {
namespace {

// What an unread event costs besides its bytes, as with WebSocket's messages.
constexpr size_t kEventCost = 64;
// Responses 1xx before the one that counts (RFC 9110 section 15.2).
constexpr size_t kMaxInterim = 4;
// kyuud's has 64 bytes.
constexpr size_t kMaxNameBytes = 256;

size_t CostOf(const EventSource::Event& event) {
  const auto* message = std::get_if<WebSocketMessage>(&event);
  return kEventCost + (message != nullptr ? message->data.size() : 0);
}

bool IsName(absl::string_view text) {
  return !text.empty() && text.size() <= kMaxNameBytes &&
         std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}

// "text/event-stream", whatever parameters are behind it.
bool IsEventStream(absl::string_view type) {
  const absl::string_view essence = type.substr(0, type.find(';'));
  return absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(essence),
                                "text/event-stream");
}

}  // namespace

EventSource::EventSource(const EventSourceOptions& options, absl::Time now)
    : options_(options), parser_(options.http), reader_(options.events) {
  timers_.Set(Timer::kOpen, now + options_.open_timeout);
  HttpHeaders headers;
  headers.Add("Host", options_.url.HostHeader());
  headers.Add("Accept", "text/event-stream");
  headers.Add("Cache-Control", "no-store");
  absl::StatusOr<std::string> request =
      WriteRequest("GET", options_.url.target, headers);
  if (request.ok()) {
    request_ = *std::move(request);
  } else {
    Finish(request.status(), kCloseAbnormal);
  }
}

void EventSource::HandlePacket(absl::Time now, Packet in) {
  if (state_ == State::kHeader) TakeHeader(in);
  if (state_ == State::kUnnamed || state_ == State::kOpen) {
    return TakeBody(now, in);
  }
  if (state_ == State::kClosed) stats_.bytes_after_end += in.size();
}

void EventSource::TakeHeader(Packet& in) {
  while (state_ == State::kHeader && !in.empty()) {
    const absl::StatusOr<size_t> taken = parser_.Feed(in);
    if (!taken.ok()) {
      return Finish(taken.status(), absl::IsOutOfRange(taken.status())
                                        ? kCloseMessageTooBig
                                        : kCloseProtocolError);
    }
    in.remove_prefix(*taken);
    if (const auto response = parser_.Take()) OnHeader(*response);
  }
}

void EventSource::OnHeader(const HttpResponse& response) {
  if (response.status / 100 == 1 && response.status != 101) {
    if (++interim_ <= kMaxInterim) return;
    return Finish(
        absl::InvalidArgumentError("the server does not come to an answer"),
        kCloseProtocolError);
  }
  if (response.status != 200) {
    // Another address is for a person to choose.
    const auto location = response.headers.Find("Location");
    return Finish(
        absl::UnavailableError(absl::StrCat(
            "the server answers \"", response.status, " ", response.reason,
            "\" instead of opening a stream of events",
            location ? absl::StrCat("; it points to ", *location) : "")),
        kCloseAbnormal);
  }
  if (response.headers.Count("Content-Type") != 1 ||
      !IsEventStream(*response.headers.Find("Content-Type"))) {
    return Finish(absl::InvalidArgumentError(
                      "the server's answer is no stream of events"),
                  kCloseProtocolError);
  }
  absl::StatusOr<BodyReader> body = BodyReader::For(response);
  if (!body.ok()) return Finish(body.status(), kCloseProtocolError);
  body_ = *std::move(body);
  state_ = State::kUnnamed;
}

void EventSource::TakeBody(absl::Time now, Packet in) {
  while (!in.empty() && state_ != State::kClosed && !body_.ended()) {
    const absl::StatusOr<Packet> stretch = body_.Next(in);
    if (!stretch.ok()) return Finish(stretch.status(), kCloseProtocolError);
    TakeEvents(now, *stretch);
  }
  stats_.bytes_after_end += in.size();
  if (body_.ended()) {
    Finish(absl::UnavailableError("the stream of events has ended"),
           kCloseAbnormal);
  }
}

void EventSource::TakeEvents(absl::Time now, Packet in) {
  const uint64_t lines = reader_.lines();
  while (!in.empty() && state_ != State::kClosed) {
    const absl::StatusOr<size_t> taken = reader_.Feed(in);
    if (!taken.ok()) return Finish(taken.status(), kCloseMessageTooBig);
    in.remove_prefix(*taken);
    if (auto event = reader_.Take()) On(now, *std::move(event));
  }
  stats_.bytes_after_end += in.size();
  if (state_ == State::kOpen && reader_.lines() != lines) {
    timers_.Set(Timer::kSilence, now + options_.silence_timeout);
  }
}

void EventSource::On(absl::Time now, ServerSentEvent event) {
  if (event.type == "stream") return OnName(now, std::move(event.data));
  if (event.type == "close") return OnClose(event.data);
  const bool is_message = event.type.empty() || event.type == "message";
  if (!is_message && event.type != "ping") {
    ++stats_.unknown_events;
    return;
  }
  if (state_ != State::kOpen) {
    return Finish(absl::InvalidArgumentError("the stream has no name"),
                  kCloseProtocolError);
  }
  is_message ? OnMessage(std::move(event.data)) : Emit(PostWanted{});
}

void EventSource::OnName(absl::Time now, std::string name) {
  if (state_ != State::kUnnamed || !IsName(name)) {
    return Finish(absl::InvalidArgumentError("the stream's name is none"),
                  kCloseProtocolError);
  }
  state_ = State::kOpen;
  timers_.StopAll();
  timers_.Set(Timer::kSilence, now + options_.silence_timeout);
  Emit(EventSourceOpened{std::move(name)});
}

void EventSource::OnMessage(std::string data) {
  if (data.size() > options_.max_message_bytes) {
    return Finish(absl::OutOfRangeError("the server's message is too long"),
                  kCloseMessageTooBig);
  }
  if (!internal::IsUtf8(data)) {
    return Finish(
        absl::InvalidArgumentError("the server's message is not UTF-8"),
        kCloseInvalidPayload);
  }
  ++stats_.messages;
  Emit(WebSocketMessage{MessageKind::kText, std::move(data)});
}

void EventSource::Emit(Event event) {
  const size_t cost = CostOf(event);
  if (unread_bytes_ + cost > options_.max_unread_bytes) {
    return Finish(
        absl::ResourceExhaustedError("the server sends more than is read"),
        kClosePolicyViolation);
  }
  unread_bytes_ += cost;
  events_.push_back(std::move(event));
}

void EventSource::OnClose(absl::string_view data) {
  int64_t code = kCloseNoStatus;
  std::string reason;
  if (const auto object = internal::JsonObject::Parse(data, {}); object.ok()) {
    const auto number = object->Find("code");
    const auto text = object->Find("reason");
    if (number) code = internal::JsonInteger(*number).value_or(code);
    if (text) reason = internal::JsonText(*text).value_or("");
  }
  // RFC 6455 section 7.4.2.
  if (code < 1000 || code > 4999) code = kCloseNoStatus;
  Finish(absl::OkStatus(), static_cast<uint16_t>(code), std::move(reason));
}

void EventSource::HandleTimeout(absl::Time now) {
  if (const auto due = timers_.PopDue(now)) {
    Finish(
        absl::DeadlineExceededError(
            *due == Timer::kOpen ? "the server opens no stream of events"
                                 : "the server's stream of events is silent"),
        kCloseAbnormal);
  }
}

std::optional<EventSource::Packet> EventSource::PollTransmit(
    absl::Time /*now*/, absl::Span<uint8_t> out) {
  Writer w(out);
  const size_t size = std::min(out.size(), request_.size() - sent_);
  if (size == 0) return std::nullopt;
  w.Bytes(AsBytes(request_).subspan(sent_, size));
  sent_ += size;
  return w.written();
}

std::optional<EventSource::Event> EventSource::PollEvent() {
  if (events_.empty()) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  // The last one costs nothing: there is always room for it.
  if (!std::holds_alternative<WebSocketClosed>(event)) {
    unread_bytes_ -= CostOf(event);
  }
  return event;
}

void EventSource::HandleStreamEnd(absl::Time /*now*/, const absl::Status& why) {
  Finish(absl::UnavailableError(why.ok() ? "the stream of events has ended"
                                         : why.message()),
         kCloseAbnormal);
}

void EventSource::Finish(absl::Status status, uint16_t code,
                         std::string reason) {
  if (std::exchange(state_, State::kClosed) == State::kClosed) return;
  timers_.StopAll();
  request_.clear();
  sent_ = 0;
  events_.push_back(
      WebSocketClosed{std::move(status), code, std::move(reason)});
}

std::string EventSource::DebugString() const {
  const char* state = state_ == State::kHeader    ? "asked for"
                      : state_ == State::kUnnamed ? "without a name"
                      : state_ == State::kOpen    ? "open"
                                                  : "closed";
  return absl::StrCat("event source ", state, ", ", stats_.messages,
                      " messages, ", unread_bytes_,
                      " bytes unread, next timeout ",
                      absl::FormatTime(NextTimeout()));
}

}  // namespace kyuu::signaling

#include "signaling/events/poster.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "signaling/events/posts.h"

namespace kyuu::signaling {
namespace {

// What a queued message costs besides its bytes, as with WebSocket's.
constexpr size_t kMessageCost = 64;
// Responses 1xx before the one that counts (RFC 9110 section 15.2).
constexpr size_t kMaxInterim = 4;

// Nothing of this answer follows its header, and its stream goes on.
bool LeavesStreamOpen(const HttpResponse& response) {
  const auto length = response.headers.Find("Content-Length");
  return (response.status == 204 || length == "0") &&
         response.headers.Count("Transfer-Encoding") == 0 &&
         !response.headers.HasToken("Connection", "close");
}

}  // namespace

absl::Status Poster::Post(absl::Time now, std::string message) {
  if (closed_ || closing_) {
    return absl::FailedPreconditionError("nothing is posted any more");
  }
  // JSON has line ends between its parts alone, where blanks do as well.
  std::replace_if(
      message.begin(), message.end(),
      [](char c) { return c == '\r' || c == '\n'; }, ' ');
  const size_t cost = message.size() + kMessageCost;
  if (queued_bytes_ + cost > options_.max_queued_bytes) {
    absl::Status slow =
        absl::ResourceExhaustedError("the server does not take what is said");
    Finish(slow);
    return slow;
  }
  queued_bytes_ += cost;
  waiting_.push_back(std::move(message));
  ShowLife(now);
  return absl::OkStatus();
}

void Poster::ShowLife(absl::Time now) {
  if (closed_) return;
  due_ = true;
  Advance(now);
}

void Poster::Close(absl::Time now, uint16_t code) {
  if (closed_ || closing_) return;
  closing_ = code;
  ShowLife(now);
}

Poster::Current Poster::MakePost() {
  Current post;
  std::string body;
  size_t messages = 0;
  while (!waiting_.empty() && messages < kMaxMessagesPerPost) {
    const std::string& next = waiting_.front();
    if (messages > 0 &&
        body.size() + next.size() + 1 > options_.max_post_bytes) {
      break;
    }
    absl::StrAppend(&body, messages++ > 0 ? "\n" : "", next);
    post.bytes += next.size() + kMessageCost;
    waiting_.pop_front();
  }
  post.is_last = closing_.has_value() && waiting_.empty();
  due_ = !waiting_.empty();
  HttpHeaders headers;
  headers.Add("Host", options_.url.HostHeader());
  headers.Add("Content-Type", "application/x-ndjson");
  headers.Add("Content-Length", absl::StrCat(body.size()));
  headers.Add(kStreamHeader, options_.stream);
  headers.Add(kPostHeader, absl::StrCat(++number_));
  if (post.is_last) headers.Add(kCloseHeader, absl::StrCat(*closing_));
  const absl::StatusOr<std::string> head =
      WriteRequest("POST", options_.url.target, headers);
  if (!head.ok()) {
    Finish(head.status());
  } else {
    post.request = absl::StrCat(*head, body);
  }
  return post;
}

void Poster::Advance(absl::Time now) {
  if (closed_ || timers_.IsSet(Timer::kRetry)) return;
  if (!current_) {
    if (!due_) return;
    current_ = MakePost();
    if (closed_) return;
  }
  if (stream_ == Stream::kWanted || stream_ == Stream::kAnswering) return;
  timers_.Set(Timer::kAnswer, now + options_.answer_timeout);
  written_ = 0;
  if (stream_ != Stream::kIdle) {
    stream_ = Stream::kWanted;
    events_.push_back(StreamWanted{});
    return;
  }
  stream_ = Stream::kAnswering;
  parser_.emplace(options_.http);
  interim_ = 0;
}

void Poster::HandleConnected(absl::Time now) {
  if (closed_) return;
  stream_ = Stream::kIdle;
  stream_is_used_ = false;
  Advance(now);
}

void Poster::HandleStreamEnd(absl::Time now, const absl::Status& why) {
  const Stream was = std::exchange(stream_, Stream::kNone);
  if (closed_ || (was != Stream::kWanted && was != Stream::kAnswering)) return;
  LoseStream(now, why.ok() ? absl::UnavailableError(
                                 "the server closes without an answer")
                           : why);
}

void Poster::HandlePacket(absl::Time now, Packet in) {
  while (!in.empty()) {
    if (closed_ || stream_ != Stream::kAnswering) {
      // What follows an answer, or comes unasked, says nothing that is known.
      stats_.bytes_unasked += in.size();
      if (stream_ == Stream::kIdle) stream_ = Stream::kSpent;
      return;
    }
    if (written_ == 0) {
      // As when a proxy ends a connection that was idle for too long by 408.
      stats_.bytes_unasked += in.size();
      stream_ = Stream::kSpent;
      return LoseStream(
          now, absl::UnavailableError("the server answers what was not asked"));
    }
    const absl::StatusOr<size_t> taken = parser_->Feed(in);
    if (!taken.ok()) {
      return Finish(absl::InvalidArgumentError(absl::StrCat(
          "the server's answer is none: ", taken.status().message())));
    }
    in.remove_prefix(*taken);
    if (const auto response = parser_->Take()) OnAnswer(now, *response);
  }
}

void Poster::OnAnswer(absl::Time now, const HttpResponse& response) {
  if (response.status / 100 == 1) {
    if (++interim_ <= kMaxInterim && response.status != 101) return;
    return Finish(
        absl::InvalidArgumentError("the server does not come to an answer"));
  }
  // An answer before all was said is one that a proxy gives for itself; the
  // rest would be taken for the next request.
  stream_ = LeavesStreamOpen(response) && written_ == current_->request.size()
                ? Stream::kIdle
                : Stream::kSpent;
  stream_is_used_ = true;
  timers_.Stop(Timer::kAnswer);
  const std::string text =
      absl::StrCat("the server answers \"", response.status, " ",
                   response.reason, "\" to what is posted");
  if (response.status >= 500) {
    return TryAgain(now, absl::UnavailableError(text), Pause());
  }
  if (response.status / 100 != 2) return Finish(absl::UnavailableError(text));
  ++stats_.posts;
  queued_bytes_ -= current_->bytes;
  const bool was_last = current_->is_last;
  current_.reset();
  if (was_last) return Finish(absl::OkStatus());
  Advance(now);
}

absl::Duration Poster::Pause() const {
  return options_.first_pause * (1 << current_->tries);
}

// A stream that the server closes as we write to it was idle for too long: that
// says nothing of the server (RFC 9112 section 9.5).
void Poster::LoseStream(absl::Time now, const absl::Status& why) {
  const bool was_idle = stream_is_used_ && current_->tries == 0;
  TryAgain(now, why, was_idle ? absl::ZeroDuration() : Pause());
}

void Poster::TryAgain(absl::Time now, const absl::Status& why,
                      absl::Duration pause) {
  timers_.Stop(Timer::kAnswer);
  written_ = 0;
  if (++current_->tries >= options_.tries) {
    return Finish(absl::UnavailableError(why.message()));
  }
  ++stats_.retries;
  if (pause > absl::ZeroDuration()) timers_.Set(Timer::kRetry, now + pause);
  Advance(now);
}

void Poster::HandleTimeout(absl::Time now) {
  while (const auto due = timers_.PopDue(now)) {
    if (*due == Timer::kRetry) {
      Advance(now);
    } else {
      stream_ = Stream::kSpent;
      TryAgain(now,
               absl::DeadlineExceededError(
                   "the server does not answer what is posted"),
               Pause());
    }
  }
}

std::optional<Poster::Packet> Poster::PollTransmit(absl::Time /*now*/,
                                                   absl::Span<uint8_t> out) {
  if (stream_ != Stream::kAnswering || closed_) return std::nullopt;
  Writer w(out);
  const std::string& request = current_->request;
  const size_t size = std::min(out.size(), request.size() - written_);
  if (size == 0) return std::nullopt;
  w.Bytes(AsBytes(request).subspan(written_, size));
  written_ += size;
  return w.written();
}

std::optional<Poster::Event> Poster::PollEvent() {
  if (events_.empty()) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

void Poster::Finish(absl::Status status) {
  if (std::exchange(closed_, true)) return;
  timers_.StopAll();
  current_.reset();
  waiting_ = Queue<std::string>();
  queued_bytes_ = 0;
  events_.push_back(PosterClosed{std::move(status)});
}

std::string Poster::DebugString() const {
  const char* stream = stream_ == Stream::kNone        ? "no stream"
                       : stream_ == Stream::kWanted    ? "stream wanted"
                       : stream_ == Stream::kIdle      ? "stream idle"
                       : stream_ == Stream::kAnswering ? "answer awaited"
                                                       : "stream spent";
  return absl::StrCat("poster ", closed_ ? "closed, " : "", stream, ", post ",
                      number_, ", try ", current_ ? current_->tries + 1 : 0,
                      ", ", queued_bytes_, " bytes queued, next timeout ",
                      absl::FormatTime(NextTimeout()));
}

}  // namespace kyuu::signaling

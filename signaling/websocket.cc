#include "signaling/websocket.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"

namespace kyuu::signaling {

using internal::FrameHeader;
using internal::FrameReader;
using internal::IsControl;
using internal::Opcode;
using internal::Rsv1;

namespace {

// What a waiting message costs beside its payload.
constexpr size_t kMessageBytes = 64;

absl::Span<uint8_t> MutableBytes(std::string& text, size_t from) {
  return absl::MakeSpan(reinterpret_cast<uint8_t*>(text.data()) + from,
                        text.size() - from);
}

absl::Status Broken(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("WebSocket: ", what));
}

}  // namespace

WebSocket::WebSocket(const WebSocketOptions& options, WebSocketRole role,
                     Random& random, absl::Time now)
    : options_(&options), random_(&random), role_(role) {
  Await(Timer::kPing, now + options_->ping_interval);
}

void WebSocket::HandlePacket(absl::Time now, Packet in) {
  if (state_ == State::kClosed) {
    stats_.bytes_after_close += in.size();
    return;
  }
  stats_.bytes_received += in.size();
  // Whatever arrives shows that the peer lives.
  if (!in.empty() && state_ == State::kOpen) {
    Await(Timer::kPing, now + options_->ping_interval);
  }
  while (!in.empty() && state_ != State::kClosed) {
    const size_t taken = in_payload_ ? ConsumePayload(in) : ConsumeHeader(in);
    in.remove_prefix(taken);
  }
  stats_.bytes_after_close += in.size();
}

size_t WebSocket::ConsumeHeader(Packet in) {
  const Rsv1 rsv1 = deflate_ != nullptr ? Rsv1::kCompressed : Rsv1::kReserved;
  for (size_t i = 0; i < in.size(); ++i) {
    switch (reader_.Feed(in[i], rsv1)) {
      case FrameReader::Result::kNeedMore:
        continue;
      case FrameReader::Result::kDone:
        BeginFrame();
        return i + 1;
      case FrameReader::Result::kMalformed:
        Fail(Broken("malformed frame header"), kCloseProtocolError);
        return i + 1;
    }
  }
  return in.size();
}

void WebSocket::BeginFrame() {
  const FrameHeader& header = reader_.header();
  // RFC 6455 section 5.1: clients mask, servers do not.
  if (header.masked != (role_ == WebSocketRole::kServer)) {
    return Fail(Broken("masked on the wrong side"), kCloseProtocolError);
  }
  if (!IsControl(header.opcode)) {
    // RFC 6455 section 5.4.
    if ((header.opcode == Opcode::kContinuation) != assembling_.has_value()) {
      return Fail(Broken("fragments out of order"), kCloseProtocolError);
    }
    if (header.opcode != Opcode::kContinuation) compressed_ = header.compressed;
    const size_t max_bytes =
        compressed_ ? Deflate::MaxCompressedBytes(options_->max_message_bytes)
                    : options_->max_message_bytes;
    if (header.payload_size > max_bytes - message_.size()) {
      return Fail(Broken(absl::StrCat("message above ",
                                      options_->max_message_bytes, " bytes")),
                  kCloseMessageTooBig);
    }
    if (header.opcode != Opcode::kContinuation) {
      assembling_ = header.opcode == Opcode::kText ? MessageKind::kText
                                                   : MessageKind::kBinary;
    }
  }
  in_payload_ = true;
  payload_left_ = header.payload_size;
  mask_offset_ = 0;
  if (payload_left_ == 0) EndFrame();
}

size_t WebSocket::ConsumePayload(Packet in) {
  const FrameHeader& header = reader_.header();
  const size_t size =
      static_cast<size_t>(std::min<uint64_t>(payload_left_, in.size()));
  std::string& target = IsControl(header.opcode) ? control_ : message_;
  const size_t before = target.size();
  absl::StrAppend(&target, AsText(in.first(size)));
  if (header.masked) {
    internal::ApplyMask(MutableBytes(target, before), header.mask,
                        mask_offset_ % 4);
  }
  mask_offset_ += size;
  payload_left_ -= size;
  // Text is validated as it comes, so that it fails at the offending byte
  // (RFC 6455 section 8.1); what is compressed once it is whole.
  if (!IsControl(header.opcode) && !compressed_ &&
      assembling_ == MessageKind::kText &&
      !utf8_.Feed(absl::string_view(target).substr(before))) {
    Fail(Broken("text is not UTF-8"), kCloseInvalidPayload);
  } else if (payload_left_ == 0) {
    EndFrame();
  }
  return size;
}

void WebSocket::EndFrame() {
  in_payload_ = false;
  const FrameHeader header = reader_.header();
  reader_.Reset();
  if (IsControl(header.opcode)) {
    switch (header.opcode) {
      case Opcode::kPing:
        ++stats_.pings_received;
        if (state_ == State::kOpen) pong_due_ = std::move(control_);
        break;
      case Opcode::kPong:
        ++stats_.pongs_received;
        break;
      default:
        HandleClose();
    }
    control_.clear();
  } else if (header.fin) {
    Deliver();
  }
}

bool WebSocket::InflateMessage() {
  auto inflated =
      deflate_->Inflate(std::move(message_), options_->max_message_bytes);
  message_.clear();
  if (!inflated.ok()) {
    Fail(Broken(inflated.status().message()),
         absl::IsOutOfRange(inflated.status()) ? kCloseMessageTooBig
                                               : kCloseInvalidPayload);
    return false;
  }
  message_ = *std::move(inflated);
  if (assembling_ == MessageKind::kText && !utf8_.Feed(message_)) {
    Fail(Broken("text is not UTF-8"), kCloseInvalidPayload);
    return false;
  }
  return true;
}

void WebSocket::Deliver() {
  if (compressed_ && state_ == State::kOpen && !InflateMessage()) return;
  if (assembling_ == MessageKind::kText && !utf8_.complete()) {
    return Fail(Broken("text ends inside a character"), kCloseInvalidPayload);
  }
  // While our Close is on its way the caller wants no more messages.
  if (state_ == State::kOpen) {
    unread_bytes_ += message_.size() + kMessageBytes;
    if (unread_bytes_ > options_->max_unread_bytes) {
      return Fail(
          absl::ResourceExhaustedError("WebSocket: too many messages at once"),
          kClosePolicyViolation);
    }
    ++stats_.messages_received;
    events_.push_back(WebSocketMessage{*assembling_, std::move(message_)});
  }
  message_.clear();
  assembling_.reset();
  utf8_.Reset();
}

void WebSocket::HandleClose() {
  uint16_t code = kCloseNoStatus;
  std::string reason;
  if (!control_.empty()) {
    Reader r(AsBytes(control_));
    code = r.U16();
    reason = std::string(r.Text(r.remaining()));
    if (!r.ok() || !internal::IsValidCloseCode(code)) {
      return Fail(Broken("invalid close code"), kCloseProtocolError);
    }
    if (!internal::IsUtf8(reason)) {
      return Fail(Broken("close reason is not UTF-8"), kCloseInvalidPayload);
    }
  }
  if (state_ == State::kOpen) {
    // RFC 6455 section 5.5.1: echo the code. What is still queued was meant
    // for somebody who listens.
    DropUnsentData();
    QueueClose(code, "");
    return Finish(absl::OkStatus(), code, std::move(reason));
  }
  Finish(absl::OkStatus(), sent_close_code_, std::move(reason));
}

void WebSocket::HandleTimeout(absl::Time now) {
  if (now < due_ || state_ == State::kClosed) return;
  switch (timer_) {
    case Timer::kPing:
      ping_due_ = true;
      return Await(Timer::kPong, now + options_->pong_timeout);
    case Timer::kPong:
      abandoned_ = true;
      return Cut(absl::DeadlineExceededError("WebSocket: no answer to a ping"));
    case Timer::kClose:
      return Cut(absl::DeadlineExceededError("WebSocket: no answer to Close"));
  }
}

std::optional<WebSocket::Packet> WebSocket::PollTransmit(
    absl::Time /*now*/, absl::Span<uint8_t> out) {
  Writer w(out);
  while (w.remaining() > 0) {
    InsertControlFrames();
    if (out_.empty()) break;
    OutFrame& frame = out_.front();
    if (frame.sent < frame.header_size) {
      const size_t size =
          std::min(w.remaining(), frame.header_size - frame.sent);
      w.Bytes(absl::MakeConstSpan(frame.header).subspan(frame.sent, size));
      frame.sent += size;
    }
    const size_t offset = frame.sent - std::min(frame.sent, frame.header_size);
    if (frame.sent >= frame.header_size) {
      const size_t size =
          std::min(w.remaining(), frame.payload.size() - offset);
      w.Bytes(AsBytes(frame.payload).subspan(offset, size));
      frame.sent += size;
    }
    if (frame.sent < frame.header_size + frame.payload.size()) break;
    queued_bytes_ -= frame.cost;
    out_.pop_front();
  }
  if (w.size() == 0) return std::nullopt;
  return w.written();
}

std::optional<WebSocket::Event> WebSocket::PollEvent() {
  if (events_.empty()) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  if (const auto* message = std::get_if<WebSocketMessage>(&event)) {
    unread_bytes_ -= message->data.size() + kMessageBytes;
  }
  return event;
}

absl::Time WebSocket::NextTimeout() const { return due_; }

absl::Status WebSocket::Send(absl::Time now, MessageKind kind,
                             std::string data) {
  if (state_ == State::kOpen && kind == MessageKind::kText &&
      !internal::IsUtf8(data)) {
    return absl::InvalidArgumentError("text is not UTF-8");
  }
  return Enqueue(now, kind, std::move(data));
}

absl::Status WebSocket::Enqueue(absl::Time /*now*/, MessageKind kind,
                                std::string data) {
  if (state_ != State::kOpen) {
    return absl::FailedPreconditionError("WebSocket is not open");
  }
  if (data.size() + kMessageBytes >
      options_->max_queued_bytes - queued_bytes_) {
    absl::Status status = absl::ResourceExhaustedError(absl::StrCat(
        "slow reader: more than ", options_->max_queued_bytes, " bytes wait"));
    abandoned_ = true;
    Cut(status);
    return status;
  }
  ++stats_.messages_sent;
  FrameHeader header;
  header.opcode = kind == MessageKind::kText ? Opcode::kText : Opcode::kBinary;
  if (deflate_ != nullptr) {
    if (const auto less = deflate_->Compress(data, window_bits_)) {
      header.compressed = true;
      data.assign(less->data(), less->size());
      data.shrink_to_fit();
    }
  }
  out_.push_back(MakeFrame(header, std::move(data)));
  queued_bytes_ += out_.back().cost;
  return absl::OkStatus();
}

absl::Status WebSocket::Close(absl::Time now, uint16_t code,
                              absl::string_view reason) {
  if (!internal::IsValidCloseCode(code) || !internal::IsUtf8(reason) ||
      reason.size() > internal::kMaxControlPayload - 2) {
    return absl::InvalidArgumentError("close code or reason");
  }
  if (state_ != State::kOpen) return absl::OkStatus();
  state_ = State::kClosing;
  Await(Timer::kClose, now + options_->close_timeout);
  QueueClose(code, reason);
  return absl::OkStatus();
}

void WebSocket::HandleStreamEnd(absl::Time /*now*/) {
  if (state_ == State::kClosed) {
    out_.clear();
    return;
  }
  Cut(absl::UnavailableError("WebSocket: connection lost"));
}

WebSocket::OutFrame WebSocket::MakeFrame(FrameHeader header,
                                         std::string payload) {
  OutFrame frame;
  header.payload_size = payload.size();
  header.masked = role_ == WebSocketRole::kClient;
  if (header.masked) {
    random_->Fill(absl::MakeSpan(header.mask));
    internal::ApplyMask(MutableBytes(payload, 0), header.mask, 0);
  }
  frame.header_size = internal::WriteFrameHeader(header, frame.header);
  if (!IsControl(header.opcode)) frame.cost = payload.size() + kMessageBytes;
  frame.payload = std::move(payload);
  return frame;
}

void WebSocket::InsertControlFrames() {
  // Control frames may stand between frames but not inside one.
  if (state_ != State::kOpen || (!out_.empty() && out_.front().sent > 0)) {
    return;
  }
  if (ping_due_) {
    ping_due_ = false;
    out_.push_front(MakeFrame({.opcode = Opcode::kPing}, ""));
  }
  if (pong_due_.has_value()) {
    out_.push_front(
        MakeFrame({.opcode = Opcode::kPong}, *std::move(pong_due_)));
    pong_due_.reset();
  }
}

void WebSocket::QueueClose(uint16_t code, absl::string_view reason) {
  sent_close_code_ = code;
  std::string payload;
  if (code != kCloseNoStatus) {
    payload.push_back(static_cast<char>(code >> 8));
    payload.push_back(static_cast<char>(code & 0xff));
    absl::StrAppend(&payload, reason);
  }
  out_.push_back(MakeFrame({.opcode = Opcode::kClose}, std::move(payload)));
}

void WebSocket::DropUnsentData() {
  // A frame that has begun must be finished, or the stream is garbage.
  const bool begun = !out_.empty() && out_.front().sent > 0;
  out_.Truncate(begun ? 1 : 0);
  queued_bytes_ = begun ? out_.front().cost : 0;
}

void WebSocket::Fail(absl::Status status, uint16_t code) {
  if (state_ == State::kOpen) {
    DropUnsentData();
    QueueClose(code, absl::string_view(status.message())
                         .substr(0, internal::kMaxControlPayload - 2));
  }
  Finish(std::move(status), code, "");
}

void WebSocket::Cut(absl::Status status) {
  out_.clear();
  queued_bytes_ = 0;
  Finish(std::move(status), kCloseAbnormal, "");
}

void WebSocket::Finish(absl::Status status, uint16_t code, std::string reason) {
  state_ = State::kClosed;
  due_ = absl::InfiniteFuture();
  message_.clear();
  control_.clear();
  events_.push_back(
      WebSocketClosed{std::move(status), code, std::move(reason)});
}

std::string WebSocket::DebugString() const {
  const char* state = state_ == State::kOpen      ? "open"
                      : state_ == State::kClosing ? "closing"
                                                  : "closed";
  return absl::StrCat("WebSocket ", state, ", ", queued_bytes_,
                      " bytes queued, ", unread_bytes_, " unread, received ",
                      stats_.messages_received, ", sent ", stats_.messages_sent,
                      timer_ == Timer::kPing   ? ", ping "
                      : timer_ == Timer::kPong ? ", pong "
                                               : ", close ",
                      absl::FormatTime(due_));
}

}  // namespace kyuu::signaling

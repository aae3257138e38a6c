// The WebSocket protocol (RFC 6455) behind its opening handshake, with messages
// that are compressed (RFC 7692) if both ends have agreed on it: an engine
// for either role over a byte stream. server_connection.h and
// client_connection.h put the handshake in front of it.

#ifndef KYUU_SIGNALING_WEBSOCKET_H_
#define KYUU_SIGNALING_WEBSOCKET_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/counters.h"
#include "base/engine.h"
#include "base/queue.h"
#include "base/random.h"
#include "signaling/close_code.h"
#include "signaling/deflate/deflate.h"
#include "signaling/internal/utf8.h"
#include "signaling/internal/websocket_frame.h"

namespace kyuu::signaling {

enum class WebSocketRole : uint8_t { kServer, kClient };
enum class MessageKind : uint8_t { kText, kBinary };

struct WebSocketOptions {
  // A longer message is refused with 1009 as soon as a frame header announces
  // it, or its inflation shows it. An offer with many candidates is some 10
  // KiB.
  size_t max_message_bytes = 64 * 1024;
  // Messages sent by the caller and not yet polled, each counted as its
  // payload and 64 bytes. A reader so slow that they pile up beyond this is
  // cut.
  size_t max_queued_bytes = 1024 * 1024;
  // Received messages not yet taken by PollEvent, each counted as its payload
  // and 64 bytes. One 64 KiB read of empty masked frames (6 bytes each) counts
  // 683 KiB and fits.
  size_t max_unread_bytes = 1024 * 1024;
  // A ping is sent when nothing has arrived for so long...
  absl::Duration ping_interval = absl::Seconds(25);
  // ...and the connection is given up when still nothing arrives: a dead peer
  // is noticed within 35 s.
  absl::Duration pong_timeout = absl::Seconds(10);
  // How long Close() waits for the peer's Close frame.
  absl::Duration close_timeout = absl::Seconds(5);
};

// Message is one complete message; text is valid UTF-8.
struct WebSocketMessage {
  MessageKind kind = MessageKind::kText;
  std::string data;
};
// The last event. Drain PollTransmit once more (a Close frame may be waiting),
// then close the byte stream.
//
//   OK                  the closing handshake is complete
//   INVALID_ARGUMENT    the peer broke the protocol (1002, 1007, 1009)
//   RESOURCE_EXHAUSTED  a slow reader, or too much unread (1008)
//   DEADLINE_EXCEEDED   no answer to a ping, or to Close()
//   UNAVAILABLE         the stream ended without a Close frame (1006)
struct WebSocketClosed {
  absl::Status status;
  // The code of the closing handshake: the peer's if it began (1005 if it gave
  // none), else ours; 1006 if there was no handshake.
  uint16_t code = kCloseAbnormal;
  std::string reason;  // The peer's, valid UTF-8.
};

struct WebSocketStats {
  uint64_t messages_received = 0;
  uint64_t messages_sent = 0;
  uint64_t bytes_received = 0;
  uint64_t pings_received = 0;
  uint64_t pongs_received = 0;
  // Bytes that arrived after the end, dropped.
  uint64_t bytes_after_close = 0;

  static constexpr Counter<WebSocketStats> kCounters[] = {
      KYUU_COUNTER(WebSocketStats, messages_received),
      KYUU_COUNTER(WebSocketStats, messages_sent),
      KYUU_COUNTER(WebSocketStats, bytes_received),
      KYUU_COUNTER(WebSocketStats, pings_received),
      KYUU_COUNTER(WebSocketStats, pongs_received),
      KYUU_COUNTER(WebSocketStats, bytes_after_close),
  };
};
static_assert(Countable<WebSocketStats>);

class WebSocket {
 public:
  using Packet = absl::Span<const uint8_t>;
  using Event = std::variant<WebSocketMessage, WebSocketClosed>;

  // The opening handshake is done at `now`. `options`, which thousands may have
  // in common, and `random` (masking keys of the client, RFC 6455 section 5.3)
  // must outlive the engine.
  WebSocket(const WebSocketOptions& options, WebSocketRole role, Random& random,
            absl::Time now);
  WebSocket(WebSocketOptions&& options, WebSocketRole role, Random& random,
            absl::Time now) = delete;
  // Messages are compressed, as both sides have agreed, ours for a window of
  // 2^`window_bits` bytes (8 to 15). Comes before all else; `deflate` must
  // outlive the engine.
  void Compress(Deflate& deflate, int window_bits) {
    deflate_ = &deflate;
    window_bits_ = static_cast<uint8_t>(window_bits);
  }

  // HandlePacket takes the next bytes of the stream, cut anywhere.
  void HandlePacket(absl::Time now, Packet in);
  void HandleTimeout(absl::Time now);
  // PollTransmit fills `out` with as many frames as fit; a frame goes on in
  // the next call where it was cut. Any size of `out` from one byte will do.
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const;

  // Send queues one message, sent as one frame. FAILED_PRECONDITION once
  // closing; INVALID_ARGUMENT if text is not UTF-8; RESOURCE_EXHAUSTED if the
  // queue would outgrow max_queued_bytes: the connection is then cut and
  // Closed follows.
  absl::Status Send(absl::Time now, MessageKind kind, std::string data);
  // As Send of text that is known to be UTF-8, such as what has come by a
  // WebSocket: it is not looked at again.
  absl::Status SendUtf8(absl::Time now, std::string text) {
    return Enqueue(now, MessageKind::kText, std::move(text));
  }
  // Close starts the closing handshake behind what is queued. The code must be
  // one that may be sent (RFC 6455 section 7.4) and the reason at most 123
  // bytes, else INVALID_ARGUMENT. Closing twice does nothing.
  absl::Status Close(absl::Time now, uint16_t code, absl::string_view reason);
  // The byte stream has ended or failed.
  void HandleStreamEnd(absl::Time now);

  bool open() const { return state_ == State::kOpen; }
  // Closed and nothing left to transmit: the stream may be closed.
  bool finished() const { return state_ == State::kClosed && out_.empty(); }
  // The peer was given up, as it does not read or is not there: the byte stream
  // is to be reset, whatever waits in it.
  bool abandoned() const { return abandoned_; }
  // Memory that the peer makes us hold: what waits in both directions.
  size_t held_bytes() const {
    return queued_bytes_ + unread_bytes_ + message_.size();
  }
  size_t queued_bytes() const { return queued_bytes_; }
  const WebSocketStats& stats() const { return stats_; }
  std::string DebugString() const;

 private:
  enum class State : uint8_t { kOpen, kClosing, kClosed };
  // What is to be done, or was not done, when the time has come.
  enum class Timer : uint8_t { kPing, kPong, kClose };
  // A frame on its way out, header included.
  struct OutFrame {
    std::array<uint8_t, internal::kMaxFrameHeaderSize> header{};
    size_t header_size = 0;
    std::string payload;  // Masked already where the role asks for it.
    size_t sent = 0;      // Of header and payload together.
    size_t cost = 0;      // In queued_bytes_; 0 for control frames.
  };

  void Await(Timer timer, absl::Time due) { timer_ = timer, due_ = due; }
  // Return how many bytes they took.
  size_t ConsumeHeader(Packet in);
  size_t ConsumePayload(Packet in);
  void BeginFrame();
  void EndFrame();
  void HandleClose();
  void Deliver();
  // Puts what message_ is compressed of in its place; false if it has failed.
  bool InflateMessage();
  // Of a message (`compressed`: its payload is), or a control frame.
  OutFrame MakeFrame(internal::FrameHeader header, std::string payload);
  void InsertControlFrames();
  absl::Status Enqueue(absl::Time now, MessageKind kind, std::string data);
  void QueueClose(uint16_t code, absl::string_view reason);
  void DropUnsentData();
  // Ends the connection because the peer is at fault: a Close frame goes out.
  void Fail(absl::Status status, uint16_t code);
  // Ends it without another word.
  void Cut(absl::Status status);
  void Finish(absl::Status status, uint16_t code, std::string reason);

  const WebSocketOptions* options_;
  Random* random_;
  Deflate* deflate_ = nullptr;  // Null where nothing is compressed.
  const WebSocketRole role_;
  uint8_t window_bits_ = 0;
  State state_ = State::kOpen;
  Timer timer_ = Timer::kPing;
  absl::Time due_;

  // Receiving: the header of the current frame as far as it has arrived, then
  // its payload.
  internal::FrameReader reader_;
  bool in_payload_ = false;
  bool compressed_ = false;  // The message being assembled.
  uint64_t payload_left_ = 0;
  size_t mask_offset_ = 0;
  std::string control_;  // Payload of the current control frame.
  // The message being assembled; set between its first and last frame.
  std::optional<MessageKind> assembling_;
  std::string message_;
  internal::Utf8Validator utf8_;

  // Most of thousands are idle.
  Queue<OutFrame, 0> out_;
  size_t queued_bytes_ = 0;
  // Made into frames, ahead of waiting messages, when they are polled. Only
  // the latest ping is answered (RFC 6455 section 5.5.3), so that a flood of
  // them queues one pong.
  bool ping_due_ = false;
  std::optional<std::string> pong_due_;
  Queue<Event, 0> events_;
  size_t unread_bytes_ = 0;
  uint16_t sent_close_code_ = kCloseNoStatus;
  bool abandoned_ = false;
  WebSocketStats stats_;
};

static_assert(Engine<WebSocket>);

}  // namespace kyuu::signaling

#endif  // KYUU_SIGNALING_WEBSOCKET_H_

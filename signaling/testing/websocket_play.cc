#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/random.h"
#include "signaling/internal/utf8.h"
#include "signaling/testing/plays.h"
#include "signaling/websocket.h"

namespace kyuu::signaling {
namespace {

WebSocketOptions Small() {
  WebSocketOptions options;
  options.max_message_bytes = 1000;
  options.max_queued_bytes = 4000;
  options.max_unread_bytes = 4000;
  return options;
}

}  // namespace

void PlayWebSocket(absl::Span<const uint8_t> input) {
  Reader r(input);
  SeededRandom random(1);
  absl::Time now = absl::FromUnixSeconds(1000);
  const bool server = (r.U8() & 1) != 0;
  const WebSocketOptions options = Small();
  WebSocket socket(options,
                   server ? WebSocketRole::kServer : WebSocketRole::kClient,
                   random, now);
  WebSocket peer(options,
                 server ? WebSocketRole::kClient : WebSocketRole::kServer,
                 random, now);
  std::array<uint8_t, 64> out;
  bool closed = false;
  while (!r.empty()) {
    const uint8_t op = r.U8();
    if (op < 8) {
      now += absl::Seconds(op);
      socket.HandleTimeout(now);
    } else if (op < 16) {
      (void)socket.Send(
          now, op & 1 ? MessageKind::kText : MessageKind::kBinary,
          std::string(r.Text(std::min<size_t>(r.U8() * 4u, r.remaining()))));
    } else if (op == 16) {
      (void)socket.Close(now, r.U16(), "");
    } else if (op == 17) {
      socket.HandleStreamEnd(now);
    } else {
      socket.HandlePacket(
          now, r.Bytes(std::min<size_t>(r.U8() * 8u, r.remaining())));
    }
    if (op & 1) {
      while (auto event = socket.PollEvent()) {
        KYUU_CHECK(!closed);
        closed = std::holds_alternative<WebSocketClosed>(*event);
        if (const auto* m = std::get_if<WebSocketMessage>(&*event)) {
          KYUU_CHECK(m->data.size() <= 1000);
          KYUU_CHECK(m->kind != MessageKind::kText ||
                     internal::IsUtf8(m->data));
        }
      }
    }
    if (auto p = socket.PollTransmit(now, absl::MakeSpan(out))) {
      peer.HandlePacket(now, *p);
    }
    KYUU_CHECK(socket.queued_bytes() <= 4000);
    while (auto event = peer.PollEvent()) {
      const auto* end = std::get_if<WebSocketClosed>(&*event);
      // Only messages above the peer's limit may break the protocol to it.
      KYUU_CHECK(end == nullptr || end->status.ok() ||
                 end->code == kCloseMessageTooBig);
    }
  }
}

}  // namespace kyuu::signaling

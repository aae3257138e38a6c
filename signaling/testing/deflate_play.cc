#include <algorithm>
#include <cstdint>
#include <string>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/random.h"
#include "signaling/deflate/deflate.h"
#include "signaling/deflate/offer.h"
#include "signaling/internal/utf8.h"
#include "signaling/testing/plays.h"
#include "signaling/websocket.h"

namespace kyuu::signaling {
namespace {

constexpr size_t kMaxBytes = 4000;

// What is granted is granted again if it is offered, unchanged.
void PlayOffer(absl::string_view offers) {
  const auto grant = AnswerDeflateOffers(offers);
  if (!grant.ok() || !grant->has_value()) return;
  const auto again = AnswerDeflateOffers((*grant)->ToString());
  KYUU_CHECK(again.ok() && *again == *grant);
}

// What any bytes are the payload of: the same each time, and no more than may
// be.
void PlayPayload(Deflate& deflate, absl::string_view payload) {
  Deflate other;
  const auto once = deflate.Inflate(std::string(payload), kMaxBytes);
  const auto twice = other.Inflate(std::string(payload), kMaxBytes);
  KYUU_CHECK(once.ok() == twice.ok());
  if (!once.ok()) return;
  KYUU_CHECK(once->size() <= kMaxBytes && *once == *twice);
  const auto longer = deflate.Inflate(std::string(payload), 2 * kMaxBytes);
  KYUU_CHECK(longer.ok() && *longer == *once);
}

// A valid frame of `text`, of which some octets are changed as `r` says, into
// the other end, cut somewhere.
void PlayFrames(Deflate& deflate, std::string text, int window_bits,
                Reader& r) {
  SeededRandom random(1);
  WebSocketOptions options;
  options.max_message_bytes = kMaxBytes;
  const absl::Time now = absl::FromUnixSeconds(1000);
  WebSocket client(options, WebSocketRole::kClient, random, now);
  WebSocket server(options, WebSocketRole::kServer, random, now);
  client.Compress(deflate, window_bits);
  server.Compress(deflate, 15);
  const bool is_text = internal::IsUtf8(text);
  const bool fits = text.size() <= kMaxBytes;
  KYUU_CHECK(
      client
          .Send(now, is_text ? MessageKind::kText : MessageKind::kBinary, text)
          .ok());
  std::string frames(Deflate::MaxCompressedBytes(text.size()) + 64, '\0');
  const auto sent = client.PollTransmit(
      now,
      absl::MakeSpan(reinterpret_cast<uint8_t*>(frames.data()), frames.size()));
  KYUU_CHECK(sent.has_value());
  frames = std::string(AsText(*sent));
  bool changed = false;
  while (r.remaining() > 2) {
    const size_t at = r.U16() % frames.size();
    const char before = frames[at];
    frames[at] = static_cast<char>(before ^ r.U8());
    changed = changed || frames[at] != before;
  }
  const size_t cut = r.U8() % frames.size();
  server.HandlePacket(now, AsBytes(frames.substr(0, cut)));
  server.HandlePacket(now, AsBytes(frames.substr(cut)));
  bool heard = false;
  while (auto event = server.PollEvent()) {
    if (const auto* message = std::get_if<WebSocketMessage>(&*event)) {
      KYUU_CHECK(message->data.size() <= kMaxBytes);
      KYUU_CHECK(message->kind != MessageKind::kText ||
                 internal::IsUtf8(message->data));
      KYUU_CHECK(changed || message->data == text);
      heard = true;
    } else {
      const auto& closed = std::get<WebSocketClosed>(*event);
      KYUU_CHECK(changed || (!fits && closed.code == kCloseMessageTooBig));
    }
  }
  KYUU_CHECK(changed || heard == fits);
}

}  // namespace

void PlayDeflate(absl::Span<const uint8_t> input) {
  Reader r(input);
  Deflate deflate({.min_bytes = 0, .level = 1 + r.U8() % 9});
  const uint8_t what = r.U8();
  if (what % 4 == 0) return PlayOffer(r.Text(r.remaining()));
  if (what % 4 == 1) return PlayPayload(deflate, r.Text(r.remaining()));
  const size_t repeats = 1 + r.U8();
  const std::string part(r.Text(std::min<size_t>(r.U8(), r.remaining())));
  std::string text;
  for (size_t i = 0; i < repeats; ++i) absl::StrAppend(&text, part);
  const int window_bits = 8 + what / 4 % 8;
  const auto payload = deflate.Compress(text, window_bits);
  if (payload) {
    const auto back = deflate.Inflate(std::string(*payload), text.size());
    KYUU_CHECK(payload->size() < text.size() && back.ok() && *back == text);
  }
  PlayFrames(deflate, std::move(text), window_bits, r);
}

}  // namespace kyuu::signaling

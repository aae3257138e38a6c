// A TURN client's byte stream, cut anywhere: the cuts change nothing, every
// message is STUN or ChannelData by its own length, the end is told once.

#include <algorithm>
#include <cstdint>
#include <string>
#include <variant>

#include "absl/time/time.h"
#include "base/bytes.h"
#include "base/check.h"
#include "relay/stream_client.h"
#include "turn/framing.h"

namespace {

std::string Hear(absl::Span<const uint8_t> stream, size_t step, bool known) {
  using kyuu::relay::StreamClient;
  StreamClient client({.stranger_message_bytes = 100}, absl::UnixEpoch());
  if (known) client.Allocated();
  std::string heard;
  for (; !stream.empty(); stream.remove_prefix(std::min(step, stream.size()))) {
    client.HandlePacket(absl::UnixEpoch(),
                        stream.first(std::min(step, stream.size())));
    while (const auto event = client.PollEvent()) {
      const auto* message = std::get_if<StreamClient::Message>(&*event);
      if (message == nullptr) return heard + "!";
      for (auto left = message->bytes; !left.empty();) {
        const auto one = left.subspan(0, message->segment_size);
        const auto frame = *kyuu::turn::ReadFrame(one);
        KYUU_CHECK(frame->bytes() == message->segment_size);
        const auto message_bytes = one.first(frame->message_bytes);
        heard.append(message_bytes.begin(), message_bytes.end());
        left.remove_prefix(one.size());
      }
    }
  }
  return heard;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto stream = absl::MakeConstSpan(data, size).subspan(1);
  const bool known = (data[0] & 1) != 0;
  KYUU_CHECK(Hear(stream, size, known) == Hear(stream, data[0] / 2 + 1, known));
  return 0;
}

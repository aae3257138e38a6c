#include "tools/kyuu/answerer.h"

#include <cstdint>
#include <variant>
#include <vector>

namespace kyuu::tools {

void Answerer::HandleAside(Call& call, const Aside& aside) {
  if (const auto* incoming = std::get_if<AsideIncoming>(&aside)) {
    if (channel_ || incoming->label != kPingLabel) return;
    channel_ = incoming->channel;
    call.TakeAside(*channel_);
  } else if (const auto* message = std::get_if<AsideMessage>(&aside)) {
    if (message->channel != channel_ ||
        message->payload.size() > kPingBytesMax) {
      return;
    }
    // Without room for it, it is lost.
    (void)call.SendAside(message->channel, message->type,
                         std::vector<uint8_t>(message->payload));
    call.Flush();
  } else if (const auto* said = std::get_if<AsideSaid>(&aside)) {
    const auto type = said->message.find("type");
    if (type != said->message.end() && *type == "pipe-offer") {
      call.SayAside({{"type", "pipe-reject"}, {"reason", "unsupported"}});
    }
  }
}

}  // namespace kyuu::tools

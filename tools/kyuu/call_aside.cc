// What a call carries besides chat and files: the channels of `kyuu pipe` and
// `kyuu ping`.

#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/status_macros.h"
#include "tools/kyuu/call.h"

namespace kyuu::tools {

absl::StatusOr<peer::ChannelId> Call::OpenAside(
    const peer::ChannelConfig& config) {
  KYUU_ASSIGN_OR_RETURN(const peer::ChannelId channel,
                        engine().CreateDataChannel(net::Loop::Now(), config));
  TakeAside(channel);
  return channel;
}

void Call::TakeAside(peer::ChannelId channel) {
  aside_.insert(channel);
  // Refused for one that has closed meanwhile, of which AsideClosed tells.
  (void)engine().SetBufferedAmountLowThreshold(channel, kQueueBytes / 2);
}

absl::Status Call::SendAside(peer::ChannelId channel, peer::PayloadType type,
                             std::vector<uint8_t>&& payload) {
  return engine().Send(net::Loop::Now(), channel, type, std::move(payload));
}

size_t Call::AsideBuffered(peer::ChannelId channel) const {
  return connection_->engine().buffered_amount(channel);
}

}  // namespace kyuu::tools

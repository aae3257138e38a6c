#include "stun/discovery.h"

#include <algorithm>
#include <array>

namespace kyuu::stun {

void Whereabouts::Write(MessageWriter& writer,
                        const TransportAddress& origin) const {
  writer.Add(ResponseOrigin{origin});
  writer.Add(OtherAddress{other});
  if (padding_bytes == 0) return;
  static constexpr std::array<uint8_t, kAnswerPaddingMax> kZeros{};
  writer.Add(Padding{absl::MakeConstSpan(kZeros).first(padding_bytes)});
}

Redirection RedirectionOf(const Discovery& discovery,
                          const MessageView& request, const Path& path) {
  const auto& [primary, alternate] = discovery;
  const TransportAddress here = path.local;
  Redirection result{
      path,
      {{here.ip == primary.ip ? alternate.ip : primary.ip,
        here.port == primary.port ? alternate.port : primary.port}},
      std::nullopt};
  if (const auto padding = request.Get<Padding>()) {
    result.whereabouts.padding_bytes =
        std::min(padding->value.size(), kAnswerPaddingMax);
  }
  const TransportAddress& other = result.whereabouts.other;
  if (const auto change = request.Get<ChangeRequest>()) {
    if (change->change_ip) result.path.local.ip = other.ip;
    if (change->change_port) result.path.local.port = other.port;
  }
  if (const auto port = request.Get<ResponsePort>()) {
    if (request.Has<Padding>() || port->value == 0) {
      result.error = Error::kBadRequest;
    } else {
      result.path.remote.port = port->value;
    }
  }
  return result;
}

}  // namespace kyuu::stun

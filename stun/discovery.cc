#include "stun/discovery.h"

namespace kyuu::stun {

Redirection RedirectionOf(const Discovery& discovery,
                          const MessageView& request, const Path& path) {
  const auto& [primary, alternate] = discovery;
  const TransportAddress here = path.local;
  Redirection result{
      path,
      {here.ip == primary.ip ? alternate.ip : primary.ip,
       here.port == primary.port ? alternate.port : primary.port},
      std::nullopt};
  if (const auto change = request.Get<ChangeRequest>()) {
    if (change->change_ip) result.path.local.ip = result.other.ip;
    if (change->change_port) result.path.local.port = result.other.port;
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

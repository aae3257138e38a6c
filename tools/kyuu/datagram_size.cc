#include "tools/kyuu/datagram_size.h"

#include <algorithm>
#include <cstdint>

#include "absl/status/statusor.h"
#include "net/interfaces.h"
#include "peer/connection_types.h"

namespace kyuu::tools {
namespace {

// Headers of IP, without options, and of UDP.
constexpr size_t kHeadersV4 = 20 + 8;
constexpr size_t kHeadersV6 = 40 + 8;

}  // namespace

void DatagramSize::HandleHello(const nlohmann::json& hello) {
  const auto it = hello.find("datagram");
  peer_ =
      it != hello.end() && it->is_number_unsigned()
          ? static_cast<size_t>(std::min<uint64_t>(it->get<uint64_t>(), kMost))
          : 0;
}

void DatagramSize::HandlePath(const TransportAddress& remote) {
  const absl::StatusOr<size_t> mtu = net::RouteMtu(remote);
  const size_t headers = remote.ip.is_v4() ? kHeadersV4 : kHeadersV6;
  way_ = mtu.ok() && *mtu > headers ? *mtu - headers : 0;
}

size_t DatagramSize::bytes() const {
  return std::max(peer::Options().max_datagram_bytes, std::min(peer_, way_));
}

}  // namespace kyuu::tools

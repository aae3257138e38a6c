#include "net/resolve.h"

#include <netdb.h>

#include <algorithm>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "net/internal/sockaddr.h"

namespace kyuu::net {

absl::StatusOr<std::vector<TransportAddress>> Resolve(const std::string& host,
                                                      uint16_t port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_DGRAM;  // One entry for each address.
  addrinfo* list = nullptr;
  const int error = getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (error != 0) {
    return absl::NotFoundError(absl::StrCat(host, ": ", gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list,
                                                                 freeaddrinfo);
  std::vector<TransportAddress> addresses;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    const TransportAddress address{internal::FromSockaddr(entry->ai_addr).ip,
                                   port};
    if (address.ip.family() != IpFamily::kUnspecified &&
        std::find(addresses.begin(), addresses.end(), address) ==
            addresses.end()) {
      addresses.push_back(address);
    }
  }
  if (addresses.empty()) {
    return absl::NotFoundError(absl::StrCat(host, ": it has no address"));
  }
  return addresses;
}

}  // namespace kyuu::net

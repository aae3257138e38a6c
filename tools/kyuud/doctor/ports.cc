#include "tools/kyuud/doctor/ports.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "net/fd.h"

namespace kyuu::tools {
namespace {

namespace fs = std::filesystem;

absl::Status Bind(Transport transport, const TransportAddress& address) {
  const bool v4 = address.ip.is_v4();
  const net::Fd fd(socket(
      v4 ? AF_INET : AF_INET6,
      (transport == Transport::kUdp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC,
      0));
  if (fd.get() < 0) {
    return absl::UnavailableError(std::generic_category().message(errno));
  }
  const int on = 1;
  // Without it connections of a server that has gone would hold the port.
  if (transport == Transport::kTcp) {
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  }
  sockaddr_storage storage = {};
  socklen_t size = 0;
  if (v4) {
    auto* const in = reinterpret_cast<sockaddr_in*>(&storage);
    in->sin_family = AF_INET;
    in->sin_port = htons(address.port);
    std::memcpy(&in->sin_addr, address.ip.bytes().data(), 4);
    size = sizeof *in;
  } else {
    // kyuud's sockets of IPv6 leave IPv4 alone.
    setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    auto* const in6 = reinterpret_cast<sockaddr_in6*>(&storage);
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(address.port);
    in6->sin6_scope_id = address.ip.scope_id();
    std::memcpy(&in6->sin6_addr, address.ip.bytes().data(), 16);
    size = sizeof *in6;
  }
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), size) == 0) {
    // SO_REUSEADDR lets it be bound beside one that is bound and silent; not
    // beside one that listens, which is what counts.
    return absl::OkStatus();
  }
  const std::string why = std::generic_category().message(errno);
  switch (errno) {
    case EADDRINUSE:
      return absl::AlreadyExistsError(why);
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(why);
    case EADDRNOTAVAIL:
      return absl::NotFoundError(why);
    default:
      return absl::UnavailableError(why);
  }
}

// The inodes of sockets at that port, of /proc/net/tcp and the like: the second
// word is ADDRESS:PORT in hexadecimal digits, the tenth the inode; of TCP only
// those that listen (state 0A) count.
std::set<std::string> InodesAt(Transport transport, uint16_t port) {
  std::set<std::string> inodes;
  const bool udp = transport == Transport::kUdp;
  for (const char* name : {udp ? "udp" : "tcp", udp ? "udp6" : "tcp6"}) {
    std::ifstream table(absl::StrCat("/proc/net/", name));
    std::string line;
    std::getline(table, line);  // The heading.
    while (std::getline(table, line)) {
      const std::vector<std::string> words =
          absl::StrSplit(line, ' ', absl::SkipEmpty());
      if (words.size() < 10 || (!udp && words[3] != "0A")) continue;
      uint32_t number = 0;
      const size_t colon = words[1].rfind(':');
      if (colon == std::string::npos ||
          !absl::SimpleHexAtoi(words[1].substr(colon + 1), &number)) {
        continue;
      }
      if (number == port)
        inodes.insert(absl::StrCat("socket:[", words[9], "]"));
    }
  }
  return inodes;
}

std::optional<Holder> FindHolder(const std::set<std::string>& inodes) {
  std::error_code error;
  for (const fs::directory_entry& process :
       fs::directory_iterator("/proc", error)) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(process.path().filename().string(), &pid)) continue;
    for (fs::directory_iterator it(process.path() / "fd", error), end;
         !error && it != end; it.increment(error)) {
      std::error_code gone;
      if (!inodes.contains(fs::read_symlink(it->path(), gone).string())) {
        continue;
      }
      Holder holder{pid, ""};
      std::ifstream comm(process.path() / "comm");
      std::getline(comm, holder.name);
      return holder;
    }
    error.clear();
  }
  return std::nullopt;
}

}  // namespace

PortFacts TryPort(std::string setting, Transport transport,
                  const TransportAddress& address) {
  PortFacts facts{std::move(setting), transport, address,
                  Bind(transport, address), std::nullopt};
  if (absl::IsAlreadyExists(facts.bound)) {
    facts.holder = FindHolder(InodesAt(transport, address.port));
  }
  return facts;
}

}  // namespace kyuu::tools

#include "tools/kyuud/supervisor/supervisor.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"

namespace kyuu::tools {
namespace {

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// sd_watchdog_enabled(3): zero if it is not for us.
absl::StatusOr<absl::Duration> WatchdogOf(
    const Supervisor::Variables& variables) {
  if (variables.watchdog_usec.empty()) return absl::ZeroDuration();
  int64_t pid = getpid(), usec = 0;
  if (!variables.watchdog_pid.empty() &&
      !absl::SimpleAtoi(variables.watchdog_pid, &pid)) {
    return absl::InvalidArgumentError("WATCHDOG_PID is no number");
  }
  if (!absl::SimpleAtoi(variables.watchdog_usec, &usec) || usec <= 0) {
    return absl::InvalidArgumentError("WATCHDOG_USEC is no time");
  }
  return pid == getpid() ? absl::Microseconds(usec) : absl::ZeroDuration();
}

}  // namespace

Supervisor::Variables Supervisor::Variables::OfProcess() {
  return {.notify_socket = Variable("NOTIFY_SOCKET"),
          .watchdog_usec = Variable("WATCHDOG_USEC"),
          .watchdog_pid = Variable("WATCHDOG_PID"),
          .listen_fds = Variable("LISTEN_FDS"),
          .listen_pid = Variable("LISTEN_PID"),
          .listen_names = Variable("LISTEN_FDNAMES")};
}

Supervisor::Supervisor(net::Loop& loop) : alarm_(loop, [this] { Feel(); }) {}

absl::StatusOr<std::unique_ptr<Supervisor>> Supervisor::Create(
    net::Loop& loop, const Variables& variables) {
  auto supervisor = std::unique_ptr<Supervisor>(new Supervisor(loop));
  KYUU_RETURN_IF_ERROR(supervisor->FindKept(variables));
  if (variables.notify_socket.empty()) return supervisor;
  KYUU_RETURN_IF_ERROR(supervisor->SetAddress(variables.notify_socket));
  KYUU_ASSIGN_OR_RETURN(supervisor->watchdog_, WatchdogOf(variables));
  supervisor->socket_ =
      net::Fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!supervisor->socket_.valid()) {
    return absl::UnavailableError(
        "no socket can be made for the one of NOTIFY_SOCKET");
  }
  return supervisor;
}

absl::Status Supervisor::SetAddress(absl::string_view path) {
  const bool named = path.front() == '@';
  if (!named && path.front() != '/') {
    return absl::InvalidArgumentError(
        absl::StrCat("NOTIFY_SOCKET: ", path, " is neither a path nor a name"));
  }
  if (path.size() >= sizeof(address_.sun_path)) {
    return absl::InvalidArgumentError("NOTIFY_SOCKET is too long");
  }
  address_.sun_family = AF_UNIX;
  std::memcpy(address_.sun_path, path.data(), path.size());
  // unix(7): a name without a file begins with a zero byte, and ends where the
  // address does; a path ends with one.
  if (named) address_.sun_path[0] = '\0';
  address_bytes_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) +
                                          path.size() + (named ? 0 : 1));
  return absl::OkStatus();
}

// sd_listen_fds_with_names(3).
absl::Status Supervisor::FindKept(const Variables& variables) {
  if (variables.listen_fds.empty()) return absl::OkStatus();
  int64_t pid = 0;
  int count = 0;
  if (!absl::SimpleAtoi(variables.listen_pid, &pid)) {
    return absl::InvalidArgumentError("LISTEN_PID is no number");
  }
  if (pid != getpid()) return absl::OkStatus();
  if (!absl::SimpleAtoi(variables.listen_fds, &count) || count < 0 ||
      count > kKeptMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("LISTEN_FDS is no number from 0 to ", kKeptMax));
  }
  const std::vector<std::string> names =
      absl::StrSplit(variables.listen_names, ':');
  for (int i = 0; i < count; ++i) {
    const int fd = variables.listen_from + i;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("LISTEN_FDS: ", fd, " is no descriptor"));
    }
    const auto index = static_cast<size_t>(i);
    kept_.push_back({index < names.size() ? names[index] : "", net::Fd(fd)});
  }
  return absl::OkStatus();
}

void Supervisor::Tell(absl::string_view message, int descriptor) {
  if (!socket_.valid()) return;
  iovec bytes = {const_cast<char*>(message.data()), message.size()};
  msghdr header = {};
  header.msg_name = &address_;
  header.msg_namelen = address_bytes_;
  header.msg_iov = &bytes;
  header.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof descriptor)> control = {};
  if (descriptor >= 0) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof descriptor);
    std::memcpy(CMSG_DATA(rights), &descriptor, sizeof descriptor);
  }
  // Nobody to tell is nothing that the server could mend.
  (void)sendmsg(socket_.get(), &header, MSG_NOSIGNAL);
}

void Supervisor::Ready(Pulse pulse) {
  pulse_ = std::move(pulse);
  Tell("READY=1");
  if (listens() && watchdog_ > absl::ZeroDuration()) Feel();
}

void Supervisor::Reloading() {
  // Since when, by CLOCK_MONOTONIC, which Loop::Now() is.
  Tell(absl::StrCat("RELOADING=1\nMONOTONIC_USEC=",
                    absl::ToUnixMicros(net::Loop::Now())));
}

void Supervisor::Reloaded() { Tell("READY=1"); }

void Supervisor::Stopping() { Tell("STOPPING=1"); }

std::vector<Supervisor::Kept> Supervisor::TakeKept() {
  std::vector<Kept> taken = std::exchange(kept_, {});
  for (const Kept& kept : taken) {
    Tell(absl::StrCat("FDSTOREREMOVE=1\nFDNAME=", kept.name));
  }
  return taken;
}

// It is not looked at: what is no file and no socket has no end to be seen.
void Supervisor::Keep(absl::string_view name, const net::Fd& fd) {
  Tell(absl::StrCat("FDSTORE=1\nFDPOLL=0\nFDNAME=", name), fd.get());
}

void Supervisor::Feel() {
  alarm_.Set(net::Loop::Now() + watchdog_ / 2);
  if (!felt_) return;
  felt_ = false;
  pulse_([this] {
    felt_ = true;
    Tell("WATCHDOG=1");
  });
}

}  // namespace kyuu::tools

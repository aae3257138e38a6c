#include "net/unix_socket.h"

#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "net/internal/sockaddr.h"

namespace kyuu::net {
namespace {

absl::Status Failed(int error, const std::string& path) {
  return internal::ErrnoStatus(error, absl::StrCat("socket ", path));
}

absl::StatusOr<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // A zero ends it, and one in front would be Linux's abstract namespace.
  if (path.empty() || path.size() >= sizeof address.sun_path ||
      path.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("socket \"", path, "\": the name of a socket has 1 to ",
                     sizeof address.sun_path - 1, " characters"));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

absl::StatusOr<Fd> NewSocket(const std::string& path) {
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Failed(errno, path);
  return fd;
}

// Whether the name is free, or that of a socket which nobody serves.
absl::Status CheckVacant(const std::string& path) {
  struct stat found = {};
  if (lstat(path.c_str(), &found) != 0) {
    return errno == ENOENT ? absl::OkStatus() : Failed(errno, path);
  }
  if (!S_ISSOCK(found.st_mode)) {
    return absl::AlreadyExistsError(
        absl::StrCat(path, " is there, and is no socket"));
  }
  // A full queue (EAGAIN) has somebody behind it.
  KYUU_ASSIGN_OR_RETURN(const sockaddr_un address, AddressOf(path));
  KYUU_ASSIGN_OR_RETURN(const Fd probe, NewSocket(path));
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address),
              sizeof address) != 0 &&
      (errno == ECONNREFUSED || errno == ENOENT)) {
    return absl::OkStatus();
  }
  return absl::AlreadyExistsError(
      absl::StrCat("another program listens at ", path));
}

absl::Status GiveRights(const std::string& path, const std::string& group) {
  mode_t mode = S_IRUSR | S_IWUSR;
  if (!group.empty()) {
    struct group entry = {};
    struct group* found = nullptr;
    std::vector<char> buffer(64 * 1024);
    if (getgrnam_r(group.c_str(), &entry, buffer.data(), buffer.size(),
                   &found) != 0 ||
        found == nullptr) {
      return absl::NotFoundError(absl::StrCat("there is no group ", group));
    }
    if (chown(path.c_str(), static_cast<uid_t>(-1), found->gr_gid) != 0) {
      return Failed(errno, path);
    }
    mode |= S_IRGRP | S_IWGRP;
  }
  return chmod(path.c_str(), mode) == 0 ? absl::OkStatus()
                                        : Failed(errno, path);
}

}  // namespace

absl::StatusOr<TcpStream> ConnectUnix(const std::string& path,
                                      const StreamOptions& options) {
  KYUU_ASSIGN_OR_RETURN(const sockaddr_un address, AddressOf(path));
  KYUU_ASSIGN_OR_RETURN(Fd fd, NewSocket(path));
  // It connects at once or not at all.
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address),
              sizeof address) == 0) {
    return TcpStream(std::move(fd), {{}, {}, Transport::kTcp}, options);
  }
  const int error = errno;
  if (error == ENOENT) {
    return absl::NotFoundError(absl::StrCat("there is no socket ", path));
  }
  const absl::Status failed = Failed(error, path);
  if (error != ECONNREFUSED && error != EAGAIN) return failed;
  return absl::UnavailableError(failed.message());
}

absl::StatusOr<UnixListener> UnixListener::Open(const Options& options) {
  KYUU_RETURN_IF_ERROR(AddressOf(options.path).status());
  KYUU_RETURN_IF_ERROR(CheckVacant(options.path));
  // Under another name until all is as it should be.
  const std::string draft = absl::StrCat(options.path, ".", getpid());
  KYUU_ASSIGN_OR_RETURN(const sockaddr_un address, AddressOf(draft));
  KYUU_ASSIGN_OR_RETURN(Fd fd, NewSocket(options.path));
  unlink(draft.c_str());
  // Nobody may connect before the rights are given.
  if (fchmod(fd.get(), S_IRUSR | S_IWUSR) != 0 ||
      bind(fd.get(), reinterpret_cast<const sockaddr*>(&address),
           sizeof address) != 0) {
    return Failed(errno, options.path);
  }
  absl::Status status = GiveRights(draft, options.group);
  struct stat made = {};
  if (status.ok() && (listen(fd.get(), options.backlog) != 0 ||
                      lstat(draft.c_str(), &made) != 0 ||
                      rename(draft.c_str(), options.path.c_str()) != 0)) {
    status = Failed(errno, options.path);
  }
  if (!status.ok()) {
    unlink(draft.c_str());
    return status;
  }
  return UnixListener(TcpListener::Adopt(std::move(fd), options.stream),
                      options.path, made.st_dev, made.st_ino);
}

UnixListener::~UnixListener() {
  struct stat found = {};
  if (!path_.empty() && lstat(path_.c_str(), &found) == 0 &&
      found.st_dev == device_ && found.st_ino == inode_) {
    unlink(path_.c_str());
  }
}

}  // namespace kyuu::net

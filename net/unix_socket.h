// Stream sockets in the file system (unix(7)), for programs of this machine.

#ifndef KYUU_NET_UNIX_SOCKET_H_
#define KYUU_NET_UNIX_SOCKET_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "net/tcp.h"

namespace kyuu::net {

// ConnectUnix connects to the socket at `path`. The stream has the unspecified
// address at both ends. NOT_FOUND if there is no such socket, UNAVAILABLE if
// nobody listens or too many wait already, INVALID_ARGUMENT if the path is too
// long for a socket.
absl::StatusOr<TcpStream> ConnectUnix(const std::string& path,
                                      const StreamOptions& options = {});

// UnixListener is a listening socket and its name, which goes with it.
class UnixListener {
 public:
  struct Options {
    std::string path;
    // Who may connect: the owner, and with a group its members.
    std::string group;  // By name; "" for none.
    int backlog = 16;
    StreamOptions stream;
  };
  // The name appears at once with its rights, never before. A socket of that
  // name on which nobody listens any more is replaced. ALREADY_EXISTS if
  // somebody does, or if it is no socket; NOT_FOUND if there is no such group;
  // else what the system says, with the path.
  static absl::StatusOr<UnixListener> Open(const Options& options);
  UnixListener(UnixListener&&) = default;
  UnixListener& operator=(UnixListener&&) = delete;
  // Removes the name, unless it is somebody else's by now.
  ~UnixListener();

  int fd() const { return listener_.fd(); }
  // As TcpListener's.
  std::optional<TcpStream> Accept() { return listener_.Accept(); }
  bool exhausted() const { return listener_.exhausted(); }

 private:
  UnixListener(TcpListener listener, std::string path, dev_t device,
               ino_t inode)
      : listener_(std::move(listener)),
        path_(std::move(path)),
        device_(device),
        inode_(inode) {}

  TcpListener listener_;
  std::string path_;  // Empty when moved from.
  dev_t device_;
  ino_t inode_;
};

}  // namespace kyuu::net

#endif  // KYUU_NET_UNIX_SOCKET_H_

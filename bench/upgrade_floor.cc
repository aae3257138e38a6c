// The least that a WebSocket upgrade takes of a server: a program that accepts
// by epoll, reads once, writes an answer of the size of ours, and closes at the
// next event. No protocol, no memory, no limits. `bench/signaling_load.py` runs
// it beside kyuud.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <bitset>
#include <cstdio>
#include <string>

namespace {

constexpr int kMaxDescriptors = 65536;
// "HTTP/1.1 101 Switching Protocols" and its fields, as kyuud says them.
constexpr size_t kAnswerBytes = 162;

int Listen() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(fd, 1024) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return -1;
  }
  std::printf("%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  return fd;
}

void Watch(int epoll, int fd) {
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.fd = fd;
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

}  // namespace

int main() {
  const int listener = Listen();
  if (listener < 0) return 1;
  const int epoll = epoll_create1(0);
  Watch(epoll, listener);
  const std::string answer = "HTTP/1.1 101 Switching Protocols\r\n\r\n" +
                             std::string(kAnswerBytes, ' ');
  std::bitset<kMaxDescriptors> answered;
  std::array<epoll_event, 128> events;
  std::array<char, 16384> buffer;
  while (true) {
    const int count =
        epoll_wait(epoll, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events[static_cast<size_t>(i)].data.fd;
      if (fd == listener) {
        const int taken = accept4(fd, nullptr, nullptr, SOCK_NONBLOCK);
        if (taken >= kMaxDescriptors) return 1;
        if (taken >= 0) Watch(epoll, taken);
        continue;
      }
      const auto at = static_cast<size_t>(fd);
      if (answered[at] || recv(fd, buffer.data(), buffer.size(), 0) <= 0) {
        answered.reset(at);
        close(fd);
        continue;
      }
      answered.set(at);
      send(fd, answer.data(), kAnswerBytes, MSG_NOSIGNAL);
    }
  }
}

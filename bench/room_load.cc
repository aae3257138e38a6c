// The members of a large room, for `bench/signaling_room.py`: plain sockets and
// one epoll, so that the server is what is measured.
//
//   room_load PORT MEMBERS SERVER_PID    how long until all were told
//   something,
//                                        and what others wait for meanwhile
//   room_load floor MEMBERS BYTES CORE   the same of a program that does
//   nothing
//                                        but as many writes, on that core
//
// Answers are rows of a table. Members have addresses of their own, as people
// have: 127.0.x.y.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::duration<double, std::milli>;

constexpr int kMessages = 20;
constexpr int kAtOnce = 50;
constexpr int kAskers = 4, kPingsPerSecond = 40, kSeconds = 20;
constexpr int kUpdatesPerSecond = 200;
// The server gives up who is silent for 35 s.
constexpr auto kSignOfLife = std::chrono::seconds(12);
constexpr absl::string_view kPong("\x8a\x80\0\0\0\0", 6);

[[noreturn]] void Die(const char* what) {
  std::perror(what);
  std::exit(1);
}

double Since(Clock::time_point began) {
  return Milliseconds(Clock::now() - began).count();
}

// Of sorted times; `part` of them are below.
double Quantile(const std::vector<double>& times, double part) {
  return times[std::min(
      times.size() - 1,
      static_cast<size_t>(part * static_cast<double>(times.size())))];
}

void PrintTimes(const std::string& title, std::vector<double> times) {
  std::sort(times.begin(), times.end());
  std::printf(
      "| %s | median %.1f, best %.1f, p99 %.1f, worst %.1f ms (%zu) |\n",
      title.c_str(), Quantile(times, 0.5), times.front(), Quantile(times, 0.99),
      times.back(), times.size());
  std::fflush(stdout);
}

// Seconds of a processor that a process has had, all its threads together.
double CpuSeconds(int pid) {
  double sum = 0;
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  for (const auto& task : std::filesystem::directory_iterator(tasks)) {
    double nanoseconds = 0;
    std::ifstream(task.path() / "schedstat") >> nanoseconds;
    sum += nanoseconds / 1e9;
  }
  return sum;
}

int ConnectFrom(uint16_t port, int number) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in from{}, to{};
  from.sin_family = to.sin_family = AF_INET;
  from.sin_addr.s_addr =
      htonl(0x7f000000u + (static_cast<uint32_t>(1 + number / 200) << 8) +
            static_cast<uint32_t>(1 + number % 200));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(port);
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (bind(fd, reinterpret_cast<sockaddr*>(&from), sizeof from) != 0 ||
      connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) {
    Die("connect");
  }
  return fd;
}

void SendAll(int fd, absl::string_view bytes) {
  if (send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(bytes.size())) {
    Die("send");
  }
}

// A client's frame of RFC 6455; the mask is of no weight here.
void Say(int fd, const std::string& text) {
  std::string frame = "\x81";
  if (text.size() < 126) {
    frame += static_cast<char>(0x80 | text.size());
  } else {
    frame += '\xfe';
    frame += static_cast<char>(text.size() >> 8);
    frame += static_cast<char>(text.size() & 0xff);
  }
  SendAll(fd, frame.append(4, '\0') + text);
}

// Reads up to what has `text` in it.
void AwaitText(int fd, absl::string_view text) {
  std::string had;
  std::array<char, 65536> buffer;
  while (!absl::StrContains(had, text)) {
    const ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
    if (got <= 0) Die("a member was cut");
    had.erase(0, had.size() - std::min<size_t>(had.size(), 64));
    had.append(buffer.data(), static_cast<size_t>(got));
  }
}

void Upgrade(int fd, uint16_t port) {
  const std::string host = "127.0.0.1:" + std::to_string(port);
  SendAll(fd, "GET /v1/ws HTTP/1.1\r\nHost: " + host + "\r\nOrigin: http://" +
                  host +
                  "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  "Sec-WebSocket-Version: 13\r\n"
                  "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                  "Sec-WebSocket-Protocol: kyuu.v1\r\n\r\n");
}

const char kHello[] = R"({"type":"hello","version":1})";

std::string JoinAs(const std::string& name) {
  return R"({"type":"join","name":")" + name + R"(","room":"large"})";
}

std::string UpdateOf(int number) {
  return R"({"type":"update","meta":{"n":)" + std::to_string(number) + "}}";
}

// Sockets from which somebody always reads what there is.
class Readers {
 public:
  Readers() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

  void Add(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) Die("epoll_ctl");
  }

  Clock::time_point last_read() const { return last_read_; }

  // How many have read something with `text` in it within the time.
  int Drain(int milliseconds, absl::string_view text = {}) {
    const int count = epoll_wait(
        epoll_, events_.data(), static_cast<int>(events_.size()), milliseconds);
    int found = 0;
    if (count > 0) last_read_ = Clock::now();
    for (int i = 0; i < count; ++i) {
      const int fd = events_[static_cast<size_t>(i)].data.fd;
      const ssize_t got =
          recv(fd, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
      if (got <= 0) Die("a member was cut");
      const absl::string_view read(buffer_.data(), static_cast<size_t>(got));
      if (!text.empty() && absl::StrContains(read, text)) ++found;
    }
    return found;
  }

 private:
  int epoll_;
  Clock::time_point last_read_;
  std::vector<epoll_event> events_ = std::vector<epoll_event>(16384);
  std::vector<char> buffer_ = std::vector<char>(1 << 18);
};

class Members {
 public:
  Members(uint16_t port, int count) {
    for (int first = 0; first < count; first += kAtOnce) {
      Join(port, first, std::min(count, first + kAtOnce));
    }
    // Until all who came are told, to all.
    do {
      Live(10);
    } while (Clock::now() - readers_.last_read() < std::chrono::seconds(1));
  }

  int size() const { return static_cast<int>(all_.size()); }
  void Update(int member, int number) {
    Say(all_[static_cast<size_t>(member)], UpdateOf(number));
  }

  // Goes on reading, and says now and then that everybody is alive.
  int Live(int milliseconds, absl::string_view text = {}) {
    const auto now = Clock::now();
    const auto step =
        std::chrono::nanoseconds(kSignOfLife) / std::max(1, size());
    for (; pong_at_ <= now; pong_at_ += step) {
      SendAll(all_[next_pong_ % all_.size()], kPong);
      ++next_pong_;
    }
    return readers_.Drain(milliseconds, text);
  }
  void Pass(Clock::duration time) {
    const auto until = Clock::now() + time;
    while (Clock::now() < until) Live(10);
  }

  struct Told {
    double half, all;  // Milliseconds until so many had it.
  };
  Told Await(const std::string& text, int count) {
    const auto began = Clock::now();
    Told told{};
    for (int reached = 0; reached < count;) {
      reached += Live(100, text);
      if (told.half == 0 && 2 * reached >= count) told.half = Since(began);
    }
    told.all = Since(began);
    return told;
  }

 private:
  void Join(uint16_t port, int first, int end) {
    const size_t before = all_.size();
    for (int number = first; number < end; ++number) {
      all_.push_back(ConnectFrom(port, number));
      Upgrade(all_.back(), port);
    }
    for (size_t i = before; i < all_.size(); ++i) {
      AwaitText(all_[i], "\r\n\r\n");
      Say(all_[i], kHello);
    }
    for (size_t i = before; i < all_.size(); ++i) {
      AwaitText(all_[i], "\"welcome\"");
      Say(all_[i], JoinAs("member " + std::to_string(i)));
    }
    for (size_t i = before; i < all_.size(); ++i) {
      AwaitText(all_[i], "\"joined\"");
      readers_.Add(all_[i]);
    }
    Live(0);
  }

  std::vector<int> all_;
  Readers readers_;
  size_t next_pong_ = 0;
  Clock::time_point pong_at_ = Clock::now();
};

// Four who ask, and one who comes and goes: what they wait for.
struct Waits {
  std::vector<double> pings, joins;
};

enum class Guests { kNone, kCome };

Waits Ask(uint16_t port, int number, Guests guests) {
  Waits waits;
  std::vector<int> askers;
  askers.reserve(kAskers);
  const auto come = [&](const std::string& name) {
    const int fd = ConnectFrom(port, number++);
    Upgrade(fd, port);
    AwaitText(fd, "\r\n\r\n");
    Say(fd, kHello);
    AwaitText(fd, "\"welcome\"");
    const auto began = Clock::now();
    Say(fd, JoinAs(name));
    AwaitText(fd, "\"joined\"");
    waits.joins.push_back(Since(began));
    return fd;
  };
  for (int i = 0; i < kAskers; ++i) {
    askers.push_back(come("asker " + std::to_string(number)));
  }
  waits.joins.clear();
  int guest = -1;
  const auto began = Clock::now();
  for (int turn = 0; turn < kSeconds * kPingsPerSecond * kAskers; ++turn) {
    std::this_thread::sleep_until(
        began + std::chrono::microseconds(1'000'000LL * turn /
                                          (kPingsPerSecond * kAskers)));
    const int fd = askers[static_cast<size_t>(turn % kAskers)];
    const auto asked = Clock::now();
    Say(fd, R"({"type":"ping","id":)" + std::to_string(turn) + "}");
    AwaitText(fd, "\"type\":\"pong\",\"id\":" + std::to_string(turn) + "}");
    waits.pings.push_back(Since(asked));
    if (guests == Guests::kNone ||
        turn % (kPingsPerSecond * kAskers / 2) != 0) {
      continue;
    }
    if (guest >= 0) close(guest);
    guest = come("guest " + std::to_string(number));
  }
  if (guest >= 0) close(guest);
  for (const int fd : askers) close(fd);
  return waits;
}

void Load(uint16_t port, Members& members, Guests guests, int first) {
  std::atomic<bool> done{false};
  Waits waits;
  std::thread asking([&] {
    // Who asks waits for the server, not for those who read beside him.
    waits = Ask(port, first, guests);
    done = true;
  });
  const auto began = Clock::now();
  int updates = 0;
  while (!done) {
    const int due =
        guests == Guests::kNone
            ? 0
            : static_cast<int>(Since(began) * kUpdatesPerSecond / 1e3);
    // Each of them once in two seconds: its share.
    for (; updates < due; ++updates) {
      members.Update(updates % std::min(members.size(), 2 * kUpdatesPerSecond),
                     updates);
    }
    members.Live(2);
  }
  asking.join();
  const std::string what =
      guests == Guests::kNone ? "quiet" : "200 updates/s, 2 joins/s";
  PrintTimes("others' ping, " + what, waits.pings);
  if (!waits.joins.empty()) PrintTimes("who joins, " + what, waits.joins);
}

void PrintTold(const std::string& what,
               const std::vector<Members::Told>& told) {
  std::vector<double> half, all;
  for (const Members::Told& t : told) {
    half.push_back(t.half);
    all.push_back(t.all);
  }
  PrintTimes(what + ", half of them", half);
  PrintTimes(what + ", all", all);
}

int Measure(uint16_t port, int count, int pid) {
  const double before = CpuSeconds(pid);
  const auto began = Clock::now();
  Members members(port, count);
  std::printf(
      "| %d have come, and were told of each other | %.1f s, the "
      "server's CPU %.1f s |\n",
      count, Since(began) / 1e3, CpuSeconds(pid) - before);
  std::vector<Members::Told> told;
  double cpu = 0;
  for (int number = 0; number < kMessages; ++number) {
    members.Pass(std::chrono::seconds(1));
    const double at = CpuSeconds(pid);
    members.Update(number, number);
    told.push_back(
        members.Await(R"("n":)" + std::to_string(number) + "}", count - 1));
    cpu += CpuSeconds(pid) - at;
  }
  PrintTold("one message to " + std::to_string(count), told);
  std::printf("| of which the server's CPU, for each member | %.2f us |\n",
              1e6 * cpu / kMessages / count);
  setpriority(PRIO_PROCESS, 0, 5);
  Load(port, members, Guests::kNone, count);
  Load(port, members, Guests::kCome, count + 100);
  return 0;
}

int Accept(int listener, int count, size_t bytes, int core, int go) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(core), &set);
  sched_setaffinity(0, sizeof set, &set);
  std::vector<int> ends;
  ends.reserve(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i)
    ends.push_back(accept(listener, nullptr, nullptr));
  const std::string text = R"("told")" + std::string(bytes - 6, ' ');
  char ignored;
  while (read(go, &ignored, 1) == 1) {
    for (const int fd : ends) SendAll(fd, text);
  }
  return 0;
}

int Floor(int count, size_t bytes, int core) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  int go[2];
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener, 4096) != 0 ||
      getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) !=
          0 ||
      pipe(go) != 0) {
    Die("listen");
  }
  const pid_t child = fork();
  if (child == 0) {
    close(go[1]);
    return Accept(listener, count, bytes, core, go[0]);
  }
  Readers readers;
  for (int i = 0; i < count; ++i) {
    readers.Add(ConnectFrom(ntohs(address.sin_port), i));
  }
  std::vector<double> all;
  double cpu = 0;
  for (int i = 0; i < kMessages; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    const double at = CpuSeconds(child);
    const auto began = Clock::now();
    if (write(go[1], "x", 1) != 1) Die("write");
    for (int reached = 0; reached < count;) {
      reached += readers.Drain(100, R"("told")");
    }
    all.push_back(Since(began));
    cpu += CpuSeconds(child) - at;
  }
  PrintTimes("floor: " + std::to_string(count) + " writes of " +
                 std::to_string(bytes) + " bytes, all",
             all);
  std::printf("| of which CPU, for each | %.2f us |\n",
              1e6 * cpu / kMessages / count);
  std::fflush(stdout);
  close(go[1]);
  waitpid(child, nullptr, 0);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (argc == 5 && absl::string_view(argv[1]) == "floor") {
    return Floor(std::atoi(argv[2]), static_cast<size_t>(std::atoi(argv[3])),
                 std::atoi(argv[4]));
  }
  if (argc != 4) {
    std::fprintf(stderr,
                 "room_load PORT MEMBERS PID, or floor MEMBERS BYTES CORE\n");
    return 2;
  }
  return Measure(static_cast<uint16_t>(std::atoi(argv[1])), std::atoi(argv[2]),
                 std::atoi(argv[3]));
}

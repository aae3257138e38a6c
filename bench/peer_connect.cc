// How long two PeerConnections of one process take to connect on loopback, from
// nothing to a channel that is open at both ends, pair after pair; and the CPU
// of it, the end of each pair included. One line of JSON. For
// tools/interop/bench_connect.mjs, which has rivals do the same.
//
//   peer_connect PAIRS [own-threads] [own-certificates]
//
// The pairs share a thread and the certificate of the process, unless told.

#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/check.h"
#include "dtls/certificate.h"
#include "peer/peer_connection.h"

namespace kyuu::peer {
namespace {

// Counts two openings, of which other threads tell.
class Both {
 public:
  void Add() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (++count_ == 2) reached_.notify_all();
  }
  // What takes half a minute is no connection.
  void Await() {
    std::unique_lock<std::mutex> lock(mutex_);
    KYUU_CHECK(reached_.wait_for(lock, std::chrono::seconds(30),
                                 [&] { return count_ >= 2; }));
  }

 private:
  std::mutex mutex_;
  std::condition_variable reached_;
  int count_ = 0;
};

double CpuMilliseconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e3 +
         static_cast<double>(t.tv_nsec) / 1e6;
}

struct Kind {
  std::shared_ptr<Thread> thread;  // Null: one each.
  bool own_certificates = false;

  Configuration Make() const {
    Configuration configuration{.loopback = LoopbackUse::kAlways,
                                .thread = thread};
    if (own_certificates) {
      configuration.certificate = *dtls::Certificate::Generate(absl::Now());
    }
    return configuration;
  }
};

// The milliseconds until a pair is connected; then it ends.
double Connect(const Kind& kind) {
  Both open;
  std::atomic<bool> over = false;
  std::unique_ptr<PeerConnection> a, b;
  const absl::Time start = absl::Now();
  const auto to = [&over](std::unique_ptr<PeerConnection>& other) {
    return [&](const IceCandidate& candidate) {
      const absl::Status status = other->AddIceCandidate(candidate);
      KYUU_CHECK(status.ok() || over);
    };
  };
  a = *PeerConnection::Create(kind.Make(), {.on_ice_candidate = to(b)});
  b = *PeerConnection::Create(
      kind.Make(),
      {.on_ice_candidate = to(a),
       .on_data_channel = [&](const std::shared_ptr<DataChannel>&) {
         open.Add();
       }});
  const auto channel = *a->CreateDataChannel(
      {.label = "connect"}, {.on_open = [&](DataChannel&) { open.Add(); }});
  KYUU_CHECK(a->SetLocalDescription().ok());
  KYUU_CHECK(b->SetRemoteDescription(*a->local_description()).ok());
  KYUU_CHECK(b->SetLocalDescription().ok());
  KYUU_CHECK(a->SetRemoteDescription(*b->local_description()).ok());
  open.Await();
  const double took = absl::ToDoubleMilliseconds(absl::Now() - start);
  over = true;
  a->Close();
  b->Close();
  return took;
}

int Main(int argc, char** argv) {
  const int pairs = argc > 1 ? std::atoi(argv[1]) : 500;
  Kind kind{*Thread::Start()};
  for (int i = 2; i < argc; ++i) {
    const absl::string_view word = argv[i];
    if (word == "own-threads") kind.thread.reset();
    if (word == "own-certificates") kind.own_certificates = true;
  }
  Connect(kind);  // OpenSSL's beginning.
  const double before = CpuMilliseconds();
  std::vector<double> took(static_cast<size_t>(pairs));
  for (double& ms : took) ms = Connect(kind);
  const double cpu = (CpuMilliseconds() - before) / pairs;
  std::sort(took.begin(), took.end());
  const auto at = [&](double part) {
    return took[static_cast<size_t>(part * static_cast<double>(pairs - 1))];
  };
  std::printf(
      "{\"pairs\":%d,\"p50_ms\":%.2f,\"p95_ms\":%.2f,\"max_ms\":%.2f,"
      "\"cpu_ms\":%.2f}\n",
      pairs, at(0.5), at(0.95), took.back(), cpu);
  return 0;
}

}  // namespace
}  // namespace kyuu::peer

int main(int argc, char** argv) { return kyuu::peer::Main(argc, argv); }

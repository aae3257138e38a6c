// The system calls of a TURN server that thinks nothing: what turn_requests.py
// asks is answered in as many bytes as kyuud has for it, an Allocate opens a
// relay socket as relay::Node does, a Refresh closes it, and nobody is asked
// for a password. What kyuud needs beyond that is its own.
//
//   turn_floor PORT
//
// Ends with its standard input.

#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "net/loop.h"
#include "net/udp_socket.h"
#include "stun/attributes.h"
#include "stun/message.h"
#include "stun/protocol.h"

namespace kyuu {
namespace {

constexpr size_t kAnswers = net::ReceiveBuffer::kTrains;
constexpr size_t kAnswerBytes = 256;
constexpr int kReceivesPerTurn = 4;  // As relay::Node.
const IpAddress kLoopback = IpAddress::V4(127, 0, 0, 1);

// As long as kyuud's.
absl::Span<const uint8_t> Answer(const stun::MessageView& request,
                                 const TransportAddress& client,
                                 const stun::IntegrityKey& key,
                                 absl::Span<uint8_t> out) {
  const bool binding = request.method() == stun::Method::kBinding;
  const bool refuse = !binding && !request.HasIntegrity();
  stun::MessageWriter w(
      out, refuse ? stun::MessageClass::kError : stun::MessageClass::kSuccess,
      request.method(), request.transaction_id());
  if (refuse) {
    w.Add(stun::ErrorCode{stun::Error::kUnauthenticated, ""});
    w.Add(stun::Realm{"bench"});
    w.Add(stun::Nonce{"0123456789abcdef"});
    return w.Finish();
  }
  if (request.method() == stun::Method::kAllocate) {
    w.Add(stun::XorRelayedAddress{client});
  }
  if (request.method() != stun::Method::kRefresh) {
    w.Add(stun::XorMappedAddress{client});
  }
  if (binding) return w.Finish();
  w.Add(stun::Lifetime{600});
  w.AddIntegrity(key);
  return w.Finish();
}

class Floor {
 public:
  Floor(net::Loop& loop, uint16_t port)
      : loop_(loop),
        listener_(net::UdpSocket::Open(
                      {.bind = {kLoopback, port}, .reuse_port = true})
                      .value()),
        watch_(loop, listener_.fd(), net::Interest::kRead,
               [this](net::Readiness) { Read(); }) {}

 private:
  struct Relay {
    explicit Relay(net::Loop& loop)
        : socket(net::UdpSocket::Open(
                     {.bind = {kLoopback, 0},
                      .errors = net::UdpOptions::Errors::kKeep,
                      .setup = net::UdpOptions::Setup::kAtFirstUse})
                     .value()),
          watch(loop, socket.fd(), net::Interest::kRead,
                [](net::Readiness) {}) {}
    net::UdpSocket socket;
    net::Watch watch;
  };

  void Read() {
    for (int i = 0; i < kReceivesPerTurn; ++i) {
      const absl::Span<const net::Train> trains = listener_.Receive(buffer_);
      size_t count = 0;
      for (const net::Train& train : trains) {
        for (size_t j = 0; j < train.segments(); ++j) {
          count = Serve(train.path, train.segment(j), count);
        }
      }
      if (count > 0) listener_.Send(absl::MakeConstSpan(out_).first(count));
      if (trains.size() < net::ReceiveBuffer::kTrains) break;
    }
  }

  size_t Serve(const Path& path, absl::Span<const uint8_t> bytes,
               size_t count) {
    const auto request = stun::MessageView::Parse(bytes);
    if (!request.ok()) return count;
    if (request->HasIntegrity()) {
      if (request->method() == stun::Method::kAllocate) {
        relays_[path.remote] = std::make_unique<Relay>(loop_);
      } else {
        relays_.erase(path.remote);
      }
    }
    const absl::Span<const uint8_t> answer = Answer(
        *request, path.remote, key_,
        absl::MakeSpan(bytes_).subspan(count * kAnswerBytes, kAnswerBytes));
    pieces_[count] = net::Piece(answer);
    out_[count] = {path, absl::MakeConstSpan(&pieces_[count], 1)};
    if (++count < kAnswers) return count;
    listener_.Send(out_);
    return 0;
  }

  net::Loop& loop_;
  net::UdpSocket listener_;
  net::ReceiveBuffer buffer_;
  const stun::IntegrityKey key_ =
      stun::IntegrityKey::LongTerm("a", "bench", "b");
  std::array<uint8_t, kAnswers * kAnswerBytes> bytes_;
  std::array<iovec, kAnswers> pieces_;
  std::array<net::OutTrain, kAnswers> out_;
  absl::flat_hash_map<TransportAddress, std::unique_ptr<Relay>> relays_;
  net::Watch watch_;
};

int Main(uint16_t port) {
  const std::unique_ptr<net::Loop> loop = net::Loop::Create().value();
  Floor floor(*loop, port);
  net::Watch end(*loop, STDIN_FILENO, net::Interest::kRead,
                 [&](net::Readiness) { loop->Stop(); });
  loop->Run();
  return 0;
}

}  // namespace
}  // namespace kyuu

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  return kyuu::Main(static_cast<uint16_t>(std::atoi(argv[1])));
}

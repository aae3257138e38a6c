// The system calls of a TURN server that thinks nothing: what turn_requests.py
// asks is answered in as many bytes as kyuud has for it, an Allocate opens a
// relay socket as relay::Node does, a Refresh closes it, and nobody is asked
// for a password. For relay.py it passes ChannelData on, in both directions: a
// client has one channel, and what of a Receive goes to the same place leaves
// as one train. What kyuud needs beyond that is its own.
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
#include "net/train.h"
#include "net/train_builder.h"
#include "net/udp_socket.h"
#include "stun/attributes.h"
#include "stun/message.h"
#include "stun/protocol.h"
#include "turn/channel_data.h"

namespace kyuu {
namespace {

constexpr size_t kAnswers = net::ReceiveBuffer::kTrains;
constexpr size_t kAnswerBytes = 256;
constexpr int kReceivesPerTurn = 4;  // As relay::Node.
constexpr uint16_t kChannel = turn::kChannelMin;
const IpAddress kLoopback = IpAddress::V4(127, 0, 0, 1);

// As long as kyuud's.
absl::Span<const uint8_t> Answer(const stun::MessageView& request,
                                 const TransportAddress& client,
                                 const TransportAddress& relayed,
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
    w.Add(stun::XorRelayedAddress{relayed});
  }
  if (binding || request.method() == stun::Method::kAllocate) {
    w.Add(stun::XorMappedAddress{client});
  }
  if (binding) return w.Finish();
  if (request.method() != stun::Method::kChannelBind) {
    w.Add(stun::Lifetime{600});
  }
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
    Relay(Floor& floor, const Path& path)
        : client(path),
          socket(net::UdpSocket::Open(
                     {.bind = {kLoopback, 0},
                      .errors = net::UdpOptions::Errors::kKeep,
                      .setup = net::UdpOptions::Setup::kAtFirstUse})
                     .value()),
          watch(floor.loop_, socket.fd(), net::Interest::kRead,
                [this, &floor](net::Readiness) { floor.ReadRelay(*this); }) {}
    Path client;
    TransportAddress peer;  // Of the channel.
    net::UdpSocket socket;
    net::Watch watch;
  };

  void Read() {
    for (int i = 0; i < kReceivesPerTurn; ++i) {
      const absl::Span<const net::Train> trains = listener_.Receive(buffer_);
      size_t count = 0;
      for (const net::Train& train : trains) {
        if (turn::IsChannelData(train.segment(0))) {
          ForwardUp(train);
          continue;
        }
        for (size_t j = 0; j < train.segments(); ++j) {
          count = Serve(train.path, train.segment(j), count);
        }
      }
      if (count > 0) listener_.Send(absl::MakeConstSpan(out_).first(count));
      SendTrain();
      if (trains.size() < net::ReceiveBuffer::kTrains) break;
    }
  }

  void ForwardUp(const net::Train& train) {
    const auto it = relays_.find(train.path.remote);
    if (it == relays_.end()) return;
    Relay& relay = *it->second;
    const Path path{relay.socket.local(), relay.peer};
    for (size_t i = 0; i < train.segments(); ++i) {
      const absl::Span<const uint8_t> payload =
          train.segment(i).subspan(turn::kChannelHeaderSize);
      Begin(relay.socket, path, payload.size());
      train_.Add(payload);
    }
  }

  // Every datagram of a peer has the same size, and so one header serves all.
  void ReadRelay(Relay& relay) {
    for (int i = 0; i < kReceivesPerTurn; ++i) {
      const absl::Span<const net::Train> trains = relay.socket.Receive(buffer_);
      for (const net::Train& train : trains) {
        turn::WriteChannelHeader(kChannel, train.segment(0).size(),
                                 absl::MakeSpan(header_));
        for (size_t j = 0; j < train.segments(); ++j) {
          const absl::Span<const uint8_t> payload = train.segment(j);
          Begin(listener_, relay.client, sizeof(header_) + payload.size());
          train_.Add(header_);
          train_.Add(payload);
        }
      }
      SendTrain();
      if (trains.size() < net::ReceiveBuffer::kTrains) break;
    }
  }

  // The next datagram of the train, or the first of a new one.
  void Begin(net::UdpSocket& socket, const Path& path, size_t bytes) {
    if (train_.Accepts(path, bytes)) return train_.Continue(bytes);
    SendTrain();
    socket_ = &socket;
    train_.Begin(path, bytes);
  }

  void SendTrain() {
    if (train_.empty()) return;
    const net::OutTrain train = train_.train();
    socket_->Send({&train, 1});
    train_.Clear();
  }

  size_t Serve(const Path& path, absl::Span<const uint8_t> bytes,
               size_t count) {
    const auto request = stun::MessageView::Parse(bytes);
    if (!request.ok()) return count;
    TransportAddress relayed = path.remote;
    if (request->HasIntegrity()) {
      if (request->method() == stun::Method::kAllocate) {
        auto& relay = relays_[path.remote];
        if (relay == nullptr) relay = std::make_unique<Relay>(*this, path);
        relayed = relay->socket.local();
      } else if (request->method() == stun::Method::kRefresh) {
        relays_.erase(path.remote);
      } else if (const auto peer = request->Get<stun::XorPeerAddress>()) {
        if (const auto it = relays_.find(path.remote); it != relays_.end()) {
          it->second->peer = peer->address;
        }
      }
    }
    const absl::Span<const uint8_t> answer = Answer(
        *request, path.remote, relayed, key_,
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
  std::array<uint8_t, turn::kChannelHeaderSize> header_{};
  net::UdpSocket* socket_ = nullptr;  // That of train_.
  net::TrainBuilder train_;
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

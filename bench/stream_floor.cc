// The system calls, and with a certificate the TLS, of a relay for clients on
// streams that thinks nothing: what turn_streams.py asks is answered, and data
// goes on in as few calls as there can be. What kyuud needs beyond that is its
// own.
//
//   stream_floor PORT [CERTIFICATE KEY]
//
// Ends with its standard input.

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "base/address.h"
#include "base/bytes.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/stream_options.h"
#include "net/tcp.h"
#include "net/tls.h"
#include "net/train_builder.h"
#include "net/udp_socket.h"
#include "stun/attributes.h"
#include "stun/message.h"
#include "stun/protocol.h"
#include "turn/channel_data.h"
#include "turn/framing.h"

namespace kyuu {
namespace {

const IpAddress kLoopback = IpAddress::V4(127, 0, 0, 1);
constexpr uint16_t kChannel = 0x4001;

// What all clients of the loop use in turns.
struct Memory {
  net::StreamBuffer stream;
  net::ReceiveBuffer datagrams;
};

// A client, with the socket of its relayed address.
class Client {
 public:
  Client(net::Loop& loop, net::Stream stream, Memory& memory)
      : memory_(memory),
        stream_(std::move(stream)),
        relay_(net::UdpSocket::Open({.bind = {kLoopback, 0}}).value()),
        stream_watch_(loop, stream_.fd(), stream_.interest(),
                      [this](net::Readiness ready) {
                        if (ready.writable) stream_.Flush();
                        Read();
                      }),
        relay_watch_(loop, relay_.fd(), net::Interest::kRead,
                     [this](net::Readiness) { ReadRelay(); }) {}

 private:
  void Read() {
    const net::ReadResult got = stream_.Read(memory_.stream.bytes());
    if (got.state == net::ReadState::kEnd ||
        got.state == net::ReadState::kFailed) {
      stream_watch_.SetInterest(net::Interest::kNone);
      relay_watch_.SetInterest(net::Interest::kNone);
      return stream_.Cut();
    }
    if (got.state != net::ReadState::kData) return;
    absl::Span<const uint8_t> bytes = memory_.stream.bytes().first(got.bytes);
    if (!rest_.empty()) {
      rest_.insert(rest_.end(), bytes.begin(), bytes.end());
      bytes = rest_;
    }
    while (true) {
      const auto frame = turn::ReadFrame(bytes);
      if (!frame.ok() || !frame->has_value()) break;
      if (bytes.size() < (*frame)->bytes()) break;
      Take(bytes.first((*frame)->message_bytes));
      bytes.remove_prefix((*frame)->bytes());
    }
    SendTrain();
    rest_ = std::vector<uint8_t>(bytes.begin(), bytes.end());
    stream_watch_.SetInterest(stream_.interest());
  }

  void Take(absl::Span<const uint8_t> message) {
    if (const auto data = turn::ReadChannelData(message)) {
      const Path path{relay_.local(), peer_};
      const size_t size = data->payload.size();
      if (train_.Accepts(path, size)) {
        train_.Continue(size);
      } else {
        SendTrain();
        train_.Begin(path, size);
      }
      return train_.Add(data->payload);
    }
    const auto request = stun::MessageView::Parse(message);
    if (request.ok()) Answer(*request);
  }

  void SendTrain() {
    if (train_.empty()) return;
    const net::OutTrain train = train_.train();
    relay_.Send({&train, 1});
    train_.Clear();
  }

  void Answer(const stun::MessageView& request) {
    std::vector<uint8_t> out(256);
    const bool refuse = !request.HasIntegrity();
    stun::MessageWriter w(
        absl::MakeSpan(out),
        refuse ? stun::MessageClass::kError : stun::MessageClass::kSuccess,
        request.method(), request.transaction_id());
    if (refuse) {
      w.Add(stun::ErrorCode{stun::Error::kUnauthenticated, ""});
      w.Add(stun::Realm{"bench"});
      w.Add(stun::Nonce{"0123456789abcdef"});
    } else if (request.method() == stun::Method::kAllocate) {
      w.Add(stun::XorRelayedAddress{relay_.local()});
    } else if (const auto peer = request.Get<stun::XorPeerAddress>()) {
      peer_ = peer->address;
    }
    (void)stream_.Write(w.Finish());  // A failure shows in Read().
  }

  // A message is a record of TLS, as for clients that want it so.
  void ReadRelay() {
    out_.clear();
    stream_.Cork();
    for (const net::Train& train : relay_.Receive(memory_.datagrams)) {
      for (size_t i = 0; i < train.segments(); ++i) {
        const absl::Span<const uint8_t> payload = train.segment(i);
        uint8_t header[turn::kChannelHeaderSize];
        turn::WriteChannelHeader(kChannel, payload.size(), header);
        out_.insert(out_.end(), std::begin(header), std::end(header));
        out_.insert(out_.end(), payload.begin(), payload.end());
        if (!stream_.is_tls()) continue;
        (void)stream_.Write(out_);  // A failure shows in Read().
        out_.clear();
      }
    }
    if (!out_.empty()) (void)stream_.Write(out_);  // The same.
    stream_.Uncork();
    stream_watch_.SetInterest(stream_.interest());
  }

  Memory& memory_;
  net::Stream stream_;
  net::UdpSocket relay_;
  TransportAddress peer_;
  net::TrainBuilder train_;
  std::vector<uint8_t> rest_;  // Of a message that is not whole.
  std::vector<uint8_t> out_;
  net::Watch stream_watch_, relay_watch_;
};

int Main(int argc, char** argv) {
  const std::unique_ptr<net::Loop> loop = net::Loop::Create().value();
  std::optional<net::TlsContext> tls;
  if (argc == 4) {
    tls =
        net::TlsContext::Server({.certificates = {{argv[2], argv[3]}}}).value();
  }
  net::TcpListener listener =
      net::TcpListener::Open(
          {.bind = {kLoopback, static_cast<uint16_t>(std::atoi(argv[1]))}})
          .value();
  Memory memory;
  std::vector<std::unique_ptr<Client>> clients;
  net::Watch accepts(
      *loop, listener.fd(), net::Interest::kRead, [&](net::Readiness) {
        while (std::optional<net::TcpStream> tcp = listener.Accept()) {
          net::Stream stream(*std::move(tcp));
          if (tls) stream = net::TlsStream(*tls, stream.TakeTcp());
          clients.push_back(
              std::make_unique<Client>(*loop, std::move(stream), memory));
        }
      });
  net::Watch end(*loop, STDIN_FILENO, net::Interest::kRead,
                 [&](net::Readiness) { loop->Stop(); });
  loop->Run();
  return 0;
}

}  // namespace
}  // namespace kyuu

int main(int argc, char** argv) {
  if (argc != 2 && argc != 4) return 2;
  return kyuu::Main(argc, argv);
}

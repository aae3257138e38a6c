// TransportScript: an IceTransport between a peer, servers that err and a
// network that makes things up, driven by the bytes of a fuzzer.

#ifndef KYUU_ICE_TESTING_TRANSPORT_SCRIPT_H_
#define KYUU_ICE_TESTING_TRANSPORT_SCRIPT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/random.h"
#include "ice/candidate.h"
#include "ice/credentials.h"
#include "ice/transport.h"
#include "stun/message.h"
#include "stun/protocol.h"
#include "turn/testing/scripted_server.h"

namespace kyuu::ice::testing {

// Each step is an operation, an argument and, where it needs them, bytes behind
// a length. What a transport promises is checked with KYUU_CHECK all the time.
class TransportScript {
 public:
  // Bits of `start`: 1 we control; 2 relay only; 4 gathered; 8 the peer is
  // known; 16 and its way is open; 32 through the relay; 64 and nominated.
  explicit TransportScript(uint8_t start);

  void Step(Reader& r);
  // Whatever happened: driven properly it has no deadline in the past, and
  // comes to its end after Close().
  void Finish();

 private:
  // Which way a peer's datagram comes.
  enum class Way : uint8_t { kDirect, kRelayed };
  // A check of ours, to be answered.
  struct Asked {
    Path path;
    stun::TransactionId id;
    Way way;
  };

  static IceTransportOptions Options(uint8_t start);
  void Command(uint8_t op, uint8_t arg);
  void Pass(absl::Duration duration);
  void Settle();
  void TakeEvents();
  void AddRemote(uint8_t arg);
  void Restart();
  // A stream of the peer comes, is connected, or ends.
  void Configure(uint8_t arg);
  void Stream(uint8_t arg);

  // One datagram of the transport, answered if it is for a server, with a bit
  // flipped if `flip` says so; false if there is none.
  bool Serve(uint8_t flip);
  void Drain();
  void Look(const Datagram& outer);
  void LookInside(const Path& path, Way way, absl::Span<const uint8_t> bytes);
  void Send(absl::Span<const uint8_t> payload);

  void Check(uint8_t arg);
  void Answer(uint8_t arg);
  void FromPeer(Way way, const TransportAddress& peer,
                absl::Span<const uint8_t> bytes);
  void Receive(const Datagram& datagram);

  SeededRandom random_{1};
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  uint8_t generation_ = 0;
  turn::ScriptedServer server_;
  IceTransport transport_;
  std::optional<Asked> asked_;
  std::optional<Path> stream_;  // What the peer says comes on it.
  int candidates_ = 0;
  std::vector<PeerStreamWanted> wanted_;  // Neither connected nor given up.
  std::vector<std::pair<StreamId, Path>> streams_;  // That are open.
  bool closed_ = false;
  std::array<uint8_t, 2000> out_;
  std::array<uint8_t, 1000> packet_;
};

}  // namespace kyuu::ice::testing

#endif  // KYUU_ICE_TESTING_TRANSPORT_SCRIPT_H_

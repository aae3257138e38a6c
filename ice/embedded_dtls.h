// SPED (draft-hancke-webrtc-sped): DTLS's handshake rides on connectivity
// checks and their answers, so that it need not wait for them.

#ifndef KYUU_ICE_EMBEDDED_DTLS_H_
#define KYUU_ICE_EMBEDDED_DTLS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "base/counters.h"
#include "base/queue.h"
#include "stun/message.h"

namespace kyuu::ice {

// What it carried, and what it would not.
struct EmbeddedDtlsStats {
  uint64_t sent = 0;
  uint64_t received = 0;
  uint64_t acknowledged = 0;  // Of ours, by the peer.
  // No record of DTLS, or one of too many at once.
  uint64_t drop_unusable = 0;
  uint64_t drop_queue_full = 0;

  static constexpr Counter<EmbeddedDtlsStats> kCounters[] = {
      KYUU_COUNTER(EmbeddedDtlsStats, sent),
      KYUU_COUNTER(EmbeddedDtlsStats, received),
      KYUU_COUNTER(EmbeddedDtlsStats, acknowledged),
      KYUU_COUNTER(EmbeddedDtlsStats, drop_unusable),
      KYUU_COUNTER(EmbeddedDtlsStats, drop_queue_full)};
};
static_assert(Countable<EmbeddedDtlsStats>);

// EmbeddedDtls is what an agent keeps for it: the datagrams of our flight that
// the peer has not acknowledged, and what came from the peer. It knows nothing
// about DTLS but the first byte of its records.
//
// Whether the peer speaks SPED, its first authenticated message tells, so a
// driver keeps a flight that goes nowhere: TakeUnacknowledged, once there is a
// path.
class EmbeddedDtls {
 public:
  // The largest datagram that is embedded, in bytes: with the other attributes
  // of a check, user names of 30 bytes and a relay's header, it stays below the
  // 1200 that DTLS may take otherwise.
  static constexpr size_t kDatagramMax = 960;
  // Datagrams of a flight, and of the peer's until PollReceived; further ones
  // are dropped as if lost. A client's chain of certificates is the most.
  static constexpr size_t kDatagramsMax = 16;
  // CRCs told in one message. The draft recommends 4.
  static constexpr size_t kAcknowledgementsMax = 4;

  enum class Use : uint8_t { kOff, kOn };
  explicit EmbeddedDtls(Use use)
      : state_(use == Use::kOn ? State::kTentative : State::kOff),
        parts_(use == Use::kOn ? std::make_unique<Parts>() : nullptr) {}

  // Whether flights are to be given to SetFlight.
  bool active() const {
    return state_ == State::kTentative || state_ == State::kConfirmed;
  }

  // Embeds these from now on, in turns, and no earlier ones. Only if active().
  void SetFlight(std::vector<std::vector<uint8_t>> datagrams);
  // The next one that the peer has not acknowledged, which is not embedded any
  // more; nullopt when none is left.
  std::optional<std::vector<uint8_t>> TakeUnacknowledged();
  // The handshake is over: what remains to be told the peer is, and no more.
  void Finish();

  // What came embedded, in order.
  std::optional<std::vector<uint8_t>> PollReceived();

  // Adds our part to a Binding request or success response.
  void Write(stun::MessageWriter& message);
  // Takes the peer's part of one that is authenticated.
  void Read(const stun::MessageView& message);

  EmbeddedDtlsStats stats() const {
    return parts_ ? parts_->stats : EmbeddedDtlsStats{};
  }

 private:
  enum class State : uint8_t {
    kOff,        // Not wanted, or the peer does not know it.
    kTentative,  // Nothing of the peer was seen yet.
    kConfirmed,
    kFinishing,  // Finish() was called, and something remains to be told.
  };
  struct Datagram {
    uint32_t crc;
    std::vector<uint8_t> bytes;
  };
  struct Parts {
    Queue<Datagram> flight;  // The next one to be embedded is in front.
    Queue<std::vector<uint8_t>> received;
    Queue<uint32_t> acknowledgements;  // The newest are behind.
    bool acknowledgement_due = false;  // One was not told yet.
    EmbeddedDtlsStats stats;
  };

  void ReadAcknowledgements(absl::Span<const uint8_t> crcs);
  void Acknowledge(uint32_t crc);
  void EndIfAllIsTold();

  State state_;
  std::unique_ptr<Parts> parts_;  // Null where it was never wanted.
};

}  // namespace kyuu::ice

#endif  // KYUU_ICE_EMBEDDED_DTLS_H_

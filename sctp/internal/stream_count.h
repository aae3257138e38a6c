// How many streams an association has in each direction, and what either side
// asks for to have more (RFC 6525 sections 5.1.5, 5.1.6, 5.2.5 and 5.2.6).

#ifndef KYUU_SCTP_INTERNAL_STREAM_COUNT_H_
#define KYUU_SCTP_INTERNAL_STREAM_COUNT_H_

#include <cstdint>
#include <variant>

#include "absl/status/status.h"
#include "sctp/event.h"
#include "sctp/internal/chunk/reconfig_chunk.h"
#include "sctp/internal/event_queue.h"
#include "sctp/internal/serial.h"
#include "sctp/options.h"
#include "sctp/stats.h"

namespace kyuu::sctp::internal {

// StreamCount knows the numbers; StreamReset carries the requests and answers,
// one at a time and in turn with those about resets.
class StreamCount {
 public:
  using Request =
      std::variant<AddOutgoingStreamsRequest, AddIncomingStreamsRequest>;

  // `peer_inbound` and `peer_outbound` are those of the peer's INIT (RFC 9260
  // section 3.3.2). All references must outlive this.
  StreamCount(const Options& options, uint16_t peer_inbound,
              uint16_t peer_outbound, EventQueue& events, Stats& stats);

  // Streams 0 .. outgoing - 1 may be sent on.
  uint16_t outgoing() const { return outgoing_; }
  uint16_t incoming() const { return incoming_; }

  // Ask is what Association::AddStreams asks for, with its errors.
  absl::Status Ask(uint16_t outgoing, uint16_t incoming);

  // Whether the peer is to be asked for something, and is not being asked.
  bool has_request() const {
    return asking_ == Asking::kNothing &&
           (wanted_outgoing_ != 0 || wanted_incoming_ != 0 || owed_ != 0);
  }
  // The next request, which then waits for its answer. Requires has_request().
  Request TakeRequest(ReconfigSn sn);
  // The peer has given its last word on the request that was taken.
  void OnAnswer(ReconfigResult result);
  // Nothing has come for the request in time. True if it counts as performed
  // all the same: the peer has added the streams already, and did not answer
  // the request when it was repeated after that. Section 5.2.6 lets the peer's
  // own request stand for the answer.
  bool OnTimeout();

  // The peer's requests; what is returned is the answer. Neither is performed
  // beyond Options::max_incoming_streams and max_outgoing_streams, or while
  // max_waiting_resets events wait.
  ReconfigResult PeerAddsOutgoing(uint16_t new_streams);
  ReconfigResult PeerAddsIncoming(uint16_t new_streams);

 private:
  enum class Asking : uint8_t { kNothing, kOutgoing, kIncoming, kOwed };
  // What the peer has shown about a request for its streams before its answer.
  enum class Shown : uint8_t { kNothing, kAdded, kAddedAndAskedAgain };

  bool is_crowded() const {
    return events_.waiting_resets() >= options_.max_waiting_resets;
  }
  ReconfigResult Deny();
  void Tell(StreamDirection direction, absl::Status status);

  const Options& options_;
  EventQueue& events_;
  Stats& stats_;
  uint16_t outgoing_;
  uint16_t incoming_;
  uint16_t max_outgoing_;
  uint16_t max_incoming_;

  // What the application has asked for and was not answered, and what the peer
  // has: that many outgoing ones, for which a request of ours must follow.
  uint16_t wanted_outgoing_ = 0;
  uint16_t wanted_incoming_ = 0;
  uint16_t owed_ = 0;
  Asking asking_ = Asking::kNothing;
  Shown shown_ = Shown::kNothing;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_STREAM_COUNT_H_

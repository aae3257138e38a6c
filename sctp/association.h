// One SCTP association, the transport below WebRTC's data channels.
//
// RFC 9260 for a single path, with partial reliability (RFC 3758) and stream
// reset (RFC 6525), carried over DTLS (RFC 8261). Usage:
//
//   Association association(Options{}, random);
//   association.Connect(now);                  // both sides may; WebRTC does
//   ... drive it as base/engine.h describes until Connected ...
//   association.Send(now, {StreamId{0}, Ppid{53}, bytes}, {});

#ifndef KYUU_SCTP_ASSOCIATION_H_
#define KYUU_SCTP_ASSOCIATION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/engine.h"
#include "base/random.h"
#include "sctp/event.h"
#include "sctp/message.h"
#include "sctp/options.h"
#include "sctp/out_of_band.h"
#include "sctp/stats.h"

namespace kyuu::sctp {

namespace internal {
class Core;
}  // namespace internal

// Association is an Engine whose packets are SCTP packets: what RFC 8261 puts
// into one DTLS record. Not thread-safe. `random` must outlive it.
class Association {
 public:
  using Packet = absl::Span<const uint8_t>;
  using Event = sctp::Event;

  Association(const Options& options, Random& random);
  ~Association();
  Association(Association&&) noexcept;
  Association& operator=(Association&&) noexcept;

  // Connect begins the handshake. Both sides may connect at the same time, and
  // a side that never does still answers. Does nothing if the peer's handshake
  // was faster. FAILED_PRECONDITION once the association has ended.
  absl::Status Connect(absl::Time now);

  // ConnectWith connects at once, with what both sides have told each other
  // beforehand (out_of_band.h); Connected is the next event. `inits.local` is
  // MakeInit's of the same options.
  //   INVALID_ARGUMENT: one of the two is no INIT (ValidateInit), so that
  //     Connect is left. FAILED_PRECONDITION: a handshake has begun, or ended.
  absl::Status ConnectWith(absl::Time now, const OutOfBandInits& inits);

  // Send queues a message; before Connected too. The message is moved from
  // only on success. A message that waits for a stream that the peer does not
  // grant is dropped as soon as that is known.
  //   INVALID_ARGUMENT: an empty payload, one above max_message_out, or a
  //     stream beyond the agreed (or, before, the offered) number.
  //   RESOURCE_EXHAUSTED: the stream's send buffer, or the whole, is full;
  //     WritableAgain will follow.
  //   FAILED_PRECONDITION: shutting down, or ended.
  absl::Status Send(absl::Time now, Message&& message,
                    const SendOptions& how = {});

  // BeginMessage opens a message that is sent as its parts come, so that none
  // of the sides needs room for all of it. `size` is that of the whole, if it
  // is known. Nothing else can be sent on the stream until the last part is
  // given, or the message is given up; a reset of the stream waits for that
  // too. Where I-DATA was not agreed on (Connected::interleaving), all other
  // streams wait as well, as DATA has it (RFC 9260 section 6.9).
  //   INVALID_ARGUMENT: a size of 0 or above max_message_out, or as Send.
  //   FAILED_PRECONDITION: as Send, or a message is open on the stream.
  absl::Status BeginMessage(absl::Time now, StreamId stream, Ppid ppid,
                            std::optional<size_t> size,
                            const SendOptions& how = {});
  // SendPart adds to the open message; `bytes` is moved from only on success.
  // The part that completes a known size is the last. Of what is here, one byte
  // waits for the next part, or for the last one, which may be empty. kGivenUp
  // takes no bytes: the peer is told to forget what it has (RFC 3758), and the
  // association is aborted if the peer does not know how.
  //   INVALID_ARGUMENT: more than the size that was told, or than
  //     max_message_out; or the last part, and it is less than that size, or
  //     the message would be empty. The message stays open.
  //   RESOURCE_EXHAUSTED: as Send.
  //   FAILED_PRECONDITION: no message is open, or it was given up because of
  //     its limits, a shutdown or a restart.
  absl::Status SendPart(absl::Time now, StreamId stream,
                        std::vector<uint8_t>&& bytes, Part part);

  // ResetStreams makes outgoing streams start over (RFC 6525 section 5.1.2),
  // after all that is queued on them was delivered. StreamsReset{kOutgoing}
  // tells when the peer agreed; what is sent meanwhile belongs to the time
  // after. Streams that are being reset already are left alone.
  //   FAILED_PRECONDITION: the peer does not speak RFC 6525, not connected, or
  //     the association is being reset.
  absl::Status ResetStreams(absl::Time now, absl::Span<const StreamId> streams,
                            ResetTiming timing = ResetTiming::kSoon);
  // ResetAssociation makes all streams of both sides and the TSNs start over
  // (RFC 6525 section 5.1.4), after all that is queued was delivered; messages
  // that are open are waited for as well. AssociationReset tells when the peer
  // agreed; what is sent meanwhile belongs to the time after.
  //   FAILED_PRECONDITION: the peer does not speak RFC 6525, not connected, or
  //     a reset is under way.
  absl::Status ResetAssociation(absl::Time now);
  // AddStreams asks the peer for `outgoing` more streams to send on, and that
  // it add `incoming` ones of its own (RFC 6525 sections 5.1.5 and 5.1.6). What
  // there is afterwards StreamsAdded tells, for each direction that was asked
  // for. A peer that has agreed to send on more streams and then does not ask
  // for them leaves it at that, without an event.
  //   INVALID_ARGUMENT: both are 0, or there would be more than 65535.
  //   FAILED_PRECONDITION: the peer does not speak RFC 6525, not connected, or
  //     what was asked for before has not been answered.
  absl::Status AddStreams(absl::Time now, uint16_t outgoing, uint16_t incoming);
  // Ends the patience of a reset that was asked for as kPatient and has not
  // begun.
  void HurryReset(absl::Time now, StreamId stream);

  // Shutdown ends the association after everything queued was delivered, both
  // ways (RFC 9260 section 9.2). Closed{OK} follows.
  void Shutdown(absl::Time now);
  // Abort ends it at once with an ABORT chunk that carries `reason` (at most
  // 128 bytes of it, RFC 9260 section 9.1), and Closed{CANCELLED}.
  void Abort(absl::Time now, absl::string_view reason);
  // Close is Abort as a normal end: an ABORT without reason, and Closed{OK}.
  void Close(absl::Time now);

  // PathLost tells that nothing sent would arrive: timers that wait for the
  // peer stand still, so no silence is held against it. PathReady tells that
  // there is a path (again, or another one): what the peer has not answered
  // in time, or was cut off, is sent at once, and the path is probed. Without
  // these calls there always is a path.
  void PathLost(absl::Time now);
  // `max_mtu` replaces Options::max_mtu: what that path may carry.
  void PathReady(absl::Time now, std::optional<size_t> max_mtu = std::nullopt);

  // The five verbs of Engine. `out` must hold Options::mtu bytes.
  void HandlePacket(absl::Time now, Packet packet);
  void HandleTimeout(absl::Time now);
  std::optional<Packet> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const;

  // True if the peer should hear of the packet that was handled last, before
  // the next one is: a gap in its data was found or filled, or an eighth of
  // the window has arrived. A driver that hands packets over in batches asks
  // after each (RFC 9260 section 6.7; net/drive.h).
  bool transmit_urgent() const;

  // Whether the packet that PollTransmit returned last asks how much the path
  // carries: it is to be lost rather than fragmented.
  bool sent_probe() const;
  // How often the peer has restarted the association: ahead of the events
  // Restarted, which wait behind messages.
  uint64_t restarts() const;
  // True between Connected and the beginning of the end.
  bool is_connected() const;
  // Payload bytes of a stream that wait for their first transmission; what
  // RTCDataChannel.bufferedAmount counts.
  size_t buffered_amount(StreamId stream) const;
  // The threshold of BufferedAmountLow, 0 unless set. Forgotten at a reset.
  void SetBufferedAmountLowThreshold(StreamId stream, size_t bytes);
  // How the peer's messages of `stream` are handed over from now on: each as
  // one Message, unless set, or as MessageParts where not all of it is here at
  // once. Forgotten when the peer resets the stream.
  void SetDelivery(StreamId stream, Delivery delivery);
  // What the peer lets us send at most, once its limit is known from SDP.
  void SetMaxMessageOut(size_t bytes);

  Stats stats() const;
  // One line for people: state, TSNs, windows and armed timers.
  std::string DebugString() const;

 private:
  std::unique_ptr<internal::Core> core_;
};

static_assert(Engine<Association>);

}  // namespace kyuu::sctp

#endif  // KYUU_SCTP_ASSOCIATION_H_

// The inside of an association: its state, and one function per event. The
// procedures of RFC 9260 are in handshake.cc, receive.cc, data_transfer.cc,
// transmit.cc, shutdown.cc and timeouts.cc; core.cc has the commands.

#ifndef KYUU_SCTP_INTERNAL_CORE_H_
#define KYUU_SCTP_INTERNAL_CORE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/random.h"
#include "sctp/event.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/chunk/data_chunk.h"
#include "sctp/internal/chunk/error_chunk.h"
#include "sctp/internal/chunk/init_chunk.h"
#include "sctp/internal/chunk/packet.h"
#include "sctp/internal/event_queue.h"
#include "sctp/internal/inbox.h"
#include "sctp/internal/send_queue.h"
#include "sctp/internal/serial.h"
#include "sctp/internal/state_cookie.h"
#include "sctp/internal/states.h"
#include "sctp/internal/tcb.h"
#include "sctp/internal/timers.h"
#include "sctp/message.h"
#include "sctp/options.h"
#include "sctp/stats.h"

namespace kyuu::sctp::internal {

class Core {
 public:
  Core(const Options& options, Random& random);

  absl::Status Connect(absl::Time now);
  absl::Status ConnectWith(absl::Time now, Bytes local, Bytes remote);
  absl::Status Send(absl::Time now, Message&& message, const SendOptions& how);
  absl::Status BeginMessage(absl::Time now, StreamId stream, Ppid ppid,
                            std::optional<size_t> size, const SendOptions& how);
  absl::Status SendPart(absl::Time now, StreamId stream,
                        std::vector<uint8_t>&& bytes, Part part);
  absl::Status ResetStreams(absl::Time now, absl::Span<const StreamId> streams,
                            ResetTiming timing);
  absl::Status ResetAssociation(absl::Time now);
  absl::Status AddStreams(absl::Time now, uint16_t outgoing, uint16_t incoming);
  void HurryReset(absl::Time now, StreamId stream);
  void Shutdown(absl::Time now);
  void Abort(absl::Time now, absl::Status status, absl::string_view reason);
  void PathLost(absl::Time now);
  void PathReady(absl::Time now, std::optional<size_t> max_mtu);

  void HandlePacket(absl::Time now, Bytes packet);
  void HandleTimeout(absl::Time now);
  std::optional<Bytes> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const { return timers_.NextTimeout(); }
  bool transmit_urgent() const;
  bool is_connected() const;
  bool sent_probe() const { return sent_probe_; }
  uint64_t restarts() const { return stats_.restarts; }
  SendQueue& queue() { return queue_; }
  EventQueue& events() { return events_; }
  void SetMaxMessageOut(size_t bytes) { options_.max_message_out = bytes; }
  Stats stats() const;
  std::string DebugString() const;

 private:
  // A packet that is an answer, or the end: one chunk under a tag of its own.
  struct Reply {
    uint32_t tag = 0;
    ChunkType type = ChunkType::kAbort;
    uint8_t flags = 0;
    std::optional<ErrorCause> cause;
    std::string information;
    std::vector<uint8_t> control;  // Chunks in front of an ABORT.
  };
  // The INIT ACK to send next; the latest INIT wins.
  struct InitAckReply {
    InitChunk init;
    uint32_t tag = 0;
    std::array<uint8_t, StateCookie::kSize> cookie{};
    std::vector<uint8_t> unrecognized;  // At most Tcb::kMaxReport bytes.
  };
  enum class Payload : uint8_t { kNew, kLost };

  // core.cc
  absl::Time Clamp(absl::Time now);
  template <typename S>
  bool In() const {
    return std::holds_alternative<S>(state_);
  }
  bool is_ending() const;
  absl::Status MayAdd(StreamId stream) const;
  bool MakeRoom(StreamId stream, const SendOptions& how);
  void GiveUpMessage(StreamId stream);
  void GiveUpOpenMessages();
  const char* StateName() const;
  // Null before the INIT ACK and after the end.
  Tcb* FindTcb() { return std::get_if<Tcb>(&state_); }
  const Tcb* FindTcb() const { return std::get_if<Tcb>(&state_); }

  // timeouts.cc
  void HandleTimer(Timer timer);
  void HandleHandshakeTimer(Timer timer);
  void RepeatHandshake(Timer timer);
  void HandleTimer(Tcb& tcb, Timer timer);
  // Sends what `timer` waits for the answer to once more, and arms it again.
  void Repeat(Tcb& tcb, Timer timer);
  void RepeatData(Tcb& tcb);
  // Counts a timeout; false if it was one too many and the association ended,
  // and the control block with it.
  [[nodiscard]] bool CountTimeout(Tcb& tcb, Timer timer);
  // How long `timer` waits: the RTO, doubled for each time it expired.
  absl::Duration Timeout(Timer timer) const;
  void Arm(Timer timer) { timers_.Set(timer, now_ + Timeout(timer)); }
  void SendHeartbeat(Tcb& tcb);
  void ArmTailLoss(const Tcb& tcb);
  void ProbeTail(Tcb& tcb);
  void ArmPathMtu(const Tcb& tcb);

  // receive.cc
  ZeroChecksum zero_checksum() const;
  bool AcceptTag(const CommonHeader& header, const ChunkView& first);
  void HandleOutOfTheBlue(const CommonHeader& header, const ChunkView& first);
  // These return false if the rest of the packet is to be passed over, as
  // after the end, which takes the control block with it.
  bool HandleChunk(const ChunkView& chunk);
  bool HandleAssociationChunk(Tcb& tcb, const ChunkView& chunk);
  bool HandleUnknown(Tcb& tcb, const ChunkView& chunk);
  void HandleHeartbeat(Tcb& tcb, const ChunkView& chunk);
  void HandleHeartbeatAck(Tcb& tcb, const ChunkView& chunk);
  void HandleReconfig(Tcb& tcb, const ChunkView& chunk);
  ResetGround GroundOf(const Tcb& tcb) const;
  void ApplyReset(Tcb& tcb);
  void ReportError(Tcb& tcb, ErrorCause cause, Bytes information);

  // handshake.cc
  void HandleInit(const ChunkView& chunk);
  void HandleInitAck(const ChunkView& chunk);
  void HandleCookieEcho(const CommonHeader& header, const ChunkView& chunk);
  void HandleCookieAck(Tcb& tcb);
  void HandleStaleCookie(Tcb& tcb);
  CookieAction ClassifyCookie(const StateCookie& cookie) const;
  Tcb& MakeTcb(const StateCookie& terms, std::optional<OutstandingData> begun,
               Phase phase);
  std::optional<OutstandingData> TakeBegun();
  void Establish(Tcb& tcb, Afterwards afterwards);
  void Restart(Tcb& old, const StateCookie& cookie);

  // data_transfer.cc
  bool ExpectsData(Tcb& tcb, const DataChunk& chunk);
  void HandleData(Tcb& tcb, const ChunkView& chunk);
  void HandleSack(Tcb& tcb, const ChunkView& chunk);
  void HandleForwardTsn(Tcb& tcb, const ChunkView& chunk);
  // False if the outcome ended the association.
  [[nodiscard]] bool Accept(Inbox::Outcome outcome);
  void ApplySack(Tcb& tcb, const SackChunk& sack);
  void OnSpuriousTimeout(Tcb& tcb);
  void JudgeTailProbe(Tcb& tcb, const SackChunk& sack);
  void TailWasLost(Tcb& tcb);
  void OnLossJudged(Tcb& tcb, size_t bytes);
  void AfterPacket(Tcb& tcb);
  size_t held_bytes(const Tcb& tcb) const;
  size_t a_rwnd(const Tcb& tcb) const;

  // transmit.cc
  bool WriteReply(Writer& writer);
  bool WriteInit(Writer& writer);
  size_t ProbeDue(size_t space) const;
  void WriteProbe(Tcb& tcb, Writer& writer);
  void WriteChunks(Tcb& tcb, Writer& writer);
  void WriteControl(Tcb& tcb, Writer& writer);
  void WriteSack(Tcb& tcb, Writer& writer);
  std::vector<uint8_t> LastControl(Tcb& tcb);
  void WriteReport(Tcb& tcb, Writer& writer);
  void WriteGrant(Tcb& tcb, Writer& writer);
  void WriteForwardTsn(Tcb& tcb, Writer& writer);
  void WriteReconfig(Tcb& tcb, Writer& writer);
  void WriteHeartbeat(Tcb& tcb, Writer& writer);
  void WriteData(Tcb& tcb, Writer& writer);
  bool WriteLost(Tcb& tcb, Writer& writer, size_t& last_chunk);
  void WriteNew(Tcb& tcb, Writer& writer, size_t& last_chunk);
  // Alone say whether the phase, the windows and the pace allow `size` bytes.
  bool MayTransmit(const Tcb& tcb, Payload payload, size_t size) const;
  bool WindowAllows(const Tcb& tcb, Payload payload, size_t size) const;
  bool HasSendableData(const Tcb& tcb) const;
  void OnSent(Tcb& tcb, size_t size, SentSample::Before before);
  void ArmT3(const Tcb& tcb);
  size_t NextFragment(const OutMessage& message, size_t header,
                      size_t space) const;

  // shutdown.cc
  void HandleShutdown(Tcb& tcb, const ChunkView& chunk);
  void HandleShutdownAck(const Tcb& tcb);
  void HandleShutdownComplete(const Tcb& tcb);
  void HandleAbort(const ChunkView& chunk);
  void HandleError(Tcb& tcb, const ChunkView& chunk);
  void AdvanceShutdown(Tcb& tcb);
  void AbortWith(absl::Status status, ErrorCause cause,
                 absl::string_view information);
  void End(absl::Status status);

  Options options_;
  Random& random_;
  size_t mtu_;
  size_t max_mtu_;
  bool sent_probe_ = false;  // By PollTransmit, last.
  CookieKey cookie_key_;
  // Added to the time in a cookie, which goes over the wire in clear: our clock
  // tells how long the machine is up, and whose other associations these are.
  absl::Duration cookie_shift_;
  absl::Time now_ = absl::InfinitePast();
  Timers timers_;
  Stats stats_;
  EventQueue events_;
  SendQueue queue_;

  // The same in our INIT and in an INIT ACK that was sent before Connect, so
  // that the one does not devalue the other.
  uint32_t local_tag_ = 0;
  Tsn local_initial_tsn_;
  // An INIT has left that says so, and a peer may act upon it (RFC 9653).
  ZeroChecksum zero_checksum_ = ZeroChecksum::kRefused;

  std::optional<Reply> reply_;
  std::optional<InitAckReply> init_ack_;

  std::variant<state::Closed, state::CookieWait, Tcb, state::Ended> state_;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_CORE_H_

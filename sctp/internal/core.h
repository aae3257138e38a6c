// The inside of an association: its state, and one function per event. The
// procedures of RFC 9260 are in handshake.cc, receive.cc, data_transfer.cc,
// transmit.cc, shutdown.cc and timeouts.cc; core.cc has the commands.

#ifndef KYUU_SCTP_INTERNAL_CORE_H_
#define KYUU_SCTP_INTERNAL_CORE_H_

#include <array>
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
#include "base/bytes.h"
#include "base/random.h"
#include "sctp/event.h"
#include "sctp/internal/chunk/chunk.h"
#include "sctp/internal/chunk/error_chunk.h"
#include "sctp/internal/chunk/init_chunk.h"
#include "sctp/internal/chunk/packet.h"
#include "sctp/internal/event_queue.h"
#include "sctp/internal/reassembly.h"
#include "sctp/internal/send_queue.h"
#include "sctp/internal/serial.h"
#include "sctp/internal/state_cookie.h"
#include "sctp/internal/tcb.h"
#include "sctp/internal/timers.h"
#include "sctp/message.h"
#include "sctp/options.h"
#include "sctp/stats.h"

namespace kyuu::sctp::internal {

// The states of RFC 9260 section 4, with CLOSED told apart by what was before.
enum class State : uint8_t {
  kClosed,  // Nothing has happened; a peer's handshake is answered.
  kCookieWait,
  kCookieEchoed,
  kEstablished,
  kShutdownPending,
  kShutdownSent,
  kShutdownReceived,
  kShutdownAckSent,
  kEnded,  // For good; Closed is the last event.
};

// What a COOKIE ECHO means beside the association that is there already
// (RFC 9260 section 5.2.4, table 12).
enum class CookieAction : uint8_t {
  kEstablish,  // There is none: the ordinary handshake.
  kRestart,    // A: the peer began anew.
  kCollision,  // B: both sides sent an INIT.
  kDuplicate,  // D: it was sent twice, or crossed ours.
  kDiscard,    // C, and everything else.
};

class Core {
 public:
  Core(const Options& options, Random& random);

  absl::Status Connect(absl::Time now);
  absl::Status Send(absl::Time now, Message&& message, const SendOptions& how);
  absl::Status ResetStreams(absl::Time now, absl::Span<const StreamId> streams);
  void Shutdown(absl::Time now);
  void Abort(absl::Time now, absl::Status status, absl::string_view reason);
  void PathLost(absl::Time now);
  void PathReady(absl::Time now);

  void HandlePacket(absl::Time now, Bytes packet);
  void HandleTimeout(absl::Time now);
  std::optional<Bytes> PollTransmit(absl::Time now, absl::Span<uint8_t> out);
  std::optional<Event> PollEvent();
  absl::Time NextTimeout() const { return timers_.NextTimeout(); }

  bool transmit_urgent() const;
  State state() const { return state_; }
  uint64_t restarts() const { return stats_.restarts; }
  SendQueue& queue() { return queue_; }
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
    std::vector<uint8_t> unrecognized;  // At most kMaxReport bytes.
  };
  // The HEARTBEAT that waits for its answer.
  struct Heartbeat {
    uint64_t nonce = 0;
    absl::Time sent;
    bool send = true;
  };
  static constexpr size_t kMaxReport = 128;
  // An ERROR about what the peer has sent, at most kMaxReport bytes of it. One
  // for each packet that we send: the latest.
  struct Report {
    ErrorCause cause;
    std::vector<uint8_t> information;
  };

  // core.cc
  absl::Time Clamp(absl::Time now);

  // timeouts.cc
  void HandleTimer(Timer timer);
  // Sends what `timer` waits for the answer to once more, and arms it again.
  void Repeat(Timer timer);
  void RepeatData();
  // Counts a timeout; false if it was one too many and the association ended.
  bool CountTimeout(Timer timer);
  // The peer has answered something, so it lives (RFC 9260 section 8.1).
  void PeerAnswered();
  // How long `timer` waits: the RTO, doubled for each time it expired.
  absl::Duration Timeout(Timer timer) const;
  void Arm(Timer timer) { timers_.Set(timer, now_ + Timeout(timer)); }
  void SendHeartbeat();

  // receive.cc
  bool AcceptTag(const CommonHeader& header, const ChunkView& first);
  void HandleOutOfTheBlue(const CommonHeader& header, const ChunkView& first);
  // These return false if the rest of the packet is to be passed over.
  bool HandleChunk(const ChunkView& chunk);
  bool HandleAssociationChunk(const ChunkView& chunk);
  bool HandleUnknown(const ChunkView& chunk);
  void HandleHeartbeat(const ChunkView& chunk);
  void HandleHeartbeatAck(const ChunkView& chunk);
  void HandleReconfig(const ChunkView& chunk);
  void ReportError(ErrorCause cause, Bytes information);

  // handshake.cc
  void HandleInit(const ChunkView& chunk);
  void HandleInitAck(const ChunkView& chunk);
  void HandleCookieEcho(const CommonHeader& header, const ChunkView& chunk);
  void HandleCookieAck();
  void HandleStaleCookie();
  CookieAction ClassifyCookie(const StateCookie& cookie) const;
  void MakeTcb(const StateCookie& terms);
  void Establish();
  Connected Terms() const;
  void Restart(const StateCookie& cookie);
  InitChunk OwnInit(ChunkType type, uint32_t tag, Tsn initial_tsn) const;

  // data_transfer.cc
  void HandleData(const ChunkView& chunk);
  void HandleSack(const ChunkView& chunk);
  void HandleForwardTsn(const ChunkView& chunk);
  void HandleViolation(Reassembly::Outcome outcome);
  void ApplySack(const SackChunk& sack);
  void OnLossJudged(bool found);
  void AfterPacket();
  size_t a_rwnd() const;

  // transmit.cc
  bool WriteReply(Writer& writer);
  bool WriteInit(Writer& writer);
  void WriteChunks(Writer& writer);
  void WriteControl(Writer& writer);
  void WriteSack(Writer& writer);
  std::vector<uint8_t> LastControl();
  void WriteReport(Writer& writer);
  void WriteForwardTsn(Writer& writer);
  void WriteReconfig(Writer& writer);
  void WriteHeartbeat(Writer& writer);
  void WriteData(Writer& writer);
  bool WriteLost(Writer& writer, size_t& last_chunk);
  void WriteNew(Writer& writer, size_t& last_chunk);
  bool MaySendData() const;
  bool HasSendableData() const;
  size_t NextFragment(const OutMessage& message, size_t space) const;

  // shutdown.cc
  void HandleShutdown(const ChunkView& chunk);
  void HandleShutdownAck();
  void HandleShutdownComplete();
  void HandleAbort(const ChunkView& chunk);
  void HandleError(const ChunkView& chunk);
  void AdvanceShutdown();
  void AbortWith(absl::Status status, ErrorCause cause,
                 absl::string_view information);
  void End(absl::Status status);

  Options options_;
  Random& random_;
  size_t mtu_;
  CookieKey cookie_key_;
  // Added to the time in a cookie, which goes over the wire in clear: our clock
  // tells how long the machine is up, and whose other associations these are.
  absl::Duration cookie_shift_;
  absl::Time now_ = absl::InfinitePast();
  State state_ = State::kClosed;
  Timers timers_;
  Stats stats_;
  EventQueue events_;
  SendQueue queue_;

  // Our side of the handshake. The same in our INIT and in an INIT ACK that
  // was sent before Connect, so that the one does not devalue the other.
  uint32_t local_tag_ = 0;
  Tsn local_initial_tsn_;
  int stale_cookies_ = 0;
  std::vector<uint8_t> cookie_;  // To echo, in COOKIE-ECHOED.
  std::unique_ptr<Tcb> tcb_;
  int error_count_ = 0;
  absl::Time next_error_ = absl::InfinitePast();  // None counts before it.
  bool shutdown_wanted_ = false;
  absl::Time last_heard_ = absl::InfinitePast();
  bool packet_had_data_ = false;

  // What is to be sent.
  std::optional<Reply> reply_;
  std::optional<InitAckReply> init_ack_;
  bool send_init_ = false;
  bool send_cookie_echo_ = false;
  bool send_cookie_ack_ = false;
  bool send_shutdown_ = false;
  bool send_shutdown_ack_ = false;
  std::optional<std::vector<uint8_t>> heartbeat_ack_;
  std::optional<Heartbeat> heartbeat_;
  std::optional<Report> report_;
};

}  // namespace kyuu::sctp::internal

#endif  // KYUU_SCTP_INTERNAL_CORE_H_

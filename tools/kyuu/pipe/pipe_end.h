// One end of `kyuu pipe`: what may be sent, what is known to have arrived, and
// how it ends (docs/application_protocol.md, "A pipe").

#ifndef KYUU_TOOLS_KYUU_PIPE_PIPE_END_H_
#define KYUU_TOOLS_KYUU_PIPE_PIPE_END_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "nlohmann/json.hpp"

namespace kyuu::tools {

// Who offers the pipe: the caller.
enum class PipeRole : uint8_t { kOffers, kAnswers };

// PipeEnd counts the bytes of both directions and has no I/O: the bytes
// themselves go past it. Each direction ends by itself; the pipe is over when
// both have, or when one cannot go on.
class PipeEnd {
 public:
  // What we take ahead of who reads from us: 40 MB/s at 100 ms.
  static constexpr uint64_t kWindowBytes = uint64_t{4} << 20;
  // A peer that takes less ahead could not take a message.
  static constexpr uint64_t kWindowBytesMin = 65536;
  static constexpr size_t kChunkBytesMax = 65536;
  // The reader's side tells what it has taken each time it is so much more.
  static constexpr uint64_t kReportBytes = kWindowBytes / 8;
  // The largest count that a peer may name.
  static constexpr uint64_t kBytesMax = (uint64_t{1} << 53) - 1;
  // How long the offer, its answer, and the channel may take.
  static constexpr absl::Duration kStartMax = absl::Seconds(10);

  // The two can speak since `now`.
  PipeEnd(absl::Time now, PipeRole role);

  // --- What comes from the peer. ---
  // A control message whose type begins with "pipe-".
  void HandleControl(const nlohmann::json& message);
  // The channel can carry messages.
  void HandleOpen();
  // A message on it: `size` bytes, which are for our output if this is true.
  bool HandleData(size_t size);
  // The text behind the last of them.
  void HandleEnd(absl::string_view text);

  // --- What becomes of our output and input. ---
  void HandleWritten(uint64_t bytes);
  // All was written, behind the peer's end, and the output is closed.
  void HandleOutputClosed();
  // What cannot be done any more: the peer is told `reason`, a word of the
  // document; outcome() is `status`.
  void Fail(const std::string& reason, absl::Status status);

  // --- What goes to the peer. ---
  std::optional<nlohmann::json> PollControl();
  // Whether the channel is to be opened by us; once.
  bool TakeOpening();
  // Bytes that may be sent at the moment.
  size_t room() const;
  void HandleSent(size_t bytes) { sent_ += bytes; }
  // Our input has ended: the text to send behind what was sent.
  std::string End();

  void HandleTimeout(absl::Time now);
  absl::Time NextTimeout() const;

  // Nothing until the pipe is over. OK: both directions have ended, and the
  // peer has all of ours; what PollControl still has must be sent first.
  const std::optional<absl::Status>& outcome() const { return outcome_; }
  // What the peer has said as its end; all before it was handed over.
  bool peer_ended() const { return peer_ended_; }
  uint64_t sent() const { return sent_; }
  uint64_t taken() const { return taken_; }  // Of those, by the peer's reader.
  uint64_t received() const { return received_; }
  uint64_t written() const { return written_; }

 private:
  enum class Stage : uint8_t { kOffer, kOpening, kOpen };

  void OnStart(const nlohmann::json& message);
  void OnTaken(const nlohmann::json& message);
  void OnFailed(const nlohmann::json& message);
  void BreakOff(const std::string& what);
  void Review();

  const PipeRole role_;
  Stage stage_ = Stage::kOffer;
  absl::Time deadline_;
  bool opening_ = false;
  uint64_t peer_window_ = 0;

  uint64_t sent_ = 0;
  uint64_t taken_ = 0;
  bool ended_ = false;
  bool end_taken_ = false;
  uint64_t received_ = 0;
  uint64_t written_ = 0;
  uint64_t reported_ = 0;
  bool peer_ended_ = false;
  bool output_closed_ = false;
  std::deque<nlohmann::json> control_;
  std::optional<absl::Status> outcome_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_PIPE_PIPE_END_H_

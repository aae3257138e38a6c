// How two prove a code to each other over a data channel, and that nobody sits
// in the middle of it (docs/application_protocol.md, "Codes").
//
//   sender                                receiver
//     | code-start: session, share            |
//     |-------------------------------------->|
//     |     code-answer: share, tag, channel  |
//     |<--------------------------------------|  one guess, which the sender
//     | code-confirm: tag, channel            |  sees before it says anything
//     |-------------------------------------->|
//
// The tags prove the words (CPace). The MACs named "channel" are over the
// fingerprints of both certificates of the connection, as each side sees them.

#ifndef KYUU_TOOLS_KYUU_CODE_CODE_EXCHANGE_H_
#define KYUU_TOOLS_KYUU_CODE_CODE_EXCHANGE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "dtls/fingerprint.h"
#include "nlohmann/json.hpp"
#include "tools/kyuu/code/code.h"
#include "tools/kyuu/code/cpace.h"

namespace kyuu::tools {

// Who has made the code and sends files, and who has typed it. The sender is
// CPace's initiator: so nothing that it says can be tried on guesses before the
// other one has made its own.
enum class CodeRole : uint8_t { kSender, kReceiver };

// How an exchange ends.
enum class CodeOutcome : uint8_t {
  kProven,  // Both have the code, and the connection is between the two.
  kWrong,   // The other side has other words: that was its one guess.
  kMiddle,  // It has the words, but somebody sits in the middle.
  kBroken,  // What came is not of this protocol; no guess was made.
  kSilent,  // Nothing came in time.
};

// A connection as one side sees it: SHA-256 of the certificates that were
// shown.
struct CodeChannel {
  dtls::Fingerprint own;
  dtls::Fingerprint peer;
};

// CodeExchange is one side of one attempt. It has no I/O: messages of the peer
// and the time go in, messages for it come out of PollMessage.
class CodeExchange {
 public:
  // How long an attempt may take: a few round trips of the slowest network.
  static constexpr absl::Duration kTimeMax = absl::Seconds(20);
  static constexpr size_t kSessionBytes = 16;

  // The channel is open at `now`. `random` must outlive the exchange.
  CodeExchange(absl::Time now, CodeRole role, const Code& code,
               const CodeChannel& channel, Random& random);

  // Whether `type` is that of a message for HandleMessage.
  static bool IsType(absl::string_view type);

  // Takes a message of a type of these. Behind the outcome it does nothing.
  void HandleMessage(const nlohmann::json& message);
  // Early calls do nothing.
  void HandleTimeout(absl::Time now);
  absl::Time NextTimeout() const {
    return outcome_ ? absl::InfiniteFuture() : deadline_;
  }
  // The next message for the other side. The last one may come with the
  // outcome.
  std::optional<nlohmann::json> PollMessage();
  std::optional<CodeOutcome> outcome() const { return outcome_; }

 private:
  void Begin(absl::string_view session);
  void HandleStart(const nlohmann::json& message);
  void HandleAnswer(const nlohmann::json& message);
  void HandleConfirm(const nlohmann::json& message);
  // Whether the MAC named "channel" of `message` is over what we see.
  bool SeesTheSame(const nlohmann::json& message) const;
  // What a side of `role` says of the channel.
  std::string ChannelText(CodeRole role) const;

  const CodeRole role_;
  const Code code_;
  const CodeChannel channel_;
  Random& random_;
  const absl::Time deadline_;
  std::optional<Cpace> cpace_;
  std::optional<nlohmann::json> message_;
  std::optional<CodeOutcome> outcome_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_CODE_CODE_EXCHANGE_H_

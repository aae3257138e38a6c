// A call with another peer: chat and files over a peer connection, by
// docs/application_protocol.md.

#ifndef KYUU_TOOLS_KYUU_CALL_H_
#define KYUU_TOOLS_KYUU_CALL_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "dtls/certificate.h"
#include "dtls/fingerprint.h"
#include "net/loop.h"
#include "nlohmann/json.hpp"
#include "peer/loop_connection.h"
#include "tools/kyuu/call_event.h"
#include "tools/kyuu/call_file.h"
#include "tools/kyuu/code/code.h"
#include "tools/kyuu/code/code_exchange.h"
#include "tools/kyuu/code/short_number.h"
#include "tools/kyuu/datagram_size.h"

namespace kyuu::tools {

// Who made the call: the caller opens the control channel and makes the first
// offer, and is the impolite side of perfect negotiation.
enum class CallRole : uint8_t { kCaller, kCallee };

// Call lives on one loop and tells what happens by CallEvent. After CallOver it
// does nothing more.
class Call {
 public:
  using Handler = absl::AnyInvocable<void(CallEvent)>;

  // Limits of docs/application_protocol.md.
  static constexpr size_t kControlBytesMax = 16384;
  static constexpr size_t kChatBytesMax = 8192;
  static constexpr size_t kOffersMax = 64;
  // Files of the peer in one call; more are "busy", which ends at the next.
  static constexpr size_t kFileIdsMax = size_t{1} << 16;
  // Files of ours that the peer has heard of and that are not through. Below
  // kOffersMax, which older peers count so; the others wait here.
  static constexpr size_t kOfferWindow = 16;
  // A peer that is "busy" is asked again after this, and for so long.
  static constexpr absl::Duration kBusyPause = absl::Seconds(1);
  static constexpr absl::Duration kBusyMax = absl::Minutes(5);
  // Bytes queued on a file's channel before more is read from disk.
  static constexpr size_t kQueueBytes = size_t{1} << 20;
  // Bytes hashed in one turn of the loop: some milliseconds.
  static constexpr size_t kCheckBytes = size_t{4} << 20;
  // How long a way that was lost may take to be mended by ICE restarts.
  static constexpr absl::Duration kMendMax = absl::Minutes(1);
  // How long the last word about a code may take to arrive.
  static constexpr absl::Duration kLastWordMax = absl::Seconds(2);

  // `name` is ours. `loop` and `random` must outlive the call. The handler
  // must not destroy the call.
  static absl::StatusOr<std::unique_ptr<Call>> Create(
      net::Loop& loop, const dtls::Certificate& certificate,
      const peer::LoopConnectionOptions& options, Random& random,
      std::string name, CallRole role, Handler handler);

  // Before anything else is said the two prove `code` to each other: CodeEnded
  // comes before Connected, or in place of it. To be called before the first
  // description.
  void RequireCode(CodeRole role, const Code& code) {
    required_.emplace(RequiredCode{role, code});
  }
  // Makes the first offer; the caller only.
  absl::Status Start();
  // Other STUN and TURN servers, or new credentials for them; the next ICE
  // restart asks them.
  void UseServers(const peer::Options& servers);
  // Signaling works again, and what was under way by it is lost: the caller
  // restarts ICE if there is need for it, as with a relay of that server.
  void HandleSignalingBack();
  // What came by signaling.
  void HandleDescription(signaling::SignalKind kind, const std::string& sdp);
  void HandleCandidate(const signaling::CandidateInit& candidate);

  bool connected() const { return connected_; }
  // "123 456", which the two people may compare; nullopt if the other side's
  // program has not said its part.
  std::optional<std::string> number() const {
    return number_ ? number_->number() : std::nullopt;
  }
  // Packets of the peer's SCTP so far: who is there answers a Probe by one,
  // while a server may go on sending datagrams for who is not.
  uint64_t heard() const;
  void Probe();
  // FAILED_PRECONDITION before Connected; INVALID_ARGUMENT if too long.
  absl::Status SendChat(absl::string_view text);
  // Offers files, at most kOfferWindow at once and the others as those are
  // through; several are a batch, for one answer. Errors are those of
  // FileSender::Open, before anything is offered; one that shows later comes
  // as FileFinished.
  absl::Status OfferFiles(const std::vector<std::string>& paths);
  // NOT_FOUND: no such offer. What FileReceiver::Create says; the peer is told.
  absl::Status AcceptFile(const std::string& id, const std::string& folder,
                          IfExists if_exists);
  // `reason` is a word of docs/application_protocol.md.
  void RejectFile(const std::string& id, const std::string& reason);
  // Files of either direction that are not through.
  bool has_files() const {
    return !sending_.empty() || !waiting_.empty() || !receiving_.empty();
  }
  // What a call carries besides (call_aside.cc): channels of other labels, and
  // control messages of a pipe, are told by Aside, as is the peer's hello,
  // before which it takes no channels; what comes on a channel of the peer only
  // once that is taken. Errors are those of peer::Connection, and a payload is
  // moved from only on success; Flush() sends what was given.
  absl::StatusOr<peer::ChannelId> OpenAside(const peer::ChannelConfig& config);
  void TakeAside(peer::ChannelId channel);
  absl::Status SendAside(peer::ChannelId channel, peer::PayloadType type,
                         std::vector<uint8_t>&& payload);
  size_t AsideBuffered(peer::ChannelId channel) const;
  void SayAside(const nlohmann::json& message) { SendControl(message); }
  void Flush() { connection_->Flush(); }
  peer::ConnectionStats stats() const { return connection_->engine().stats(); }
  // Says goodbye and ends the connection; CallOver follows.
  void HangUp();
  // Ends at once, without a word: the peer is known to be gone. CallOver with
  // `status` follows unless the call is over already.
  void End(absl::Status status) { Over(std::move(status)); }

 private:
  using Waiting = WaitingFile;
  using Sending = SendingFile;
  using Receiving = ReceivingFile;

  Call(net::Loop& loop, const dtls::Certificate& certificate, Random& random,
       std::string name, CallRole role, Handler handler);

  peer::Connection& engine() { return connection_->engine(); }
  void Emit(CallEvent event) {
    if (handler_) handler_(std::move(event));
  }

  // call.cc: the connection.
  void OnEvent(peer::ConnectionEvent event);
  void OnWritable();
  void OnOpened(peer::ChannelId id);
  void OnIncoming(const sctp::ChannelIncoming& incoming);
  void OnMessage(sctp::ChannelMessage& message);
  void OnClosed(const sctp::ChannelClosed& closed);
  void UseControl(peer::ChannelId id);
  void BeginTalk();
  void OnState(peer::ConnectionState state);
  absl::Status Answer();
  absl::Status RestartIce();
  void SendControl(const nlohmann::json& message);
  void UseDatagramSize() {
    engine().SetMaxDatagramBytes(net::Loop::Now(), datagram_size_.bytes());
  }
  void Over(absl::Status status);

  // call_code.cc: who the other side is.
  void BeginCode();
  void OnCodeMessage(absl::string_view text);
  void FlushCode();
  void BeginNumber();
  void OnNumberMessage(const nlohmann::json& message);
  dtls::Fingerprint PeerFingerprint();

  // call_files.cc: messages about files, and files.
  void OnControl(absl::string_view text);
  void OnFileOffer(const nlohmann::json& message);
  void OnFileAnswer(const std::string& type, const std::string& id,
                    const nlohmann::json& message);
  void OnRejected(const std::string& id, const std::string& reason);
  void OfferMore();
  void OpenFileChannel(Sending& sending);
  void PumpFiles();
  void Pump(const std::string& id, Sending& sending);
  void OnFileMessage(const std::string& id, Receiving& receiving,
                     sctp::ChannelMessage& message);
  void Report(const std::string& id, Receiving& receiving);
  void FinishSending(const std::string& id, absl::Status status);
  void FinishReceiving(const std::string& id, std::string path,
                       absl::Status status);
  void FailFiles(const absl::Status& status);

  // call_resume.cc: files of which something is there already; each is hashed
  // before it goes on.
  void CheckFiles();
  void SendAccept(const std::string& id, Receiving& receiving);
  void OnFileAccept(Sending& sending, const nlohmann::json& message);
  bool StartSending(const std::string& id, Sending& sending);
  void BeginReceiving(const std::string& id, Receiving& receiving,
                      const sctp::ChannelMessage& message);

  struct RequiredCode {
    CodeRole role;
    Code code;
  };

  Random& random_;
  const std::string name_;
  const dtls::Fingerprint fingerprint_;  // Ours.
  const CallRole role_;
  Handler handler_;
  std::unique_ptr<peer::LoopConnection> connection_;
  std::optional<peer::ChannelId> control_;
  bool connected_ = false;
  bool relayed_ = false;  // The way goes through a relay.
  bool mending_ = false;  // It was lost.
  DatagramSize datagram_size_;
  // Ends a call whose way was lost, at the end of kMendMax.
  net::Alarm mend_alarm_;
  bool goodbye_ = false;  // Either side said "bye".
  bool over_ = false;

  std::optional<RequiredCode> required_;
  std::optional<CodeExchange> exchange_;  // Until it has proven the code.
  // What the call ends with when the last word about the code has arrived.
  std::optional<absl::Status> verdict_;
  net::Alarm code_alarm_;
  std::optional<ShortNumber> number_;

  std::set<peer::ChannelId> aside_;            // Told by Aside.
  std::map<std::string, FileOffered> offers_;  // Of the peer, unanswered.
  std::set<std::string> used_ids_;             // Of the peer.
  std::deque<Waiting> waiting_;
  absl::Time busy_until_ = absl::InfiniteFuture();  // Set by the first "busy".
  net::Alarm offer_alarm_;
  net::Alarm check_alarm_;
  std::map<std::string, Sending> sending_;
  std::map<std::string, Receiving> receiving_;
  uint64_t next_file_ = 1;
  uint64_t next_batch_ = 1;
  // Why files that are not through will have failed.
  absl::Status unfinished_;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_CALL_H_

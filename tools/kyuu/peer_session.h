// The state of one `kyuu peer`, shared by its source files: signaling and
// events (peer_command.cc), messages and the result (peer_traffic.cc), and what
// stdin says of single channels (peer_script.cc).

#ifndef KYUU_TOOLS_KYUU_PEER_SESSION_H_
#define KYUU_TOOLS_KYUU_PEER_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/queue.h"
#include "base/system_random.h"
#include "net/loop.h"
#include "nlohmann/json.hpp"
#include "peer/loop_connection.h"
#include "peer/stats_report.h"
#include "tools/kyuu/peer_command.h"
#include "tools/kyuu/printable.h"

namespace kyuu::tools {

// PeerSession is one run of `kyuu peer`: the connection, stdin and the counts.
class PeerSession {
 public:
  explicit PeerSession(const PeerOptions& options)
      : options_(options), size_(options.size.value_or(64)) {}

  // The exit status, or why it could not even start.
  absl::StatusOr<int> Run();

 private:
  // A message that stdin asked for: of the pattern, or this text.
  struct Scripted {
    PatternKind kind = PatternKind::kBinary;
    size_t size = 0;
    std::optional<std::string> said;
  };
  struct Channel {
    uint64_t sent = 0;
    uint64_t received = 0;
    absl::Time next_send = absl::InfinitePast();
    bool closing = false;  // By either side.
    bool closed = false;
    Queue<Scripted> script;          // What is still to be sent of it.
    bool close_behind = false;       // Once that is sent.
    peer::DataChannelReport report;  // What does not change of it.
  };
  // How far this end is with ending.
  enum class Ending : uint8_t {
    kNot,
    kWaiting,   // For the peer, which has closed all channels.
    kChannels,  // Everything is said: ours close.
    kEnding,    // The connection ends here.
  };
  // An echo that did not fit into the send buffer.
  struct Echo {
    peer::ChannelId channel;
    peer::PayloadType type;
    std::vector<uint8_t> payload;
  };

  peer::Connection& engine() { return connection_->engine(); }
  static absl::Time Now() { return net::Loop::Now(); }

  // Signaling.
  void OnLine(std::optional<std::string> line);
  void OnMessage(const nlohmann::json& message);
  bool Collides(peer::SdpType type);
  void OnCommand(const std::string& type, const nlohmann::json& message);
  void Start();
  absl::Status CreateChannels();
  absl::Status Describe(peer::SdpType type,
                        peer::IceRestart restart = peer::IceRestart::kNo);
  void WriteStats();
  void WriteWhenGathered();
  void WriteDescription(peer::SdpType type, const std::string& sdp);

  // Events.
  void OnEvent(peer::ConnectionEvent event);
  void OnChannelEvent(peer::ConnectionEvent& event);
  void OnChannel(peer::ChannelId id, uint16_t stream,
                 const peer::ChannelConfig& config, bool incoming);
  void OnData(peer::ChannelId id, peer::PayloadType type,
              std::vector<uint8_t> payload);

  // Single channels. A label means the newest channel that has it.
  absl::Status OpenScripted(const nlohmann::json& message);
  absl::Status SendScripted(const nlohmann::json& message);
  absl::Status CloseScripted(const std::string& label);
  std::optional<peer::ChannelId> FindOpen(const std::string& label) const;
  void PumpScript(peer::ChannelId id, Channel& channel);
  void WriteMessage(peer::ChannelId id, peer::PayloadType type, uint64_t index,
                    absl::Span<const uint8_t> payload);

  // Data.
  void Pump();
  void PumpChannel(peer::ChannelId id, Channel& channel);
  void PumpEchoes();
  bool IsDone() const;
  void OnChannelClosed(peer::ChannelId id);
  void CloseChannels();
  void KeepStats();
  bool AllClosed() const;
  void End();
  void OnEndingAlarm();
  void EndConnection();
  void Close();
  void Finish(const absl::Status& status);
  nlohmann::json Result(bool ok);
  // {"what":"use","local":{...},"remote":{...},"reason":"..."}
  static nlohmann::json DecisionLine(const peer::Decision& decision);

  // Writes one line, in ASCII: labels are the other side's.
  static void Write(const nlohmann::json& line) {
    const std::string text =
        line.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    std::printf("%s\n", text.c_str());
    std::fflush(stdout);
  }
  void Complain(const absl::Status& status) {
    if (status.ok()) return;
    std::fprintf(stderr, "kyuu peer: %s\n",
                 PrintableLine(status.message()).c_str());
  }
  void Fail(const absl::Status& status) {
    Complain(status);
    damaged_ = true;
    Close();
  }

  static constexpr size_t kDecisionsMax = 64;  // That statistics have.
  // What may wait in a channel's send queue before the next message is made.
  static constexpr size_t kQueueBytes = size_t{1} << 20;

  const PeerOptions options_;
  const size_t size_;
  SystemRandom random_;
  std::unique_ptr<net::Loop> loop_;
  std::unique_ptr<peer::LoopConnection> connection_;
  std::unique_ptr<net::Alarm> pump_alarm_;
  std::unique_ptr<net::Alarm> ending_alarm_;

  bool started_here_ = false;  // What is ours may begin.
  bool described_ = false;     // The peer's description was applied.
  std::optional<peer::SdpType> waiting_description_;  // For all candidates.
  std::map<peer::ChannelId, Channel> channels_;
  std::map<peer::ChannelId, peer::ChannelConfig> configs_;  // Of all channels.
  std::vector<Echo> echoes_;
  uint64_t sent_ = 0, scripted_ = 0, echoed_ = 0, received_ = 0, bytes_ = 0,
           opened_ = 0;
  uint64_t bytes_sent_ = 0;
  bool damaged_ = false;
  Ending ending_ = Ending::kNot;
  bool commanded_close_ = false;  // Of the channels, by us.
  bool finished_ = false;
  bool interrupted_ = false;

  absl::Time started_ = absl::InfiniteFuture();
  absl::Time connected_ = absl::InfinitePast();
  absl::Time first_open_ = absl::InfinitePast();
  absl::Time first_data_ = absl::InfiniteFuture();
  absl::Time last_data_ = absl::InfinitePast();
  absl::Time first_send_ = absl::InfiniteFuture();
  absl::Time all_sent_ = absl::InfinitePast();  // Nothing was queued any more.
  std::optional<peer::SelectedPathChanged> path_;
  peer::ConnectionStats stats_;  // As the ending began.
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_PEER_SESSION_H_

#include "tools/kyuu/echo_command.h"

#include <csignal>
#include <cstddef>
#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "base/counters.h"
#include "base/status_macros.h"
#include "base/system_random.h"
#include "dtls/certificate.h"
#include "net/loop.h"
#include "nlohmann/json.hpp"
#include "peer/loop_connection.h"
#include "peer/shared_port.h"
#include "tools/kyuu/lines.h"
#include "tools/kyuu/overload.h"
#include "tools/kyuu/printable.h"

namespace kyuu::tools {
namespace {

using nlohmann::json;

// What may wait for a peer that sends and does not read: the largest send
// buffer once more. One that goes on is hung up on.
constexpr size_t kEchoBytesMax = 16 << 20;

class EchoSession {
 public:
  explicit EchoSession(const EchoOptions& options) : options_(options) {}

  absl::Status Run();

 private:
  struct Echo {
    peer::ChannelId channel;
    peer::PayloadType type;
    std::vector<uint8_t> payload;
  };
  struct Caller {
    std::unique_ptr<peer::LoopConnection> connection;
    std::deque<Echo> echoes;  // That did not fit into the send buffer.
    size_t echo_bytes = 0;
  };

  void OnLine(const std::string& line);
  absl::Status OnMessage(const std::string& id, const json& message);
  absl::Status Answer(const std::string& id, const std::string& offer);
  void OnEvent(const std::string& id, peer::ConnectionEvent event);
  void Pump(Caller& caller);
  void WriteStats();

  static std::string Text(const json& message, const char* key) {
    const auto it = message.find(key);
    return it != message.end() && it->is_string() ? it->get<std::string>()
                                                  : std::string();
  }
  static void Write(const json& line) {
    const std::string text =
        line.dump(-1, ' ', true, json::error_handler_t::replace);
    std::printf("%s\n", text.c_str());
    std::fflush(stdout);
  }
  static void Complain(const absl::Status& status) {
    if (status.ok()) return;
    std::fprintf(stderr, "kyuu echo: %s\n",
                 PrintableLine(status.message()).c_str());
  }

  const EchoOptions options_;
  SystemRandom random_;
  std::unique_ptr<net::Loop> loop_;
  std::optional<dtls::Certificate> certificate_;
  std::unique_ptr<peer::SharedPort> port_;
  std::map<std::string, Caller> callers_;
};

absl::Status EchoSession::Run() {
  const peer::TcpUse tcp = options_.tcp.value_or(
      options_.tcp_port ? peer::TcpUse::kBoth : peer::TcpUse::kActive);
  std::optional<uint16_t> tcp_port = options_.tcp_port;
  if (tcp == peer::TcpUse::kNone || tcp == peer::TcpUse::kActive) {
    if (tcp_port) {
      return absl::InvalidArgumentError(
          "--tcp-port is for --tcp both and simultaneous, which listen");
    }
  } else if (!tcp_port) {
    tcp_port = 0;
  }
  KYUU_ASSIGN_OR_RETURN(loop_, net::Loop::Create());
  KYUU_ASSIGN_OR_RETURN(
      const std::unique_ptr<net::SignalWatch> signals,
      net::SignalWatch::Create(*loop_, {SIGINT, SIGTERM},
                               [this](int) { loop_->Stop(); }));
  KYUU_ASSIGN_OR_RETURN(certificate_, dtls::Certificate::Generate(absl::Now()));
  KYUU_ASSIGN_OR_RETURN(
      port_,
      peer::SharedPort::Open(*loop_, {.port = options_.port,
                                      .tcp_port = tcp_port,
                                      .tcp = tcp,
                                      .nat_mappings = options_.nat_mappings,
                                      .use = options_.network.use,
                                      .port_range = options_.network.ports}));
  const ice::HostAddress first = port_->addresses().front();
  json ready{{"event", "ready"}, {"udp", first.address.port}};
  if (first.tcp_port != 0) ready["tcp"] = first.tcp_port;
  Write(ready);
  const StdinLines lines(*loop_, [this](std::optional<std::string> line) {
    if (!line) return loop_->Stop();
    OnLine(*line);
  });
  loop_->Run();
  callers_.clear();
  port_.reset();
  return absl::OkStatus();
}

void EchoSession::OnLine(const std::string& line) {
  const json message = json::parse(line, nullptr, false);
  if (!message.is_object()) {
    if (!line.empty()) {
      Complain(absl::InvalidArgumentError("ignored a line that is no object"));
    }
    return;
  }
  if (Text(message, "type") == "stats") return WriteStats();
  const std::string id = Text(message, "id");
  const absl::Status status = OnMessage(id, message);
  Complain(status);
  if (!status.ok()) {
    Write({{"id", id},
           {"event", "failed"},
           {"reason", std::string(status.message())}});
  }
}

absl::Status EchoSession::OnMessage(const std::string& id,
                                    const json& message) {
  const std::string type = Text(message, "type");
  if (type == "offer") {
    const bool is_new = !callers_.contains(id);
    const absl::Status answered = Answer(id, Text(message, "sdp"));
    if (is_new && !answered.ok()) callers_.erase(id);
    return answered;
  }
  const auto it = callers_.find(id);
  if (it == callers_.end()) {
    return absl::NotFoundError("no connection has the id " + id);
  }
  peer::LoopConnection& connection = *it->second.connection;
  if (type == "bye") {
    connection.engine().Close(net::Loop::Now());
  } else if (message.contains("candidate")) {
    const auto index = message.find("sdpMLineIndex");
    KYUU_RETURN_IF_ERROR(connection.engine().AddIceCandidate(
        net::Loop::Now(), Text(message, "candidate"), Text(message, "sdpMid"),
        index != message.end() && index->is_number_unsigned()
            ? index->get<size_t>()
            : 0,
        Text(message, "usernameFragment")));
  } else {
    return absl::InvalidArgumentError("unknown type " + type);
  }
  connection.Flush();  // It may be gone now.
  return absl::OkStatus();
}

absl::Status EchoSession::Answer(const std::string& id,
                                 const std::string& offer) {
  Caller& caller = callers_[id];
  if (caller.connection == nullptr) {
    peer::LoopConnectionOptions options{.port = port_.get()};
    options_.network.ApplyTo(options);
    options.connection.lite = options_.lite;
    auto connection = peer::LoopConnection::Create(
        *loop_, *certificate_, options, random_,
        [this, id](peer::ConnectionEvent e) { OnEvent(id, std::move(e)); });
    if (!connection.ok()) return connection.status();
    caller.connection = *std::move(connection);
  }
  peer::Connection& engine = caller.connection->engine();
  const absl::Time now = net::Loop::Now();
  KYUU_RETURN_IF_ERROR(
      engine.SetRemoteDescription(now, peer::SdpType::kOffer, offer));
  KYUU_RETURN_IF_ERROR(engine.CreateAnswer().status());
  KYUU_RETURN_IF_ERROR(engine.SetLocalDescription(now, peer::SdpType::kAnswer));
  // With all candidates: those of our sockets are there at once.
  KYUU_ASSIGN_OR_RETURN(const std::string answer, engine.LocalDescription());
  Write({{"id", id}, {"type", "answer"}, {"sdp", answer}});
  caller.connection->Flush();
  return absl::OkStatus();
}

void EchoSession::OnEvent(const std::string& id, peer::ConnectionEvent event) {
  const auto it = callers_.find(id);
  if (it == callers_.end()) return;
  Caller& caller = it->second;
  std::visit(
      Overload{
          [&](sctp::ChannelMessage& message) {
            caller.echo_bytes += message.payload.size();
            caller.echoes.push_back(
                {message.channel, message.type, std::move(message.payload)});
            Pump(caller);
          },
          [&](sctp::WritableAgain&) { Pump(caller); },
          [&](sctp::ChannelBufferedAmountLow&) { Pump(caller); },
          [&](peer::SelectedPathChanged& path) {
            Write({{"id", id},
                   {"event", "path"},
                   {"transport", std::string(ToText(path.path.transport))},
                   {"local", path.path.local.ToString()},
                   {"remote", path.path.remote.ToString()}});
          },
          [&](peer::ConnectionStateChanged& changed) {
            if (changed.state == peer::ConnectionState::kFailed) {
              caller.connection->engine().Close(net::Loop::Now());
            }
          },
          [&](peer::Closed&) {
            Write({{"id", id}, {"event", "closed"}});
            callers_.erase(it);
          },
          [](auto&) {},
      },
      event);
}

void EchoSession::Pump(Caller& caller) {
  peer::Connection& engine = caller.connection->engine();
  while (!caller.echoes.empty()) {
    Echo& echo = caller.echoes.front();
    const size_t size = echo.payload.size();
    const absl::Status status = engine.Send(net::Loop::Now(), echo.channel,
                                            echo.type, std::move(echo.payload));
    if (absl::IsResourceExhausted(status)) break;  // WritableAgain follows.
    // Else the channel has ended, and nobody waits for it.
    caller.echo_bytes -= size;
    caller.echoes.pop_front();
  }
  if (caller.echo_bytes > kEchoBytesMax) engine.Close(net::Loop::Now());
}

void EchoSession::WriteStats() {
  json mux = json::object();
  for (const auto& counter : ice::MuxStats::kCounters) {
    mux[std::string(counter.name)] = port_->mux().stats().*counter.field;
  }
  Write({{"event", "stats"},
         {"connections", callers_.size()},
         {"paths", port_->mux().paths()},
         {"streams", port_->stranger_stats().introduced},
         {"mux", mux}});
}

}  // namespace

int RunEcho(const EchoOptions& options) {
  EchoSession echo(options);
  const absl::Status status = echo.Run();
  if (status.ok()) return 0;
  std::fprintf(stderr, "kyuu echo: %s\n",
               PrintableLine(status.message()).c_str());
  return 1;
}

}  // namespace kyuu::tools

#include "tools/kyuu/doctor/session_probe.h"

#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <variant>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/system_random.h"
#include "net/loop.h"
#include "nlohmann/json.hpp"
#include "signaling/client_connection.h"
#include "signaling/endpoint.h"

namespace kyuu::tools {
namespace {

using nlohmann::json;

constexpr size_t kPatternBytes = 8 * 1024;

std::string RandomName(Random& random) {
  std::array<uint8_t, 8> bytes;
  random.Fill(absl::MakeSpan(bytes));
  return absl::BytesToHexString(absl::string_view(
      reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

// Text that no compression makes nothing of, with characters of one to four
// bytes, quotes and line ends.
std::string Pattern(Random& random) {
  std::string text = "v=0\r\n\"'\\/<>&%\t\xc3\xa9\xe2\x82\xac\xf0\x9f\x93\x9e";
  while (text.size() < kPatternBytes) {
    absl::StrAppend(&text, RandomName(random), "\r\n");
  }
  return text;
}

// The string at `key`, or "".
std::string TextAt(const json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>()
                                               : std::string();
}

std::vector<IceServerFacts> ServersOf(const json& list) {
  std::vector<IceServerFacts> servers;
  if (!list.is_array()) return servers;
  for (const json& server : list) {
    if (!server.is_object() || !server.contains("urls")) continue;
    const json urls = server["urls"].is_array() ? server["urls"]
                                                : json::array({server["urls"]});
    for (const json& url : urls) {
      if (!url.is_string()) continue;
      servers.push_back({url.get<std::string>(), TextAt(server, "username"),
                         TextAt(server, "credential")});
    }
  }
  return servers;
}

class SessionProbe {
 public:
  SessionProbe(net::Loop& loop, Random& random, SessionQuestion& question)
      : loop_(loop),
        question_(question),
        room_(absl::StrCat("doctor-", RandomName(random))),
        pattern_(Pattern(random)),
        random_(random),
        alarm_(loop, [this] { OnAlarm(); }) {}

  SessionFacts Run() {
    facts_.welcomed = absl::DeadlineExceededError("no welcome in time");
    facts_.echoed = absl::DeadlineExceededError("nothing came in time");
    alarm_.Set(net::Loop::Now() + question_.patience);
    for (Side& side : sides_) {
      side.name = absl::StrCat("doctor-", &side - sides_.data());
      absl::StatusOr<std::unique_ptr<SignalingLink>> link =
          SignalingLink::Connect(
              loop_, random_,
              absl::StrCat(question_.site.Origin(), question_.site.path,
                           signaling::kSignalingPath),
              question_.ways, [this, &side](SignalingLink::Event event) {
                std::visit([&](const auto& e) { On(side, e); }, event);
              });
      if (!link.ok()) {
        facts_.welcomed = link.status();
        return facts_;
      }
      side.link = *std::move(link);
    }
    loop_.Run();
    if (facts_.welcomed.ok() && question_.while_open) {
      question_.while_open(facts_.ice_servers);
    }
    if (facts_.echoed.ok() && question_.idle) {
      silent_since_ = net::Loop::Now();
      facts_.idle = *question_.idle;
      alarm_.Set(*silent_since_ + *question_.idle);
      loop_.Run();
    }
    for (Side& side : sides_) side.link->Close();
    return facts_;
  }

 private:
  struct Side {
    std::string name;
    std::unique_ptr<SignalingLink> link;
    bool joined = false;
  };

  Side& caller() { return sides_[0]; }
  Side& callee() { return sides_[1]; }

  void Say(Side& side, const json& message) {
    side.link->Send(message.dump());
    side.link->Flush();
  }

  void On(Side& side, const signaling::WebSocketOpened&) {
    json hello = {{"type", "hello"}, {"version", 1}, {"client", "kyuu-doctor"}};
    if (!question_.token.empty()) hello["token"] = question_.token;
    Say(side, hello);
  }

  void On(Side&, const signaling::WebSocketClosed& closed) {
    Lose(closed.status.ok()
             ? absl::UnavailableError(absl::StrCat(
                   "the server closes: ", closed.code, " ", closed.reason))
             : closed.status);
  }

  void On(Side& side, const signaling::WebSocketMessage& received) {
    const json message = json::parse(received.data, nullptr, false);
    if (!message.is_object()) {
      return Lose(absl::DataLossError("a message is no JSON"));
    }
    const std::string type = TextAt(message, "type");
    const std::string call = TextAt(message, "call");
    if (type == "welcome") {
      facts_.welcomed = absl::OkStatus();
      if (message.contains("ice_servers")) {
        facts_.ice_servers = ServersOf(message["ice_servers"]);
      }
      Say(side, {{"type", "join"}, {"name", side.name}, {"room", room_}});
    } else if (type == "joined") {
      side.joined = true;
      if (caller().joined && callee().joined) {
        Say(caller(), {{"type", "call"}, {"to", callee().name}});
      }
    } else if (type == "incoming") {
      Say(callee(), {{"type", "accept"}, {"call", call}});
    } else if (type == "accepted" && &side == &caller()) {
      began_ = net::Loop::Now();
      SendPattern(caller(), call, "offer", pattern_);
    } else if (type == "signal") {
      OnSignal(side, call, TextAt(message, "sdp"));
    } else if (type == "error") {
      const std::string code = TextAt(message, "code");
      const std::string text =
          absl::StrCat(code, ": ", TextAt(message, "message"));
      Lose(code == "unauthorized" || code == "token_expired"
               ? absl::UnauthenticatedError(text)
               : absl::UnavailableError(text));
    }
  }

  void SendPattern(Side& side, const std::string& call, const char* kind,
                   const std::string& text) {
    Say(side,
        {{"type", "signal"}, {"call", call}, {"kind", kind}, {"sdp", text}});
  }

  void OnSignal(Side& side, const std::string& call, const std::string& text) {
    if (text != pattern_) {
      facts_.echoed = absl::DataLossError("it came otherwise than it was sent");
      return loop_.Stop();
    }
    if (&side == &callee()) return SendPattern(side, call, "answer", text);
    facts_.echoed = absl::OkStatus();
    facts_.echo_time = net::Loop::Now() - began_;
    loop_.Stop();
  }

  // One of the two is over.
  void Lose(const absl::Status& why) {
    if (silent_since_) {
      facts_.idle_lived = net::Loop::Now() - *silent_since_;
      facts_.idled = why;
    } else if (!facts_.welcomed.ok()) {
      facts_.welcomed = why;
    } else {
      facts_.echoed = why;
    }
    loop_.Stop();
  }

  void OnAlarm() {
    if (silent_since_) facts_.idled = absl::OkStatus();
    loop_.Stop();
  }

  net::Loop& loop_;
  SessionQuestion& question_;
  const std::string room_;
  const std::string pattern_;
  Random& random_;
  SessionFacts facts_;
  absl::Time began_;
  std::optional<absl::Time> silent_since_;
  net::Alarm alarm_;
  // Last: links go before what their handlers use.
  std::array<Side, 2> sides_;
};

}  // namespace

SessionFacts ProbeSession(SessionQuestion question) {
  const absl::StatusOr<std::unique_ptr<net::Loop>> loop = net::Loop::Create();
  if (!loop.ok()) {
    SessionFacts facts;
    facts.welcomed = loop.status();
    return facts;
  }
  SystemRandom random;
  SessionProbe probe(**loop, random, question);
  return probe.Run();
}

}  // namespace kyuu::tools

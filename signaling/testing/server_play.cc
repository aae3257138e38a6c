#include <algorithm>
#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/random.h"
#include "signaling/server.h"
#include "signaling/testing/plays.h"
#include "signaling/token/admission.h"
#include "signaling/token/signing_key.h"
#include "signaling/token/testing/keys.h"

namespace kyuu::signaling {
namespace {

ServerOptions Small() {
  ServerOptions options;
  options.max_connections = 4;
  options.max_connections_per_source = 3;
  options.rooms.max_rooms = 2;
  options.max_sessions_in_grace = 2;
  options.max_outbox_bytes = 2000;
  options.max_kept_bytes = 3000;
  options.rooms.max_peers_per_room = 3;
  options.calls.max_calls_per_peer = 2;
  options.message_rate.burst = 20;
  options.max_dropped_messages = 5;
  options.max_queued_bytes = 10000;
  return options;
}

class Play {
 public:
  explicit Play(absl::Span<const uint8_t> input) : r_(input) {}

  void Run() {
    while (!r_.empty()) {
      Step();
      KYUU_CHECK(server_.connection_count() <= 4 && server_.room_count() <= 2);
      KYUU_CHECK(server_.queued_bytes() <= 20000);
      KYUU_CHECK(server_.waiting_session_count() <= 2);
      KYUU_CHECK(server_.kept_bytes() <= 4000);
    }
    for (uint64_t id = 0; id < 5; ++id) {
      server_.Disconnect(now_, ConnectionId{id}, Departure::kLost);
    }
    // The grace of those that nobody has come back to.
    server_.HandleTimeout(now_ + options_.grace);
    Drain();
    KYUU_CHECK(sessions_.empty() && server_.waiting_session_count() == 0);
    KYUU_CHECK(server_.kept_bytes() == 0 && server_.connection_count() == 0);
    KYUU_CHECK(server_.peer_count() == 0 && server_.room_count() == 0);
    KYUU_CHECK(server_.call_count() == 0);
    KYUU_CHECK(server_.NextTimeout() == absl::InfiniteFuture());
  }

 private:
  void Drain() {
    while (auto m = server_.PollTransmit(now_, {})) {
      const auto message = ParseServerMessage(m->text, options_.limits);
      KYUU_CHECK(message.ok());
      std::string& call = calls_[static_cast<size_t>(m->connection)];
      if (const auto* c = std::get_if<Calling>(&message->body)) call = c->call;
      if (const auto* c = std::get_if<Incoming>(&message->body)) call = c->call;
      const auto* welcome = std::get_if<Welcome>(&message->body);
      if (welcome != nullptr && welcome->resume.has_value()) {
        resume_as_ = {welcome->session, welcome->resume->secret, 0};
      }
    }
    while (auto event = server_.PollEvent()) {
      if (const auto* s = std::get_if<SessionOpened>(&*event)) {
        KYUU_CHECK(sessions_.insert(s->session).second);
        // The session may be over by now.
        (void)server_.SetIceServers(now_, s->session, {});
      } else if (const auto* c = std::get_if<CredentialsWanted>(&*event)) {
        // The session may be over by now.
        (void)server_.SetIceServers(now_, c->session, {});
      } else if (const auto* expired = std::get_if<SessionExpired>(&*event)) {
        KYUU_CHECK(sessions_.contains(expired->session));
      } else if (const auto* over = std::get_if<SessionClosed>(&*event)) {
        KYUU_CHECK(sessions_.erase(over->session) == 1);
      }
    }
  }

  void Step() {
    const uint8_t op = r_.U8();
    const size_t who = op % 5;
    const ConnectionId id{who};
    switch (const uint8_t what = r_.U8() % 14) {
      case 0:
        // Refused when the server is full.
        (void)server_.Connect(now_, id, IpAddress::V4(192, 0, 2, who & 1));
        return;
      case 1:
        return server_.Disconnect(
            now_, id,
            r_.U8() % 4 == 0 ? Departure::kGoodbye : Departure::kLost);
      case 2:
        now_ += absl::Seconds(r_.U8() % 70);
        return server_.HandleTimeout(now_);
      case 3:
        return Drain();
      default: {
        std::string text = Words(what, calls_[who]);
        if ((op & 0x80) != 0 && !text.empty()) {
          text[r_.U8() % text.size()] ^= static_cast<char>(r_.U8());
        }
        server_.HandlePacket(now_, {id, std::move(text)});
      }
    }
  }

  std::string Hello(uint8_t how) {
    std::string text = R"({"type":"hello","version":1)";
    if ((how & 4) != 0) {
      NewToken token;
      token.subject = (how & 8) != 0 ? "ada" : "bob";
      if ((how & 16) != 0) token.rooms = {"r1"};
      token.expires = now_ + absl::Seconds(how);
      absl::StrAppend(&text, R"(,"token":")", *signer_.MakeToken("", token),
                      "\"");
    }
    if (how % 2 != 0) {
      absl::StrAppend(&text, R"(,"resume":{"session":")", resume_as_.session,
                      R"(","secret":")", resume_as_.secret, R"(","received":)",
                      r_.U8() % 8, "}");
    }
    return text + "}";
  }

  static std::string Simple(uint8_t what) {
    if (what % 2 != 0) return R"({"type":"leave"})";
    if (what < 120) return R"({"type":"list"})";
    if (what < 128) return R"({"type":"find","prefix":"N","meta":{"k":1}})";
    return absl::StrCat(R"({"type":")", what < 192 ? "block" : "unblock",
                        R"(","name":"n)", what / 2 % 4, "\"}");
  }

  static AdmissionOptions Keys() {
    AdmissionOptions options;
    KYUU_CHECK(
        options.keys.Add(*TokenKey::FromSecret("", testing::kSecret)).ok());
    return options;
  }

  // A message of the protocol, or anything.
  std::string Words(uint8_t what, const std::string& call) {
    switch (what) {
      case 4:
        return Hello(r_.U8());
      case 5: {
        const int name = r_.U8() % 4, room = r_.U8();
        return absl::StrCat(R"({"type":"join","name":"n)", name,
                            R"(","room":"r)", room % 3,
                            room < 128 ? "\"}" : R"(","secret":"s"})");
      }
      case 6:
        return absl::StrCat(R"({"type":"call","to":"n)", r_.U8() % 4, "\"}");
      case 7:
        return absl::StrCat(R"({"type":"accept","call":")", call, "\"}");
      case 8:
        return absl::StrCat(R"({"type":"reject","call":")", call, "\"}");
      case 9:
        return absl::StrCat(R"({"type":"hangup","call":")", call, "\"}");
      case 10:
        return absl::StrCat(
            R"({"type":"signal","kind":"offer","sdp":"","call":")", call,
            "\"}");
      case 11:
        return Simple(r_.U8());
      case 12:
        return r_.U8() % 2 != 0 ? R"({"type":"credentials"})"
                                : R"({"type":"ack","received":3})";
      default:
        return std::string(r_.Text(std::min<size_t>(r_.U8(), r_.remaining())));
    }
  }

  Reader r_;
  SeededRandom random_{1};
  absl::Time now_ = absl::FromUnixSeconds(1000);
  const ServerOptions options_ = Small();
  const SigningKey signer_ = *SigningKey::FromText(testing::kSecret);
  Admission admission_{Keys()};
  Server server_{options_, random_, &admission_};
  std::array<std::string, 5> calls_;  // The last call each one heard of.
  std::set<std::string> sessions_;
  ResumeRequest resume_as_;  // The last session that was welcomed.
};

}  // namespace

void PlayServer(absl::Span<const uint8_t> input) { Play(input).Run(); }

}  // namespace kyuu::signaling

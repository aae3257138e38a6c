#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/random.h"
#include "signaling/events/posts.h"
#include "signaling/internal/utf8.h"
#include "signaling/server_connection.h"
#include "signaling/testing/plays.h"

namespace kyuu::signaling {
namespace {

constexpr size_t kClients = 3;
constexpr size_t kMaxQueuedBytes = 2000;

// A message as it comes out of the lines of data that it went into.
std::string Read(absl::string_view message) {
  return absl::StrReplaceAll(message, {{"\r\n", "\n"}, {"\r", "\n"}});
}

// A client with what it knows: its stream's name, and what it is owed.
class Client {
 public:
  Client(Posts& posts, Random& random, ConnectionId id, absl::Time now)
      : posts_(posts), id_(id), name_(posts.Open(id)) {
    options_.events.max_queued_bytes = kMaxQueuedBytes;
    connection_.emplace(options_, random, now);
    connection_->HandlePacket(
        now, AsBytes("GET /v1/events HTTP/1.1\r\nHost: a\r\n\r\n"));
    KYUU_CHECK(connection_->PollEvent().has_value());
    KYUU_CHECK(connection_->AcceptEvents(now, name_, {}).ok());
  }
  ~Client() { posts_.Close(id_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  ServerConnection& connection() { return *connection_; }
  bool closed() const { return closed_; }

  void Send(absl::Time now, absl::string_view message) {
    if (connection_->Send(now, MessageKind::kText, std::string(message)).ok()) {
      owed_.push_back(Read(message));
    }
  }

  // Reads up to `steps` pieces of `out`; what was sent has to come out.
  void Drain(absl::Time now, absl::Span<uint8_t> out, size_t steps) {
    KYUU_CHECK(connection_->queued_bytes() <= kMaxQueuedBytes + 400);
    while (steps-- > 0) {
      const auto piece = connection_->PollTransmit(now, out);
      if (!piece) break;
      absl::StrAppend(&text_, AsText(*piece));
    }
    for (size_t end; (end = text_.find("\n\n")) != std::string::npos;) {
      TakeEvent(absl::string_view(text_).substr(0, end));
      text_.erase(0, end + 2);
    }
    while (const auto event = connection_->PollEvent()) {
      const auto* closed = std::get_if<EventStreamClosed>(&*event);
      KYUU_CHECK(!closed_ && closed != nullptr);
      closed_ = true;
      if (closed->status.code() != absl::StatusCode::kUnavailable) {
        return Forget();
      }
      posts_.Linger(now, id_);
      gone_after_ = now + kPostLinger;
    }
  }

  // Its stream takes no posts from now on.
  void Forget() {
    posts_.Close(id_);
    gone_after_ = absl::InfinitePast();
  }
  ConnectionId id() const { return id_; }
  absl::Time gone_after() const { return gone_after_; }

  // A request of the client, or of somebody who knows only the half of it.
  void Post(absl::Time now, uint8_t how, absl::string_view number,
            absl::string_view body) {
    std::string name = name_;
    if (how & 1) name.back() = name.back() == '0' ? '1' : '0';
    if (how & 2) name.resize(how % name.size());
    const std::string next = absl::StrCat(taken_ + 1);
    if (how & 4) number = next;
    HttpRequest request;
    request.headers.Add(kStreamHeader, name);
    request.headers.Add(kPostHeader, number);
    if (how & 8) request.headers.Add(kCloseHeader, body.substr(0, 4));
    request.body = std::string(body);
    auto result = posts_.Take(request);
    if (const auto* refused = std::get_if<PostRefused>(&result)) {
      KYUU_CHECK(refused->status >= 400 && refused->status < 500);
      KYUU_CHECK(!absl::StrContains(refused->text, name_.substr(32)));
      return;
    }
    KYUU_CHECK(name == name_ && now < gone_after_);
    const Posted& posted = std::get<Posted>(result);
    KYUU_CHECK(posted.connection == id_);
    connection_->HandlePosted(now);
    uint64_t value = 0;
    KYUU_CHECK(absl::SimpleAtoi(number, &value) && value <= taken_ + 1);
    if (value <= taken_) {
      KYUU_CHECK(posted.messages.empty() && !posted.close.has_value());
      return;
    }
    ++taken_;
    KYUU_CHECK(internal::IsUtf8(body));
    KYUU_CHECK(posted.messages.size() <= kMaxMessagesPerPost);
    absl::ConsumeSuffix(&body, "\n");
    std::string whole = absl::StrCat(body, body.empty() ? "" : "\n");
    absl::StrReplaceAll({{"\r\n", "\n"}}, &whole);
    std::string got;
    for (const std::string& m : posted.messages) absl::StrAppend(&got, m, "\n");
    KYUU_CHECK(got == whole);
    if (posted.close) {
      KYUU_CHECK(connection_->Close(now, *posted.close, "").ok());
    }
  }

 private:
  void TakeEvent(absl::string_view event) {
    KYUU_CHECK(!over_);
    const size_t head = event.find("\r\n\r\n");
    if (head != absl::string_view::npos) event.remove_prefix(head + 4);
    if (event == ":" || event == "event: ping\ndata:") return;
    if (absl::ConsumePrefix(&event, "event: close\n")) {
      over_ = true;
    } else if (absl::ConsumePrefix(&event, "event: stream\n")) {
      KYUU_CHECK(event == absl::StrCat("data: ", name_));
    } else {
      KYUU_CHECK(!owed_.empty());
      const auto owed =
          absl::StrReplaceAll(owed_.front(), {{"\n", "\ndata: "}});
      KYUU_CHECK(event == absl::StrCat("data: ", owed));
      owed_.pop_front();
    }
  }

  Posts& posts_;
  const ConnectionId id_;
  const std::string name_;
  ServerConnectionOptions options_;
  std::optional<ServerConnection> connection_;
  uint64_t taken_ = 0;
  std::deque<std::string> owed_;
  std::string text_;
  bool over_ = false;
  bool closed_ = false;
  absl::Time gone_after_ = absl::InfiniteFuture();
};

}  // namespace

void PlayEvents(absl::Span<const uint8_t> input) {
  Reader r(input);
  SeededRandom random(1);
  absl::Time now = absl::FromUnixSeconds(1000);
  Posts posts(random);
  uint64_t next_id = 1;
  std::array<uint8_t, 64> out;
  std::array<std::unique_ptr<Client>, kClients> clients;
  while (!r.empty()) {
    const uint8_t op = r.U8();
    std::unique_ptr<Client>& client = clients[op % kClients];
    if (client == nullptr) {
      client =
          std::make_unique<Client>(posts, random, ConnectionId{next_id++}, now);
    }
    const auto text = [&] {
      return r.Text(std::min<size_t>(r.U8() * 4u, r.remaining()));
    };
    switch (op / kClients % 8) {
      case 0:
        now += absl::Seconds(r.U8() % 32);
        client->connection().HandleTimeout(now);
        while (const auto gone = posts.PopGone(now)) {
          const auto whose = std::find_if(
              clients.begin(), clients.end(),
              [&](const auto& c) { return c && c->id() == *gone; });
          KYUU_CHECK(whose != clients.end() && (*whose)->gone_after() <= now);
          (*whose)->Forget();
        }
        KYUU_CHECK(posts.NextTimeout() > now);
        break;
      case 1:
        client->Send(now, text());
        break;
      case 2: {
        const uint8_t how = r.U8();
        const absl::string_view number =
            r.Text(std::min<size_t>(r.U8() % 4u, r.remaining()));
        client->Post(now, how, number, text());
        break;
      }
      case 3:
        client->Drain(now, absl::MakeSpan(out).first(1 + r.U8() % out.size()),
                      r.U8());
        break;
      case 4:
        KYUU_CHECK(client->connection().Close(now, r.U16(), "bye").ok());
        break;
      case 5:
        client->connection().HandleStreamEnd(now, absl::OkStatus());
        break;
      case 6:
        client->connection().HandlePacket(now, AsBytes(text()));
        break;
      default:
        client = nullptr;
        break;
    }
  }
  for (std::unique_ptr<Client>& client : clients) {
    if (client == nullptr) continue;
    KYUU_CHECK(client->connection().Close(now, 1001, "bye").ok());
    client->Drain(now, absl::MakeSpan(out), 10 * kMaxQueuedBytes);
    KYUU_CHECK(client->closed() && client->connection().finished());
    client = nullptr;
  }
  KYUU_CHECK(posts.size() == 0);
}

}  // namespace kyuu::signaling

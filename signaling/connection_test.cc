// The two ends of a stream together: ServerConnection and ClientConnection on
// pipes in memory, and the server's end against requests of others.

#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/heap_testing.h"
#include "base/random.h"
#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "signaling/client_connection.h"
#include "signaling/server_connection.h"

namespace kyuu::signaling {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const absl::Time kStart = absl::FromUnixSeconds(1000);

template <typename Connection>
std::string Sent(Connection& connection, absl::Time now = kStart) {
  std::string all;
  std::vector<uint8_t> out(100);
  while (auto piece = connection.PollTransmit(now, absl::MakeSpan(out))) {
    absl::StrAppend(&all, AsText(*piece));
  }
  return all;
}

struct ServerEnd {
  explicit ServerEnd(const ServerConnectionOptions& o = {})
      : options(o), connection(options, random, kStart) {}
  void Receive(absl::string_view text, absl::Time now = kStart) {
    connection.HandlePacket(now, AsBytes(text));
  }
  // The next event, which must be of type T.
  template <typename T>
  T Expect() {
    auto event = connection.PollEvent();
    if (!event.has_value() || !std::holds_alternative<T>(*event)) {
      ADD_FAILURE() << "another event or none";
      return T();
    }
    return std::get<T>(*std::move(event));
  }
  SeededRandom random{1};
  const ServerConnectionOptions options;
  ServerConnection connection;
};

HttpResponse Ok(std::string body) {
  HttpResponse response;
  response.body = std::move(body);
  return response;
}

// The handshake of RFC 6455 section 1.2.
constexpr char kHandshake[] =
    "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Origin: http://example.com\r\n"
    "Sec-WebSocket-Protocol: chat, kyuu.v1\r\n"
    "Sec-WebSocket-Version: 13\r\n\r\n";

TEST(ServerConnectionTest, AnswersRequestsOneByOne) {
  ServerEnd server;
  server.Receive(
      "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nHEAD /2 HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(server.Expect<HttpRequestReceived>().request.path, "/1");
  EXPECT_FALSE(server.connection.PollEvent().has_value());
  ASSERT_OK(server.connection.Respond(kStart, Ok("one")));
  EXPECT_EQ(server.Expect<HttpRequestReceived>().request.path, "/2");
  ASSERT_OK(server.connection.Respond(kStart, Ok("two")));
  EXPECT_EQ(Sent(server.connection),
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
  EXPECT_THAT(server.connection.Respond(kStart, Ok("three")),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_FALSE(server.connection.finished());
  EXPECT_EQ(server.connection.NextTimeout(), kStart + absl::Seconds(60));
  server.connection.HandleTimeout(kStart + absl::Seconds(60));
  EXPECT_OK(server.Expect<HttpClosed>().status);
}

TEST(ServerConnectionTest, ConnectionCloseEndsAfterTheAnswer) {
  ServerEnd server;
  server.Receive("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  server.Expect<HttpRequestReceived>();
  ASSERT_OK(server.connection.Respond(kStart, Ok("x")));
  EXPECT_FALSE(server.connection.finished());
  EXPECT_THAT(Sent(server.connection), HasSubstr("Connection: close\r\n"));
  EXPECT_TRUE(server.connection.finished());
  EXPECT_OK(server.Expect<HttpClosed>().status);
}

#ifdef KYUU_HEAP_IS_TOLD
// Thousands are idle at a time.
TEST(ServerConnectionTest, AnIdleWebSocketHoldsNothingOfItsHandshake) {
  constexpr size_t kConnections = 100;
  const ServerConnectionOptions options;
  SeededRandom random(1);
  const auto upgraded = [&] {
    auto connection =
        std::make_unique<ServerConnection>(options, random, kStart);
    connection->HandlePacket(kStart, AsBytes(kHandshake));
    EXPECT_TRUE(connection->PollEvent().has_value());
    EXPECT_OK(connection->AcceptUpgrade(kStart, kSubprotocol));
    EXPECT_THAT(Sent(*connection), StartsWith("HTTP/1.1 101 "));
    return connection;
  };
  const auto warm_up = upgraded();
  std::vector<std::unique_ptr<ServerConnection>> connections(kConnections);
  const size_t before = HeapBytes();
  for (auto& connection : connections) connection = upgraded();
  const size_t bytes = (HeapBytes() - before) / kConnections;
  EXPECT_LT(bytes, sizeof(ServerConnection) + 64);
  EXPECT_GE(bytes, sizeof(ServerConnection)) << "nothing was measured";
}
#endif

TEST(ServerConnectionTest, UpgradesAsInRfc6455Section1_2) {
  ServerEnd server;
  server.Receive(kHandshake);
  const auto upgrade = server.Expect<UpgradeRequested>();
  EXPECT_TRUE(upgrade.offers_kyuu);
  EXPECT_EQ(upgrade.request.headers.Find("Origin"), "http://example.com");
  EXPECT_THAT(server.connection.AcceptUpgrade(kStart, "other"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_OK(server.connection.AcceptUpgrade(kStart, "chat"));
  EXPECT_EQ(Sent(server.connection),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\n"
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
            "Sec-WebSocket-Protocol: chat\r\n\r\n");
}

TEST(ServerConnectionTest, FramesBehindTheHandshakeAreNotLost) {
  ServerEnd server;
  server.Receive(std::string(kHandshake) +
                 std::string("\x81\x82\0\0\0\0hi", 8));
  server.Expect<UpgradeRequested>();
  ASSERT_OK(server.connection.AcceptUpgrade(kStart, kSubprotocol));
  EXPECT_EQ(server.Expect<WebSocketMessage>().data, "hi");
}

TEST(ServerConnectionTest, UpgradeMayBeRefused) {
  ServerEnd server;
  server.Receive(kHandshake);
  server.Expect<UpgradeRequested>();
  HttpResponse response;
  response.status = 403;
  ASSERT_OK(server.connection.Respond(kStart, response));
  EXPECT_THAT(Sent(server.connection), StartsWith("HTTP/1.1 403 Forbidden"));
  EXPECT_TRUE(server.connection.finished());
}

TEST(ServerConnectionTest, MalformedHandshakesAreAnswered) {
  struct Row {
    const char* name;
    const char* from;
    const char* to;
    const char* answer;
  };
  const Row rows[] = {
      {"version 8", "Version: 13", "Version: 8", "HTTP/1.1 426 "},
      {"no version", "Sec-WebSocket-Version: 13\r\n", "", "HTTP/1.1 426 "},
      {"short key", "dGhlIHNhbXBsZSBub25jZQ==", "dGhl", "HTTP/1.1 400 "},
      {"key not base64", "dGhl", "!!!!", "HTTP/1.1 400 "},
      {"no connection", "Connection: Upgrade\r\n", "", "HTTP/1.1 400 "},
      {"post", "GET", "POST", "HTTP/1.1 400 "},
      {"HTTP/1.0", "HTTP/1.1", "HTTP/1.0", "HTTP/1.1 400 "},
      {"two origins", "Origin: http://example.com\r\n",
       "Origin: http://a\r\nOrigin: http://b\r\n", "HTTP/1.1 400 "},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    ServerEnd server;
    server.Receive(absl::StrReplaceAll(kHandshake, {{row.from, row.to}}));
    EXPECT_THAT(server.Expect<HttpClosed>().status,
                StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(Sent(server.connection), StartsWith(row.answer));
    EXPECT_TRUE(server.connection.finished());
  }
}

TEST(ServerConnectionTest, GarbageIsAnsweredAndClosed) {
  ServerEnd server;
  server.Receive("hello?\r\n\r\n");
  EXPECT_THAT(server.Expect<HttpClosed>().status,
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Sent(server.connection), StartsWith("HTTP/1.1 400 Bad Request"));
}

TEST(ServerConnectionTest, DribblingClientIsTimedOut) {
  ServerEnd server;
  const std::string request = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 9; ++i) {
    server.Receive(request.substr(static_cast<size_t>(i), 1),
                   kStart + absl::Seconds(i));
  }
  server.connection.HandleTimeout(kStart + absl::Seconds(9));
  EXPECT_EQ(Sent(server.connection), "");
  server.connection.HandleTimeout(kStart + absl::Seconds(10));
  EXPECT_THAT(Sent(server.connection), StartsWith("HTTP/1.1 408 "));
  EXPECT_THAT(server.Expect<HttpClosed>().status,
              StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST(ServerConnectionTest, SilentClientIsClosedWithoutAWord) {
  ServerEnd server;
  server.connection.HandleTimeout(kStart + absl::Seconds(10));
  EXPECT_EQ(Sent(server.connection), "");
  EXPECT_TRUE(server.connection.finished());
}

// P2: pipelined requests of a client that does not read.
TEST(ServerConnectionTest, TheNextRequestWaitsUntilTheAnswersHaveLeft) {
  ServerConnectionOptions options;
  options.max_queued_bytes = 1000;
  ServerEnd server(options);
  std::string requests;
  for (int i = 0; i < 100; ++i) requests += "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  server.Receive(requests);
  const std::string body(900, 'x');
  int answered = 0;
  while (server.connection.PollEvent()) {
    ASSERT_OK(server.connection.Respond(kStart, Ok(body)));
    ++answered;
  }
  EXPECT_EQ(answered, 2);
  EXPECT_LT(server.connection.held_bytes(), 8000u);
  // Once they have left, it goes on.
  while (!Sent(server.connection).empty()) {
    while (server.connection.PollEvent()) {
      ASSERT_OK(server.connection.Respond(kStart, Ok(body)));
      ++answered;
    }
  }
  EXPECT_EQ(answered, 100);
}

TEST(ServerConnectionTest, AClientThatSendsMuchHasToWait) {
  ServerEnd server;
  EXPECT_TRUE(server.connection.wants_input());
  std::string requests;
  while (requests.size() < 40'000)
    requests += "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  server.Receive(requests);
  EXPECT_FALSE(server.connection.wants_input());
  EXPECT_GE(server.connection.held_bytes(), 39'000u);
}

TEST(ServerConnectionTest, RequestsAreAnsweredBehindTheClientsEnd) {
  ServerEnd server;
  server.Receive("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  server.connection.HandleStreamEnd(kStart, absl::OkStatus());
  server.Expect<HttpRequestReceived>();
  ASSERT_OK(server.connection.Respond(kStart, Ok("one")));
  EXPECT_OK(server.Expect<HttpClosed>().status);
  EXPECT_FALSE(server.connection.finished());
  EXPECT_THAT(Sent(server.connection), HasSubstr("one"));
  EXPECT_TRUE(server.connection.finished());
}

TEST(ServerConnectionTest, AFailedStreamEndsItAtOnce) {
  ServerEnd server;
  server.Receive("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  server.Expect<HttpRequestReceived>();
  ASSERT_OK(server.connection.Respond(kStart, Ok("one")));
  server.connection.HandleStreamEnd(kStart, absl::UnavailableError("reset"));
  EXPECT_OK(server.Expect<HttpClosed>().status);
  EXPECT_TRUE(server.connection.finished());
}

// RFC 9110 section 6.6.1.
TEST(ServerConnectionTest, ResponsesHaveADateIfTheClockIsKnown) {
  ServerConnectionOptions options;
  options.utc_offset = absl::FromUnixSeconds(784111777) - kStart;
  ServerEnd server(options);
  server.Receive("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  server.Expect<HttpRequestReceived>();
  ASSERT_OK(server.connection.Respond(kStart, Ok("")));
  EXPECT_THAT(Sent(server.connection),
              HasSubstr("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"));
}

TEST(ServerConnectionTest, AReaderThatIsTooSlowIsAbandoned) {
  ServerConnectionOptions options;
  options.websocket.max_queued_bytes = 1000;
  ServerEnd server(options);
  server.Receive(kHandshake);
  server.Expect<UpgradeRequested>();
  ASSERT_OK(server.connection.AcceptUpgrade(kStart, kSubprotocol));
  EXPECT_FALSE(server.connection.abandoned());
  EXPECT_THAT(server.connection.Send(kStart, MessageKind::kText,
                                     std::string(2000, 'x')),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_TRUE(server.connection.abandoned());
}

// max_unparsed_bytes: so much waits behind an unanswered request, and no byte
// more. A driver that asks wants_input() stops at half of it.
TEST(ServerConnectionTest, WhatIsUnparsedIsBoundedToTheByte) {
  ServerConnectionOptions options;
  options.max_unparsed_bytes = 100;
  for (const size_t more : {0, 1}) {
    ServerEnd server(options);
    server.Receive("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    server.Expect<HttpRequestReceived>();
    server.Receive(std::string(49, 'G'));
    EXPECT_TRUE(server.connection.wants_input());
    server.Receive("G");
    EXPECT_FALSE(server.connection.wants_input());
    server.Receive(std::string(50 + more, 'G'));
    if (more == 0) {
      EXPECT_FALSE(server.connection.PollEvent());
      EXPECT_GE(server.connection.held_bytes(), 100u);
    } else {
      EXPECT_THAT(server.Expect<HttpClosed>().status,
                  StatusIs(absl::StatusCode::kResourceExhausted));
    }
  }
}

TEST(ServerConnectionTest, UnreadRequestsAreBounded) {
  ServerEnd server;
  const std::string request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  for (int i = 0; i < 20000; ++i) server.Receive(request);
  server.Expect<HttpRequestReceived>();
  EXPECT_THAT(server.Expect<HttpClosed>().status,
              StatusIs(absl::StatusCode::kResourceExhausted));
}

// Client and server, joined by two pipes.
struct Pair {
  explicit Pair(ClientConnectionOptions client_options = {})
      : client(client_options, client_random, kStart) {}
  void Exchange() {
    for (int i = 0; i < 5; ++i) {
      const std::string up = Sent(client);
      if (!up.empty()) server.Receive(up);
      const std::string down = Sent(server.connection);
      if (!down.empty()) client.HandlePacket(kStart, AsBytes(down));
    }
  }
  SeededRandom client_random{2};
  ServerEnd server;
  ClientConnection client;
};

ClientConnectionOptions To(absl::string_view url) {
  ClientConnectionOptions options;
  options.url = *WebSocketUrl::Parse(url);
  return options;
}

TEST(ConnectionPairTest, OpensTalksAndCloses) {
  Pair pair(To("ws://localhost:9000/v1/ws?x=1"));
  EXPECT_THAT(pair.client.Send(kStart, MessageKind::kText, "early"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  pair.Exchange();
  const auto upgrade = pair.server.Expect<UpgradeRequested>();
  EXPECT_EQ(upgrade.request.path, "/v1/ws");
  EXPECT_EQ(upgrade.request.headers.Find("Host"), "localhost:9000");
  ASSERT_OK(pair.server.connection.AcceptUpgrade(kStart, kSubprotocol));
  // The server may speak at once: its first frame comes with the 101.
  ASSERT_OK(pair.server.connection.Send(kStart, MessageKind::kText, "welcome"));
  pair.Exchange();
  auto opened = pair.client.PollEvent();
  ASSERT_TRUE(opened.has_value());
  EXPECT_EQ(std::get<WebSocketOpened>(*opened).subprotocol, kSubprotocol);
  EXPECT_EQ(std::get<WebSocketMessage>(*pair.client.PollEvent()).data,
            "welcome");
  ASSERT_OK(pair.client.Send(kStart, MessageKind::kText, "thanks"));
  pair.Exchange();
  EXPECT_EQ(pair.server.Expect<WebSocketMessage>().data, "thanks");
  ASSERT_OK(pair.client.Close(kStart, kCloseNormal, "bye"));
  pair.Exchange();
  EXPECT_EQ(pair.server.Expect<WebSocketClosed>().reason, "bye");
  EXPECT_OK(std::get<WebSocketClosed>(*pair.client.PollEvent()).status);
  EXPECT_TRUE(pair.client.finished());
  EXPECT_TRUE(pair.server.connection.finished());
}

TEST(ClientConnectionTest, TellsWhyTheUpgradeFailed) {
  struct Row {
    const char* name;
    const char* answer;
    const char* text;
  };
  const Row rows[] = {
      {"404", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
       "404 Not Found"},
      {"wrong accept",
       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
       "Connection: Upgrade\r\nSec-WebSocket-Accept: "
       "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
       "malformed"},
      {"elsewhere",
       "HTTP/1.1 308 Permanent Redirect\r\nLocation: https://h/\r\n\r\n",
       "it points to https://h/"},
      {"TLS is wanted", "HTTP/1.1 400 Bad Request\r\n\r\n", "https://"},
      {"not HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not answer"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    Pair pair(To("ws://h/"));
    pair.client.HandlePacket(kStart, AsBytes(row.answer));
    const auto event = pair.client.PollEvent();
    ASSERT_TRUE(event.has_value());
    const auto& closed = std::get<WebSocketClosed>(*event);
    EXPECT_THAT(closed.status, StatusIs(absl::StatusCode::kUnavailable));
    EXPECT_THAT(std::string(closed.status.message()), HasSubstr(row.text));
  }
}

TEST(ClientConnectionTest, ServerOfAnotherProtocolIsRefused) {
  Pair pair(To("ws://h/"));
  pair.Exchange();
  pair.server.Expect<UpgradeRequested>();
  ASSERT_OK(pair.server.connection.AcceptUpgrade(kStart, ""));
  pair.Exchange();
  const auto closed = std::get<WebSocketClosed>(*pair.client.PollEvent());
  EXPECT_THAT(std::string(closed.status.message()), HasSubstr("kyuu.v1"));
}

TEST(ClientConnectionTest, SilenceAndLossAreTold) {
  Pair silent(To("ws://h/"));
  EXPECT_EQ(silent.client.NextTimeout(), kStart + absl::Seconds(10));
  silent.client.HandleTimeout(kStart + absl::Seconds(10));
  EXPECT_THAT(std::get<WebSocketClosed>(*silent.client.PollEvent()).status,
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  Pair lost(To("ws://h/"));
  lost.client.HandleStreamEnd(kStart, absl::OkStatus());
  EXPECT_THAT(std::get<WebSocketClosed>(*lost.client.PollEvent()).status,
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST(WebSocketUrlTest, Parses) {
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"ws://a", "ws://a/"},
      {"a:9000", "ws://a:9000/"},
      {"http://a:80/x", "ws://a/x"},
      {"https://a", "wss://a/"},
      {"wss://a:9443/p?q#f", "wss://a:9443/p?q"},
      {"ws://[::1]:9000?x", "ws://[::1]:9000/?x"},
      {"ws://[::1]", "ws://[::1]/"},
  };
  for (const auto& [url, text] : rows) {
    const auto parsed = WebSocketUrl::Parse(url);
    ASSERT_OK(parsed) << url;
    EXPECT_EQ(parsed->ToString(), text);
  }
  for (const char* url :
       {"", "ws://", "ftp://a", "ws://a:0", "ws://a:65536", "ws://a:x",
        "ws://[::1", "ws://[::1]x", "ws://u:p@h/", "ws://a/ b", "ws://a\r\n"}) {
    EXPECT_THAT(WebSocketUrl::Parse(url),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << url;
  }
}

}  // namespace
}  // namespace kyuu::signaling

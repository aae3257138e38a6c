#include "peer/server_url.h"

#include "base/testing.h"

namespace kyuu::peer {
namespace {

TEST(ServerUrl, ReadsEveryForm) {
  using P = ice::RelayProtocol;
  struct Row {
    const char* text;
    ServerKind kind;
    const char* host;
    uint16_t port;
    const char* username;
    const char* password;
    P protocol = P::kUdp;
  };
  for (const Row& row : {
           Row{"stun:example.org", ServerKind::kStun, "example.org", 3478, "",
               ""},
           Row{"turn:example.org:99?transport=udp", ServerKind::kTurn,
               "example.org", 99, "", ""},
           Row{"127.0.0.1:3479", ServerKind::kTurn, "127.0.0.1", 3479, "", ""},
           Row{"[::1]", ServerKind::kTurn, "::1", 3478, "", ""},
           Row{"stun:[2001:db8::1]:5", ServerKind::kStun, "2001:db8::1", 5, "",
               ""},
           Row{"179:ada:p@s:s@example.org", ServerKind::kTurn, "example.org",
               3478, "179", "ada:p@s:s"},
           Row{"turn:a?transport=tcp", ServerKind::kTurn, "a", 3478, "", "",
               P::kTcp},
           Row{"turns:a", ServerKind::kTurn, "a", 5349, "", "", P::kTls},
           Row{"turns:u:p@[::1]:443?transport=tcp", ServerKind::kTurn, "::1",
               443, "u", "p", P::kTls},
           Row{"stuns:a", ServerKind::kStun, "a", 5349, "", "", P::kTls},
           Row{"turns:a?transport=udp", ServerKind::kTurn, "a", 5349, "", "",
               P::kDtls},
           Row{"stun:a:443?transport=tcp", ServerKind::kStun, "a", 443, "", "",
               P::kTcp},
       }) {
    const auto url = ServerUrl::Parse(row.text, ServerKind::kTurn);
    ASSERT_OK(url) << row.text;
    EXPECT_EQ(url->kind, row.kind) << row.text;
    EXPECT_EQ(url->host, row.host);
    EXPECT_EQ(url->port, row.port);
    EXPECT_EQ(url->username, row.username);
    EXPECT_EQ(url->password, row.password);
    EXPECT_EQ(url->protocol, row.protocol) << row.text;
  }
}

TEST(ServerUrl, SaysWhatIsWrong) {
  for (const char* text : {"", "stun:", "a:0", "a:65536", "a:b", "[::1",
                           "[::1]x", "user@host", "a?transport=sctp"}) {
    EXPECT_THAT(ServerUrl::Parse(text, ServerKind::kStun),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
}

}  // namespace
}  // namespace kyuu::peer

// Two PeerConnections that hide their addresses from each other, on a network
// of the test's own, where nothing else can find them.

#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "peer/peer_connection.h"
#include "peer/testing/peer_connection_pair.h"

namespace kyuu::peer {
namespace {

void Shell(const std::string& command) {
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
}

TEST(PeerConnectionNames, FindEachOtherBehindThem) {
  // A thread's, and that of those whom it starts: other tests keep theirs.
  std::thread([] {
    const int flags =
        geteuid() == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET;
    ASSERT_EQ(unshare(flags), 0);
    Shell("ip link set lo up");
    Shell("ip link add eth0 type veth peer name far");
    Shell("ip addr add 198.18.0.1/24 dev eth0");
    Shell("ip link set far up");
    Shell("ip link set eth0 up");

    Pair pair;
    Configuration hidden;
    hidden.hide_addresses = true;
    pair.a.Create(hidden, pair.b);
    pair.b.Create(hidden, pair.a);
    pair.Connect();
    ASSERT_TRUE(pair.a.board().Wait("open"));
    ASSERT_TRUE(pair.b.board().Wait("open"));
    for (const std::shared_ptr<PeerConnection>& side :
         {pair.a.get(), pair.b.get()}) {
      const std::string sdp = side->local_description()->sdp;
      EXPECT_TRUE(absl::StrContains(sdp, ".local ")) << sdp;
      EXPECT_FALSE(absl::StrContains(sdp, "198.18.0.1")) << sdp;
    }
  }).join();
}

}  // namespace
}  // namespace kyuu::peer

// Which addresses of a machine are used.

#include "peer/host_sockets.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/address.h"
#include "base/testing.h"
#include "net/interfaces.h"

namespace kyuu::peer {
namespace {

net::Interface Make(const char* name, const char* address,
                    net::InterfaceKind kind = net::InterfaceKind::kOther) {
  return {name, 1, IpAddress::Parse(address).value(), kind};
}

const net::Interface kLoopback =
    Make("lo", "127.0.0.1", net::InterfaceKind::kLoopback);
const net::Interface kEthernet = Make("eth0", "192.0.2.1");
const net::Interface kCable = Make("eth0", "169.254.3.4");
const net::Interface kCable6 = Make("eth0", "fe80::1%2");
const net::Interface kDocker = Make("docker0", "172.17.0.1");

std::string Chosen(const std::vector<net::Interface>& interfaces,
                   LoopbackUse loopback = LoopbackUse::kIfAlone) {
  std::string text;
  for (const net::Interface& one : ChooseAddresses(interfaces, loopback)) {
    absl::StrAppend(&text, text.empty() ? "" : " ", one.address.ToString());
  }
  return text;
}

TEST(HostSockets, ChoosesTheBestKindThatThereIs) {
  EXPECT_EQ(Chosen({kLoopback, kEthernet, kCable, kDocker}), "192.0.2.1");
  // A cable between two machines.
  EXPECT_EQ(Chosen({kLoopback, kCable, kCable6, kDocker}),
            "169.254.3.4 fe80::1%2");
  EXPECT_EQ(Chosen({kLoopback, kDocker}), "172.17.0.1");
  EXPECT_EQ(Chosen({kLoopback}), "127.0.0.1");
  EXPECT_EQ(Chosen({kLoopback}, LoopbackUse::kNever), "");
  EXPECT_EQ(Chosen({kLoopback, kEthernet}, LoopbackUse::kAlways),
            "192.0.2.1 127.0.0.1");
}

TEST(HostSockets, NothingChangesWhileTheMachineStays) {
  auto sockets = HostSockets::Open(LoopbackUse::kAlways, 16);
  ASSERT_OK(sockets);
  const size_t count = sockets->sockets().size();
  EXPECT_TRUE(sockets->Refresh().empty());
  EXPECT_EQ(sockets->sockets().size(), count);
}

}  // namespace
}  // namespace kyuu::peer

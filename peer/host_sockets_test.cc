// Which addresses of a machine are used, and how soon a change is seen.

#include "peer/host_sockets.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/address.h"
#include "base/testing.h"
#include "net/interfaces.h"
#include "net/loop.h"
#include "net/testing/loop.h"
#include "net/testing/syscall_faults.h"

namespace kyuu::peer {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;

net::Interface Make(const char* name, const char* address,
                    net::InterfaceKind kind = net::InterfaceKind::kOther) {
  return {name, 1, IpAddress::Parse(address).value(), kind};
}
net::Interface Deprecated(net::Interface interface) {
  interface.deprecated = true;
  return interface;
}
net::Interface Temporary(net::Interface interface) {
  interface.temporary = true;
  return interface;
}

const net::Interface kLoopback =
    Make("lo", "127.0.0.1", net::InterfaceKind::kLoopback);
const net::Interface kEthernet = Make("eth0", "192.0.2.1");
const net::Interface kCable = Make("eth0", "169.254.3.4");
const net::Interface kCable6 = Make("eth0", "fe80::1%2");
const net::Interface kDocker = Make("docker0", "172.17.0.1");
const net::Interface kStable = Make("eth0", "2001:db8::1");
const net::Interface kPrivate = Temporary(Make("eth0", "2001:db8::7777"));

std::string Chosen(const std::vector<net::Interface>& interfaces,
                   LoopbackUse loopback = LoopbackUse::kIfAlone) {
  std::string text;
  for (const net::Interface& one : ChooseAddresses(interfaces, loopback)) {
    absl::StrAppend(&text, text.empty() ? "" : " ", one.address.ToString());
  }
  return text;
}

std::vector<std::string> Addresses(const HostSockets& sockets) {
  std::vector<std::string> addresses;
  for (const HostSocket& host : sockets.sockets()) {
    addresses.push_back(host.ip.ToString());
  }
  return addresses;
}

TEST(ChooseAddresses, TakesTheBestKindThatThereIs) {
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

// RFC 8445 section 5.1.1.1: who must not be tracked is told by none of his
// lasting addresses of that network.
TEST(ChooseAddresses, TemporaryInsteadOfItsStableSibling) {
  EXPECT_EQ(Chosen({kStable, kPrivate, kCable6, kEthernet}),
            "2001:db8::7777 192.0.2.1");
  // Another network, or another interface, has no such sibling.
  EXPECT_EQ(Chosen({kPrivate, Make("eth0", "2001:db8:1::1")}),
            "2001:db8::7777 2001:db8:1::1");
  EXPECT_EQ(Chosen({kPrivate, Make("eth1", "2001:db8::1")}),
            "2001:db8::7777 2001:db8::1");
}

TEST(ChooseAddresses, DeprecatedOnlyIfThereIsNoOther) {
  EXPECT_EQ(Chosen({Deprecated(kPrivate), kStable}), "2001:db8::1");
  EXPECT_EQ(Chosen({Deprecated(kStable), Deprecated(kPrivate),
                    Temporary(Make("eth0", "2001:db8::8888"))}),
            "2001:db8::8888");
  EXPECT_EQ(Chosen({Deprecated(kStable), kEthernet}), "2001:db8::1 192.0.2.1");
  // Still better than one that no router knows.
  EXPECT_EQ(Chosen({Deprecated(kStable), kCable6}), "2001:db8::1");
  EXPECT_EQ(Chosen({Deprecated(kStable),
                    Make("lo", "::1", net::InterfaceKind::kLoopback)},
                   LoopbackUse::kAlways),
            "2001:db8::1 ::1");
}

// A cable that was pulled: what else there is is used, and it, if it is alone.
TEST(ChooseAddresses, WithoutALinkOnlyIfNoneHasOne) {
  net::Interface pulled = kEthernet;
  pulled.running = false;
  const net::Interface wireless = Make("wlan0", "192.0.2.7");
  EXPECT_EQ(Chosen({kLoopback, pulled, wireless}), "192.0.2.7");
  EXPECT_EQ(Chosen({kLoopback, pulled}), "192.0.2.1");
}

TEST(ChooseAddresses, ObsoleteOnesNever) {
  EXPECT_EQ(
      Chosen({Make("eth0", "fec0::1"), Make("eth0", "::192.0.2.9"), kEthernet}),
      "192.0.2.1");
}

TEST(HostSockets, NothingChangesWhileTheMachineStays) {
  auto sockets = HostSockets::Open(
      {.loopback = LoopbackUse::kAlways, .tcp = TcpUse::kNone});
  ASSERT_OK(sockets);
  const size_t count = sockets->sockets().size();
  EXPECT_TRUE(sockets->Refresh().empty());
  EXPECT_EQ(sockets->sockets().size(), count);
}

TEST(HostSockets, ConnectionsCanBeMadeFromWhereItListens) {
  const auto sockets = HostSockets::Open(
      {.loopback = LoopbackUse::kAlways, .tcp = TcpUse::kSimultaneous});
  ASSERT_OK(sockets);
  for (const HostSocket& host : sockets->sockets()) {
    EXPECT_TRUE(host.address().tcp_lends_ports);
    const auto server = net::TcpListener::Open({.bind = {host.ip, 0}});
    ASSERT_OK(server);
    for (const net::TcpListener* ours : host.listeners()) {
      const auto stream =
          net::TcpStream::ConnectFrom(ours->local(), server->local());
      ASSERT_OK(stream);
      EXPECT_EQ(stream->path().local, ours->local());
    }
  }
}

TEST(HostSockets, SimultaneousOpeningHasAPortOfItsOwnWhereTheyAreNotShared) {
  HostSocketsOptions options{.loopback = LoopbackUse::kAlways,
                             .tcp = TcpUse::kSimultaneous};
  auto sockets = HostSockets::Open(options);
  ASSERT_OK(sockets);
  for (const HostSocket& host : sockets->sockets()) {
    ASSERT_EQ(host.listeners().size(), 2u);
    EXPECT_EQ(host.address().tcp_port, host.listeners()[0]->local().port);
    EXPECT_EQ(host.address().tcp_so_port, host.listeners()[1]->local().port);
    EXPECT_NE(host.address().tcp_port, host.address().tcp_so_port);
    EXPECT_TRUE(host.address().tcp_active);
  }
  options.ports = PortNumbers{};
  sockets = HostSockets::Open(options);
  ASSERT_OK(sockets);
  for (const HostSocket& host : sockets->sockets()) {
    EXPECT_FALSE(host.address().tcp_lends_ports) << "others listen there, too";
    EXPECT_EQ(host.listeners().size(), 1u);
    EXPECT_NE(host.address().tcp_port, 0);
    EXPECT_EQ(host.address().tcp_so_port, 0);
  }
}

TEST(HostSockets, AreWithinTheRangeOfPorts) {
  // Of which one is in use.
  const auto free = net::UdpSocket::Open({.bind = {kLoopback.address, 0}});
  ASSERT_OK(free);
  const uint16_t low =
      static_cast<uint16_t>(std::min<int>(free->local().port, 65'000));
  HostSocketsOptions options{
      .loopback = LoopbackUse::kAlways,
      .tcp = TcpUse::kSimultaneous,
      .use = {.only = {{kLoopback.address, 32}}},
      .port_range = PortRange{low, static_cast<uint16_t>(low + 200)}};
  std::vector<HostSockets> all;
  std::set<uint16_t> udp;
  for (int i = 0; i < 20; ++i) {
    auto sockets = HostSockets::Open(options);
    ASSERT_OK(sockets);
    ASSERT_EQ(sockets->sockets().size(), 1u);
    const ice::HostAddress address = sockets->sockets()[0].address();
    EXPECT_TRUE(udp.insert(address.address.port).second);
    for (const uint16_t port :
         {address.address.port, address.tcp_port, address.tcp_so_port}) {
      EXPECT_GE(port, low);
      EXPECT_LE(port, low + 200);
    }
    all.push_back(*std::move(sockets));
  }
  // The one that is in use is left out, and one of one is the whole range.
  EXPECT_FALSE(udp.contains(free->local().port));
  options.port_range = PortRange{free->local().port, free->local().port};
  EXPECT_EQ(HostSockets::Open(options).status().code(),
            net::UdpSocket::Open({.bind = free->local()}).status().code());
}

TEST(HostSockets, ARangeThatIsNoneIsRefused) {
  for (const PortRange range :
       {PortRange{0, 0}, PortRange{0, 9}, PortRange{9, 8}, PortRange{1, 0}}) {
    EXPECT_TRUE(absl::IsInvalidArgument(
        HostSockets::Open(
            {.loopback = LoopbackUse::kAlways, .port_range = range})
            .status()))
        << range.low << " " << range.high;
  }
}

TEST(HostSockets, AddressesThatAreNotWantedAreNotUsed) {
  const auto list = []() -> absl::StatusOr<std::vector<net::Interface>> {
    return std::vector<net::Interface>{
        kLoopback, Make("lo", "127.0.0.2", net::InterfaceKind::kLoopback)};
  };
  const auto opened = [&](const AddressFilter& use) {
    return HostSockets::Open({.loopback = LoopbackUse::kAlways, .use = use},
                             list);
  };
  EXPECT_THAT(Addresses(*opened({})), ElementsAre("127.0.0.1", "127.0.0.2"));
  EXPECT_THAT(Addresses(*opened({.except = {{kLoopback.address, 32}}})),
              ElementsAre("127.0.0.2"));
  EXPECT_THAT(Addresses(*opened({.only = {{kLoopback.address, 8}},
                                 .except = {{kLoopback.address, 32}}})),
              ElementsAre("127.0.0.2"));
  EXPECT_TRUE(absl::IsUnavailable(
      opened({.only = {IpPrefix::Parse("192.0.2.0/24").value()}}).status()));
}

// Where nobody lists the machine's addresses, as where netlink is forbidden,
// its routes still tell which ones work.
TEST(HostSockets, WithoutAListTheRoutesTell) {
  auto sockets = HostSockets::Open(
      {.loopback = LoopbackUse::kAlways, .tcp = TcpUse::kNone},
      []() -> absl::StatusOr<std::vector<net::Interface>> {
        return absl::PermissionDeniedError("netlink");
      });
  ASSERT_OK(sockets);
  EXPECT_THAT(Addresses(*sockets), Contains("127.0.0.1"));
  EXPECT_TRUE(sockets->Refresh().empty());
}

TEST(HostSockets, AListThatFailsOnceClosesNothing) {
  std::optional<absl::Status> fault;
  auto sockets = HostSockets::Open(
      {.loopback = LoopbackUse::kAlways, .tcp = TcpUse::kNone},
      [&]() -> absl::StatusOr<std::vector<net::Interface>> {
        if (fault) return *fault;
        return std::vector<net::Interface>{
            kLoopback, Make("lo", "127.0.0.2", net::InterfaceKind::kLoopback)};
      });
  ASSERT_OK(sockets);
  EXPECT_EQ(sockets->sockets().size(), 2u);
  fault = absl::ResourceExhaustedError("no buffers");
  EXPECT_TRUE(sockets->Refresh().empty());
  EXPECT_EQ(sockets->sockets().size(), 2u);
}

TEST(NatMapping, IsWhatIsToldAndWhatIsOurs) {
  const IpAddress told = IpAddress::V4(203, 0, 113, 5);
  const auto any = NatMapping::Parse("203.0.113.5");
  ASSERT_OK(any);
  EXPECT_EQ(*any, (NatMapping{told, std::nullopt}));
  const auto one = NatMapping::Parse("203.0.113.5/10.0.0.5");
  ASSERT_OK(one);
  EXPECT_EQ(*one, (NatMapping{told, IpAddress::V4(10, 0, 0, 5)}));
  for (const char* bad : {"", "a.test", "203.0.113.5/", "/10.0.0.5",
                          "203.0.113.5/::1", "203.0.113.5/10.0.0.5/8"}) {
    EXPECT_THAT(NatMapping::Parse(bad),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << bad;
  }
}

// One address of those that are shown is one of ours.
TEST(NatMapping, IsOfOneAddress) {
  const IpAddress told = IpAddress::V4(203, 0, 113, 5);
  const auto mapped = [](std::vector<NatMapping> mappings) {
    auto sockets = HostSockets::Open(
        {.loopback = LoopbackUse::kAlways,
         .tcp = TcpUse::kNone,
         .nat_mappings = std::move(mappings)},
        []() -> absl::StatusOr<std::vector<net::Interface>> {
          return std::vector<net::Interface>{
              Make("lo", "127.0.0.2", net::InterfaceKind::kLoopback),
              Make("eth0", "127.0.0.3"), Make("eth1", "127.0.0.4")};
        });
    EXPECT_OK(sockets);
    std::vector<std::string> found;
    for (const HostSocket& host : sockets->sockets()) {
      if (host.address().mapped) found.push_back(host.ip.ToString());
    }
    return found;
  };
  EXPECT_THAT(mapped({{told, IpAddress::V4(127, 0, 0, 4)}}),
              ElementsAre("127.0.0.4"));
  EXPECT_THAT(mapped({{told, IpAddress::V4(127, 0, 0, 9)}}), IsEmpty());
  EXPECT_THAT(mapped({{told, std::nullopt}}), IsEmpty()) << "none is suitable";
}

// In a network namespace of its own, where the test may change addresses. Of
// the two ends of a cable, both here, one is named like an interface.
class HostSocketsInNamespaceTest : public testing::Test {
 protected:
  void SetUp() override {
    const int flags =
        geteuid() == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET;
    ASSERT_EQ(unshare(flags), 0);
    Run("ip link set lo up");
    Run("ip link add eth0 type veth peer name far");
    Run("ip link set far up");
    Run("ip link set eth0 addrgenmode none");
    Run("ip link set eth0 up");
  }
  static void Run(const std::string& command) {
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
  }
};

// Between the looks that it takes of itself it would be longer than this test
// may last: the system tells.
TEST_F(HostSocketsInNamespaceTest, AddressesThatComeAndGoAreSeenAtOnce) {
  net::TestLoop loop;
  Run("ip addr add 198.18.0.1/24 dev eth0");
  auto sockets = HostSockets::Open(
      {.loopback = LoopbackUse::kIfAlone, .tcp = TcpUse::kNone});
  ASSERT_OK(sockets);
  EXPECT_THAT(Addresses(*sockets), ElementsAre("198.18.0.1"));
  std::vector<std::string> seen;
  HostWatch watch(*loop, [&] {
    const HostSockets::Changes changes = sockets->Refresh();
    for (const HostSocket* added : changes.added) {
      seen.push_back(absl::StrCat("+", added->ip.ToString()));
    }
    for (const HostSocket& gone : changes.gone) {
      seen.push_back(absl::StrCat("-", gone.ip.ToString()));
    }
    loop->Stop();
  });
  ASSERT_OK(watch.status());
  loop->Run();  // The first look.
  Run("ip addr add 198.19.0.2/24 dev eth0");
  Run("ip addr del 198.18.0.1/24 dev eth0");
  loop.RunUntil([&] { return seen.size() >= 2; });
  Run("ip -6 addr add 2001:db8::1/64 dev eth0 nodad");
  loop.RunUntil([&] { return seen.size() >= 3; });
  Run("ip link set eth0 down");
  loop.RunUntil([&] { return seen.size() >= 5; });
  EXPECT_THAT(seen, AllOf(Contains("+198.19.0.2"), Contains("-198.18.0.1"),
                          Contains("+2001:db8::1"), Contains("-2001:db8::1")));
}

TEST_F(HostSocketsInNamespaceTest, WithoutNetlinkItAsksAgainAndSaysWhy) {
  net::TestLoop loop;
  net::SyscallFaults faults;
  faults.Fail(net::Syscall::kBind, EPERM);
  int looks = 0;
  HostWatch watch(*loop, [&] {
    ++looks;
    loop->Stop();
  });
  EXPECT_THAT(watch.status(), StatusIs(absl::StatusCode::kPermissionDenied));
  loop.RunUntil([&] { return looks >= 2; });
  EXPECT_THAT(watch.status(), StatusIs(absl::StatusCode::kPermissionDenied));
  // It was for the moment only.
  faults.Heal(net::Syscall::kBind);
  loop.RunUntil([&] { return looks >= 3; });
  EXPECT_OK(watch.status());
  looks = 0;
  Run("ip addr add 198.18.0.1/24 dev eth0");
  loop.RunUntil([&] { return looks >= 1; });
}

// The same where the loop is what cannot watch one more descriptor.
TEST_F(HostSocketsInNamespaceTest, WithoutAPlaceInTheLoopItAsksAgain) {
  net::TestLoop loop;
  net::SyscallFaults faults;
  faults.Fail(net::Syscall::kEpollCtl, ENOSPC);
  HostWatch watch(*loop, [&] { loop->Stop(); });
  EXPECT_THAT(watch.status(), StatusIs(absl::StatusCode::kResourceExhausted));
  faults.Heal(net::Syscall::kEpollCtl);
  loop.RunUntil([&] { return watch.status().ok(); });
}

// What runs over an address goes on when a better one comes.
TEST_F(HostSocketsInNamespaceTest, AnAddressThatIsDeprecatedLaterStaysOpen) {
  Run("ip -6 addr add 2001:db8::1/64 dev eth0 nodad");
  auto sockets = HostSockets::Open(
      {.loopback = LoopbackUse::kIfAlone, .tcp = TcpUse::kNone});
  ASSERT_OK(sockets);
  EXPECT_THAT(Addresses(*sockets), ElementsAre("2001:db8::1"));
  Run("ip -6 addr add 2001:db8::2/64 dev eth0 nodad");
  Run("ip -6 addr change 2001:db8::1/64 dev eth0 preferred_lft 0");
  EXPECT_THAT(sockets->Refresh().gone, IsEmpty());
  EXPECT_THAT(Addresses(*sockets), ElementsAre("2001:db8::1", "2001:db8::2"));
  // Whoever begins now is not told of it.
  auto fresh = HostSockets::Open(
      {.loopback = LoopbackUse::kIfAlone, .tcp = TcpUse::kNone});
  ASSERT_OK(fresh);
  EXPECT_THAT(Addresses(*fresh), ElementsAre("2001:db8::2"));
  Run("ip -6 addr del 2001:db8::1/64 dev eth0");
  EXPECT_EQ(sockets->Refresh().gone.size(), 1u);
}

TEST_F(HostSocketsInNamespaceTest, LinkLocalOnlyWhileThereIsNothingBetter) {
  Run("ip -6 addr add fe80::77/64 dev eth0 nodad");
  auto sockets = HostSockets::Open(
      {.loopback = LoopbackUse::kIfAlone, .tcp = TcpUse::kNone});
  ASSERT_OK(sockets);
  EXPECT_THAT(Addresses(*sockets), ElementsAre(StartsWith("fe80::77%")));
  Run("ip addr add 198.18.0.1/24 dev eth0");
  const HostSockets::Changes changes = sockets->Refresh();
  EXPECT_EQ(changes.added.size(), 1u);
  EXPECT_EQ(changes.gone.size(), 1u);
  EXPECT_THAT(Addresses(*sockets), ElementsAre("198.18.0.1"));
}

}  // namespace
}  // namespace kyuu::peer

// The program in the kernel beside the server that it stands in for, in a
// network namespace of its own. Needs root, as the program does.

#include "relay/kernel/kernel_path.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "net/loop.h"
#include "net/testing/loop.h"
#include "relay/flow_driver.h"
#include "relay/flow_path.h"
#include "stun/message.h"
#include "turn/channel_data.h"
#include "turn/server.h"
#include "turn/testing/server_harness.h"

namespace kyuu::relay::kernel {
namespace {

using turn::Direction;

constexpr uint16_t kChannel = 0x4001;
constexpr size_t kEthernet = 14;

IpAddress Ip(const char* text) { return *IpAddress::Parse(text); }

const IpAddress kRelayV6 = Ip("2a00::2");
const TransportAddress kServerV6{Ip("2a00::1"), 3478};
const TransportAddress kPeerV6{Ip("2a01::8"), 7000};

// The sum of a checksum, which has to be checked without one.
uint16_t SumOf(absl::Span<const uint8_t> bytes, uint32_t sum = 0) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    sum += i % 2 == 0 ? uint32_t{bytes[i]} << 8 : bytes[i];
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

// A datagram of UDP in a frame of Ethernet.
struct Frame {
  TransportAddress from;
  TransportAddress to;
  uint8_t traffic_class = 0;
  uint8_t hop_limit = 64;
  std::vector<uint8_t> payload;

  std::vector<uint8_t> Write() const {
    const size_t udp = 8 + payload.size();
    const bool v4 = from.ip.is_v4();
    std::vector<uint8_t> bytes(kEthernet + (v4 ? 20 : 40) + udp);
    Writer w(absl::MakeSpan(bytes));
    w.Bytes(std::vector<uint8_t>(12, 0x02));
    w.U16(v4 ? 0x0800 : 0x86dd);
    if (v4) {
      w.U8(0x45);
      w.U8(traffic_class);
      w.U16(static_cast<uint16_t>(20 + udp));
      w.U32(0x12340000);
      w.U8(hop_limit);
      w.U8(17);
      w.U16(0);
    } else {
      w.U32(0x60000000u | uint32_t{traffic_class} << 20);
      w.U16(static_cast<uint16_t>(udp));
      w.U8(17);
      w.U8(hop_limit);
    }
    w.Bytes(from.ip.bytes());
    w.Bytes(to.ip.bytes());
    w.U16(from.port);
    w.U16(to.port);
    w.U16(static_cast<uint16_t>(udp));
    w.U16(0);
    w.Bytes(payload);
    const size_t at = bytes.size() - udp;
    const auto sum = static_cast<uint16_t>(~Sum(bytes, at));
    bytes[at + 6] = static_cast<uint8_t>((sum == 0 ? 0xffff : sum) >> 8);
    bytes[at + 7] = static_cast<uint8_t>(sum == 0 ? 0xffff : sum);
    if (v4) {
      const auto header = static_cast<uint16_t>(
          ~SumOf(absl::MakeConstSpan(bytes).subspan(kEthernet, 20)));
      bytes[kEthernet + 10] = static_cast<uint8_t>(header >> 8);
      bytes[kEthernet + 11] = static_cast<uint8_t>(header);
    }
    return bytes;
  }

  // nullopt unless all lengths and checksums are right.
  static std::optional<Frame> Read(absl::Span<const uint8_t> bytes) {
    Reader r(bytes);
    Frame frame;
    r.Bytes(12);
    const bool v4 = r.U16() == 0x0800;
    size_t udp = 0;
    if (v4) {
      r.U8();
      frame.traffic_class = r.U8();
      udp = r.U16() - 20u;
      r.U32();
      frame.hop_limit = r.U8();
      r.U8();
      r.U16();
      if (SumOf(bytes.subspan(kEthernet, 20)) != 0xffff) return std::nullopt;
    } else {
      frame.traffic_class = static_cast<uint8_t>(r.U32() >> 20);
      udp = r.U16();
      r.U8();
      frame.hop_limit = r.U8();
    }
    const size_t size = v4 ? 4 : 16;
    frame.from.ip = IpAddress::FromBytes(r.Bytes(size));
    frame.to.ip = IpAddress::FromBytes(r.Bytes(size));
    const size_t at = kEthernet + (v4 ? 20 : 40);
    frame.from.port = r.U16();
    frame.to.port = r.U16();
    if (r.U16() != udp || at + udp != bytes.size()) return std::nullopt;
    r.U16();
    if (Sum(bytes, at) != 0xffff) return std::nullopt;
    const auto payload = bytes.subspan(at + 8);
    frame.payload.assign(payload.begin(), payload.end());
    return frame;
  }

 private:
  // Of a datagram, with what stands in front of it for its checksum.
  static uint16_t Sum(absl::Span<const uint8_t> bytes, size_t at) {
    const size_t addresses = at == kEthernet + 20 ? 8 : 32;
    const auto udp = bytes.subspan(at);
    const uint32_t front = SumOf(bytes.subspan(at - addresses, addresses));
    return SumOf(udp, front + 17 + static_cast<uint32_t>(udp.size()));
  }
};

// Without what is behind the datagram that the IP header tells of.
absl::Span<const uint8_t> Unpadded(absl::Span<const uint8_t> frame) {
  if (frame.size() < kEthernet + 20) return frame;
  const bool v4 = frame[12] == 0x08;
  const size_t at = kEthernet + (v4 ? 2 : 4);
  const size_t length = size_t{frame[at]} << 8 | frame[at + 1];
  return frame.first(
      std::min(frame.size(), kEthernet + length + (v4 ? 0 : 40)));
}

// The clock of the kernel for a path of flows that have another.
class Shifted : public FlowPath {
 public:
  Shifted(FlowPath& path, absl::Duration by) : path_(path), by_(by) {}

  std::vector<turn::Flow> flows;

  std::optional<Handle> Install(const turn::Flow& flow) override {
    flows.push_back(flow);
    return path_.Install(Shift(flow));
  }
  void Update(Handle handle, const turn::Flow& flow) override {
    path_.Update(handle, Shift(flow));
  }
  Counts Remove(Handle handle) override { return path_.Remove(handle); }
  Counts Read(Handle handle) const override { return path_.Read(handle); }
  void Fund(Handle handle, Direction direction, int64_t bytes) override {
    path_.Fund(handle, direction, bytes);
  }
  int64_t Funds(Handle handle, Direction direction) const override {
    return path_.Funds(handle, direction);
  }

 private:
  turn::Flow Shift(turn::Flow flow) const {
    flow.to_peer_until += by_;
    flow.to_client_until += by_;
    return flow;
  }

  FlowPath& path_;
  const absl::Duration by_;
};

void Shell(const char* command) {
  ASSERT_EQ(std::system(command), 0) << command;
}

class KernelPathTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    ASSERT_EQ(unshare(CLONE_NEWNET), 0) << "root is needed";
    for (const char* command :
         {"ip link add v0 type veth peer name v1", "ip link set v0 up",
          "ip link set v1 up", "ip addr add 192.0.2.1/24 dev v0",
          "ip addr add 192.0.2.2/24 dev v0",
          "ip addr add 2a00::1/64 dev v0 nodad",
          "ip addr add 2a00::2/64 dev v0 nodad",
          "ip route add default via 192.0.2.254",
          "ip route add default via 2a00::fe"}) {
      Shell(command);
    }
    AddNeighbors();
  }
  static void AddNeighbors() {
    Shell("ip neigh add 192.0.2.254 lladdr 02:00:00:00:00:fe dev v0");
    Shell("ip neigh add 2a00::fe lladdr 02:00:00:00:00:fe dev v0");
  }

  void Reopen(std::vector<IpAddress> addresses,
              absl::AnyInvocable<void(const std::string&, const absl::Status&)>
                  on_change = nullptr,
              std::vector<Attachment> kept = {}) {
    driver_.reset();
    path_.reset();
    KernelPath::Options options;
    options.kept = std::move(kept);
    options.addresses = std::move(addresses);
    options.on_change = std::move(on_change);
    options.program.listeners = {turn::kTestServer.port};
    options.program.binding_per_s = 1000;
    options.program.binding_burst = 5;
    auto path = KernelPath::Open(*loop_, std::move(options));
    ASSERT_TRUE(path.ok()) << path.status();
    path_ = *std::move(path);
  }

  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(Reopen({turn::kTestServer.ip, turn::kTestRelay}));
    shifted_.emplace(*path_, net::Loop::Now() - harness_.now());
    driver_.emplace(harness_.server().flows(), *shifted_);
    ASSERT_TRUE(
        harness_
            .Allocate(client_,
                      [](stun::MessageWriter& w) {
                        w.Add(stun::AdditionalAddressFamily{IpFamily::kV6});
                      })
            .ok());
    ASSERT_TRUE(harness_.Bind(client_, kChannel, turn::kTestPeer).ok());
    ASSERT_TRUE(harness_.Bind(client_, kChannel + 1, kPeerV6).ok());
    driver_->Serve(harness_.now());
    ASSERT_EQ(driver_->size(), 2u);
  }

  static turn::ServerOptions Options() {
    turn::ServerOptions options = turn::ServerHarness::Options();
    options.relay_addresses.push_back({kRelayV6, {}});
    return options;
  }
  static std::vector<uint8_t> ChannelData(uint16_t channel, size_t size) {
    std::vector<uint8_t> data(4 + size, 0x5a);
    turn::WriteChannelHeader(channel, size, absl::MakeSpan(data).first(4));
    return data;
  }
  Program::Outcome Try(absl::Span<const uint8_t> frame) {
    auto outcome = path_->program().Try(frame);
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    return *std::move(outcome);
  }
  // What a client or a peer of one of the two flows may send.
  Frame FromClient(size_t flow, size_t size) const {
    return {client_.path.remote, turn::kTestServer, 0, 64,
            ChannelData(shifted_->flows[flow].channel, size)};
  }
  Frame FromPeer(size_t flow, size_t size) const {
    return {shifted_->flows[flow].peer, shifted_->flows[flow].relay, 0, 64,
            std::vector<uint8_t>(size, 0xa5)};
  }

  // What the server makes of a datagram, as it would leave; nullopt if nothing.
  std::optional<Frame> Oracle(const Frame& in) {
    absl::Span<const turn::Forward> forwards;
    if (in.to == turn::kTestServer) {
      forwards = harness_.server().FromClient(harness_.now(),
                                              {in.to, in.from, Transport::kUdp},
                                              in.payload, in.payload.size());
    } else {
      for (const turn::Flow& flow : shifted_->flows) {
        if (flow.relay != in.to) continue;
        forwards =
            harness_.server().FromPeer(harness_.now(), flow.allocation, in.from,
                                       in.payload, in.payload.size());
      }
    }
    if (forwards.size() != 1 || forwards[0].segments != 1) return std::nullopt;
    Frame out;
    out.from = forwards[0].path.local;
    out.to = forwards[0].path.remote;
    const auto prefix = forwards[0].prefixes.first(forwards[0].prefix_bytes);
    out.payload.assign(prefix.begin(), prefix.end());
    const auto payload = forwards[0].payload(0);
    out.payload.insert(out.payload.end(), payload.begin(), payload.end());
    return out;
  }

  // Turns until `done`, which is asked again and again.
  void Await(absl::FunctionRef<bool()> done) {
    std::optional<net::Alarm> ask;
    ask.emplace(*loop_, [&] {
      loop_->Stop();
      ask->Set(net::Loop::Now() + absl::Milliseconds(1));
    });
    ask->Set(net::Loop::Now());
    loop_.RunUntil(done);
  }

  net::TestLoop loop_;
  turn::ServerHarness harness_{Options()};
  turn::TestClient client_{1000};
  std::unique_ptr<KernelPath> path_;
  std::optional<Shifted> shifted_;
  std::optional<FlowDriver> driver_;
};

TEST_F(KernelPathTest, BothFlowsBothWaysAreAsTheServersOwn) {
  for (const size_t flow : {0, 1}) {
    for (const size_t size : {1, 2, 3, 100, 999, 1400}) {
      for (Frame in : {FromClient(flow, size), FromPeer(flow, size)}) {
        in.traffic_class = 0xb9;
        in.hop_limit = 9;
        const Program::Outcome outcome = Try(in.Write());
        ASSERT_EQ(outcome.verdict, XDP_REDIRECT);
        const std::optional<Frame> out = Frame::Read(outcome.frame);
        ASSERT_TRUE(out.has_value()) << "lengths or checksums";
        const std::optional<Frame> wanted = Oracle(in);
        ASSERT_TRUE(wanted.has_value());
        EXPECT_EQ(out->from, wanted->from);
        EXPECT_EQ(out->to, wanted->to);
        EXPECT_EQ(out->payload, wanted->payload);
        EXPECT_EQ(out->traffic_class, 0xb9);
        EXPECT_EQ(out->hop_limit, 8);
        EXPECT_EQ(outcome.frame[5], 0xfe);  // To the gateway.
      }
    }
  }
}

TEST_F(KernelPathTest, ShortFramesLoseTheirPadding) {
  std::vector<uint8_t> frame = FromClient(0, 1).Write();
  frame.resize(60, 0x77);
  const Program::Outcome outcome = Try(frame);
  EXPECT_EQ(outcome.verdict, XDP_REDIRECT);
  EXPECT_TRUE(Frame::Read(outcome.frame).has_value());
}

TEST_F(KernelPathTest, TooBigForTheWayIsLeftToTheProcess) {
  // 1500 as it comes, 4 more as ChannelData.
  EXPECT_EQ(Try(FromPeer(0, 1472).Write()).verdict, XDP_PASS);
  EXPECT_EQ(Try(FromPeer(0, 1468).Write()).verdict, XDP_REDIRECT);
  // From IPv4 to IPv6 20 more, and the header less.
  EXPECT_EQ(Try(FromClient(1, 1453).Write()).verdict, XDP_PASS);
  EXPECT_EQ(Try(FromClient(1, 1452).Write()).verdict, XDP_REDIRECT);
  EXPECT_EQ(path_->stats().too_big, 2u);
}

TEST_F(KernelPathTest, HopsEnd) {
  Frame in = FromPeer(0, 10);
  in.hop_limit = 1;
  EXPECT_EQ(Try(in.Write()).verdict, XDP_DROP);
  EXPECT_EQ(path_->stats().hop_limit, 1u);
}

TEST_F(KernelPathTest, WhatIsOverIsLeftToTheProcess) {
  harness_.Advance(absl::Minutes(5));
  EXPECT_EQ(Try(FromPeer(0, 10).Write()).verdict, XDP_REDIRECT);
  // The kernel's clock stands, but the times that it is told may end now.
  turn::Flow flow = shifted_->flows[0];
  flow.to_client_until = harness_.now() - absl::Minutes(6);
  shifted_->Update(FlowPath::Handle{0}, flow);
  EXPECT_EQ(Try(FromPeer(0, 10).Write()).verdict, XDP_PASS);
  EXPECT_EQ(Try(FromClient(0, 10).Write()).verdict, XDP_REDIRECT);
}

TEST_F(KernelPathTest, AnEndedAllocationIsAtAnEndHere) {
  ASSERT_TRUE(harness_.Refresh(client_, 0).ok());
  driver_->Serve(harness_.now());
  EXPECT_EQ(Try(FromPeer(0, 10).Write()).verdict, XDP_PASS);
  EXPECT_EQ(Try(FromClient(1, 10).Write()).verdict, XDP_PASS);
}

TEST_F(KernelPathTest, MeteredFlowsEndWithTheirFunds) {
  turn::ServerOptions options = Options();
  options.bandwidth.allocation_bytes_per_s = 5000;
  harness_.SetOptions(options);
  driver_->Serve(harness_.now());
  int passed = 0;
  while (Try(FromPeer(0, 1000).Write()).verdict == XDP_REDIRECT) ++passed;
  EXPECT_EQ(passed, 3);  // 2048 bytes, and the last that began within them.
  EXPECT_EQ(path_->stats().unfunded, 1u);
  driver_->Tick(harness_.now());
  EXPECT_EQ(harness_.server().stats().bytes_to_clients, 3000u);
}

TEST_F(KernelPathTest, AWayIsGoneWithItsNeighborAndBackWithIt) {
  ASSERT_NO_FATAL_FAILURE(
      Shell("ip neigh del 192.0.2.254 lladdr 02:00:00:00:00:fe dev v0"));
  Await([&] { return Try(FromPeer(0, 10).Write()).verdict == XDP_PASS; });
  EXPECT_EQ(path_->stats().no_way, 1u);
  ASSERT_NO_FATAL_FAILURE(
      Shell("ip neigh replace 192.0.2.254 lladdr 02:00:00:00:00:fd dev v0"));
  Await([&] { return Try(FromPeer(0, 10).Write()).verdict == XDP_REDIRECT; });
  EXPECT_EQ(Try(FromPeer(0, 10).Write()).frame[5], 0xfd);
  ASSERT_NO_FATAL_FAILURE(
      Shell("ip neigh replace 192.0.2.254 lladdr 02:00:00:00:00:fe dev v0"));
}

TEST_F(KernelPathTest, AnInterfaceThatChangesIsFollowed) {
  EXPECT_EQ(Try(FromPeer(0, 1400).Write()).verdict, XDP_REDIRECT);
  ASSERT_NO_FATAL_FAILURE(Shell("ip link set v0 mtu 1300"));
  Await([&] { return Try(FromPeer(0, 1400).Write()).verdict == XDP_PASS; });
  EXPECT_EQ(Try(FromPeer(0, 1200).Write()).verdict, XDP_REDIRECT);
  // What an operator has set by hand is as it was.
  for (const char* ip : {"192.0.2.254", "2a00::fe"}) {
    Shell(absl::StrCat("ip neigh show nud permanent | grep -q ", ip).c_str());
  }
  ASSERT_NO_FATAL_FAILURE(Shell("ip link set v0 mtu 1500"));
  Await([&] { return Try(FromPeer(0, 1400).Write()).verdict == XDP_REDIRECT; });
  // Linux forgets all neighbors then, also those that were set by hand.
  ASSERT_NO_FATAL_FAILURE(Shell("ip link set v0 address 02:00:00:00:00:77"));
  AddNeighbors();
  Await([&] { return Try(FromPeer(0, 10).Write()).frame[11] == 0x77; });
}

TEST_F(KernelPathTest, InterfacesThatComeAndGoAreFollowed) {
  std::vector<std::string> told;
  Reopen({IpAddress::V4(0, 0, 0, 0)},
         [&](const std::string& where, const absl::Status&) {
           told.push_back(where);
         });
  const std::string before = path_->Where();
  ASSERT_NO_FATAL_FAILURE(
      Shell("ip link add w0 type veth peer name w1 && ip link set w0 up && "
            "ip link set w1 up && ip addr add 198.51.100.1/24 dev w0"));
  Await([&] { return absl::StrContains(path_->Where(), "w0"); });
  ASSERT_NO_FATAL_FAILURE(Shell("ip link del w0"));
  Await([&] { return path_->Where() == before; });
  ASSERT_EQ(told.size(), 2u);
  EXPECT_TRUE(absl::StrContains(told[0], "w0"));
  EXPECT_EQ(told[1], before);
}

// What `ip` says of the interface's program, and of what keeps it there.
struct AtInterface {
  uint32_t program = 0;
  uint32_t link = 0;
};

AtInterface Look(const char* name) {
  AtInterface found;
  bpf_xdp_query_opts options{};
  options.sz = sizeof options;
  if (bpf_xdp_query(static_cast<int>(if_nametoindex(name)), 0, &options) == 0) {
    found.program = options.prog_id;
  }
  for (uint32_t id = 0; bpf_link_get_next_id(id, &id) == 0;) {
    const Attachment link(bpf_link_get_fd_by_id(id));
    if (InterfaceOf(link) == if_nametoindex(name)) found.link = id;
  }
  return found;
}

// With the program in the driver, whose other end listens.
class LeavingTest : public KernelPathTest {
 protected:
  void SetUp() override {
    Shell("PATH=$PATH:/usr/sbin ethtool -K v1 gro on");
    KernelPathTest::SetUp();
    ASSERT_EQ(path_->Where(), "v0 (native)");
  }
  void TearDown() override {
    Shell("PATH=$PATH:/usr/sbin ethtool -K v1 gro off");
  }
};

// A server that is started anew need not wait for the kernel, which takes long
// to take a program off a driver, and to bring it there.
TEST_F(LeavingTest, TheNextOneComesInItsPlace) {
  const AtInterface before = Look("v0");
  ASSERT_NE(before.program, 0u);
  ASSERT_NE(before.link, 0u);
  std::vector<Attachment> left = path_->Leave();
  ASSERT_EQ(left.size(), 1u);
  // What goes on there relays nothing.
  EXPECT_EQ(Try(FromClient(0, 10).Write()).verdict, XDP_PASS);
  EXPECT_EQ(Try(FromPeer(1, 10).Write()).verdict, XDP_PASS);
  driver_.reset();
  path_.reset();
  EXPECT_EQ(Look("v0").program, before.program);

  // Another file is none of it, and one that is not needed is closed.
  left.push_back(net::Fd(dup(0)));
  left.push_back(net::Fd(fcntl(left[0].get(), F_DUPFD_CLOEXEC, 0)));
  ASSERT_NO_FATAL_FAILURE(Reopen({turn::kTestServer.ip, turn::kTestRelay},
                                 nullptr, std::move(left)));
  const AtInterface after = Look("v0");
  EXPECT_NE(after.program, before.program);
  EXPECT_NE(after.program, 0u);
  EXPECT_EQ(after.link, before.link);
  path_.reset();
  EXPECT_EQ(Look("v0").program, 0u);
  shifted_.reset();
}

TEST_F(LeavingTest, WhatIsLeftForNobodyIsTakenOff) {
  std::vector<Attachment> left = path_->Leave();
  EXPECT_NE(Look("v0").program, 0u);
  left.clear();
  EXPECT_EQ(Look("v0").program, 0u);
}

TEST_F(KernelPathTest, BindingRequestsAreAnsweredWithinASourcesShare) {
  for (const TransportAddress& server : {turn::kTestServer, kServerV6}) {
    Frame in;
    in.from = server.ip.is_v4() ? turn::kTestPeer : kPeerV6;
    in.to = server;
    in.payload.resize(100);
    stun::MessageWriter w(absl::MakeSpan(in.payload),
                          stun::MessageClass::kRequest, stun::Method::kBinding,
                          stun::TransactionId::Generate(harness_.random()));
    in.payload.resize(w.Finish().size());
    for (int i = 0; i < 6; ++i) {  // The first, and a burst of five.
      const Program::Outcome outcome = Try(in.Write());
      ASSERT_EQ(outcome.verdict, XDP_REDIRECT);
      const std::optional<Frame> out = Frame::Read(outcome.frame);
      ASSERT_TRUE(out.has_value()) << "lengths or checksums";
      EXPECT_EQ(out->from, in.to);
      EXPECT_EQ(out->to, in.from);
      harness_.server().FromClient(harness_.now(),
                                   {in.to, in.from, Transport::kUdp},
                                   in.payload, in.payload.size());
      std::array<uint8_t, 200> buffer;
      const auto wanted = harness_.server().PollTransmit(
          harness_.now(), absl::MakeSpan(buffer));
      ASSERT_TRUE(wanted.has_value());
      EXPECT_EQ(absl::MakeConstSpan(out->payload), wanted->bytes);
    }
  }
}

// Damages a frame a little, or not at all.
void Damage(Random& random, std::vector<uint8_t>& frame) {
  for (uint64_t n = random.U64() % 3; n > 0; --n) {
    frame[random.U64() % frame.size()] ^=
        static_cast<uint8_t>(1u << random.U64() % 8);
  }
  const auto at = [&](size_t from) {
    const size_t place = std::min<size_t>(
        from + random.U64() % (frame.size() - from), frame.size());
    return frame.begin() + static_cast<ptrdiff_t>(place);
  };
  switch (random.U64() % 32) {
    case 0:
      return frame.resize(kEthernet + random.U64() % frame.size());
    case 1:  // Longer than it says.
      return frame.resize(frame.size() + random.U64() % 60,
                          static_cast<uint8_t>(random.U64()));
    case 2: {  // In a VLAN, where options are, or anywhere.
      const std::vector<uint8_t> more(4 * (1 + random.U64() % 4), 0x81);
      frame.insert(at(12), more.begin(), more.end());
      return;
    }
    case 3: {  // Without a part.
      const auto begin = at(kEthernet);
      frame.erase(begin, std::min(begin + 4, frame.end()));
      return;
    }
    case 4:  // Another value in one byte.
      *at(kEthernet) = static_cast<uint8_t>(random.U64());
      return;
    case 5: {  // Other options, version, lengths and fragments.
      const size_t bytes = std::min<size_t>(8, frame.size() - kEthernet);
      random.Fill(absl::MakeSpan(frame).subspan(kEthernet, bytes));
      return;
    }
    default:
      return;
  }
}

// Frames that are nearly right: what the program sends is what the server
// would, and what it leaves is as it came. As often as KYUU_FRAMES says, from
// KYUU_SEED on: no fuzzer sees into a program of the kernel.
TEST_F(KernelPathTest, HostileFramesAreTheServersToJudge) {
  const auto number = [](const char* name, uint64_t fallback) {
    const char* value = std::getenv(name);
    return value == nullptr ? fallback : std::strtoull(value, nullptr, 10);
  };
  SeededRandom random(number("KYUU_SEED", 1));
  uint64_t sent = 0;
  const uint64_t frames = number("KYUU_FRAMES", 20'000);
  for (uint64_t i = 0; i < frames; ++i) {
    const size_t flow = random.U64() % 2;
    const size_t size = random.U64() % 40;
    std::vector<uint8_t> frame =
        (random.U64() % 2 == 0 ? FromClient(flow, size) : FromPeer(flow, size))
            .Write();
    Damage(random, frame);
    if (frame.size() < kEthernet) continue;
    const Program::Outcome outcome = Try(frame);
    if (outcome.verdict == XDP_PASS) {
      ASSERT_EQ(outcome.frame, frame);
      continue;
    }
    if (outcome.verdict == XDP_DROP) continue;  // Its hops were used up.
    ASSERT_EQ(outcome.verdict, XDP_REDIRECT);
    // A wrong checksum stays wrong, for its receiver to see.
    const std::optional<Frame> in = Frame::Read(Unpadded(frame));
    const std::optional<Frame> out = Frame::Read(outcome.frame);
    if (!in.has_value()) continue;
    ++sent;
    ASSERT_TRUE(out.has_value());
    const std::optional<Frame> wanted = Oracle(*in);
    ASSERT_TRUE(wanted.has_value());
    ASSERT_EQ(out->from, wanted->from);
    ASSERT_EQ(out->to, wanted->to);
    ASSERT_EQ(out->payload, wanted->payload);
  }
  EXPECT_GT(sent, frames / 20);
}

}  // namespace
}  // namespace kyuu::relay::kernel

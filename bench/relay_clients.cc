#include "bench/relay_clients.h"

#include <sys/epoll.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <variant>

#include "absl/strings/numbers.h"
#include "base/check.h"
#include "net/loop.h"
#include "stun/message.h"

namespace kyuu::bench {
namespace {

constexpr int kReady = 64;

}  // namespace

RelayClients::RelayClients(const RelayClientsOptions& options)
    : options_(options),
      peer_(*net::UdpSocket::Open({.bind = {options.peer, 0}})),
      payload_(options.binding() ? 0 : options.bytes, 0x5a),
      epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  KYUU_CHECK(epoll_.valid());
}

bool RelayClients::Open() {
  for (size_t i = 0; i < options_.flows; ++i) {
    // A port may be that of a client which the server has not forgotten.
    int attempts = 20;
    while (!Allocate(i)) {
      flows_.pop_back();
      if (--attempts == 0) return false;
    }
  }
  return true;
}

bool RelayClients::Allocate(size_t index) {
  auto socket = net::UdpSocket::Open({.bind = {options_.client, 0}});
  KYUU_CHECK(socket.ok());
  flows_.push_back(std::make_unique<RelayFlow>(*std::move(socket)));
  RelayFlow& flow = *flows_.back();
  if (options_.binding()) {
    flow.head.resize(stun::kHeaderSize);
    stun::MessageWriter writer(absl::MakeSpan(flow.head),
                               stun::MessageClass::kRequest,
                               stun::Method::kBinding, {});
    KYUU_CHECK(!writer.Finish().empty());
    Await(flow);
    return true;
  }
  flow.client.emplace(
      random_, turn::Client::Options{.local = flow.socket.local(),
                                     .server = options_.server,
                                     .username = options_.user,
                                     .password = options_.password,
                                     .relayed_family = options_.peer.family()});
  KYUU_CHECK(flow.client->Allocate(net::Loop::Now()).ok());
  return Establish(flow, index);
}

bool RelayClients::Establish(RelayFlow& flow, size_t index) {
  const absl::Time deadline = net::Loop::Now() + absl::Seconds(10);
  const bool channel = options_.data == Data::kChannel;
  while (!flow.ready && net::Loop::Now() < deadline) {
    Converse(flow);
    while (auto event = flow.client->PollEvent()) {
      if (std::holds_alternative<turn::Client::Allocated>(*event)) {
        KYUU_CHECK(
            (channel ? flow.client->BindChannel(net::Loop::Now(), peer_.local())
                     : flow.client->Permit(net::Loop::Now(), peer_.local()))
                .ok());
      } else if (std::holds_alternative<turn::Client::ChannelBound>(*event) ||
                 (!channel &&
                  std::holds_alternative<turn::Client::PermissionGranted>(
                      *event))) {
        Envelop(flow);
      } else if (auto* closed = std::get_if<turn::Client::Closed>(&*event)) {
        std::fprintf(stderr, "flow %zu: %s\n", index,
                     closed->status.ToString().c_str());
        return false;
      }
    }
  }
  return flow.ready;
}

// How the client wraps a payload, which is the same for each.
void RelayClients::Envelop(RelayFlow& flow) {
  const auto datagram = flow.client->Wrap(net::Loop::Now(), peer_.local(),
                                          payload_, absl::MakeSpan(scratch_));
  KYUU_CHECK(datagram.ok());
  const absl::Span<const uint8_t> bytes = datagram->bytes;
  const auto payload =
      std::search(bytes.begin(), bytes.end(), payload_.begin(), payload_.end());
  KYUU_CHECK(payload != bytes.end());
  flow.head.assign(bytes.begin(), payload);
  flow.tail.assign(payload + static_cast<ptrdiff_t>(payload_.size()),
                   bytes.end());
  flow.ready = true;
  by_relayed_[flow.client->relayed()] = &flow;
  Await(flow);
}

void RelayClients::Await(RelayFlow& flow) {
  epoll_event event{.events = EPOLLIN, .data = {.ptr = &flow}};
  KYUU_CHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, flow.socket.fd(), &event) ==
             0);
}

void RelayClients::Converse(RelayFlow& flow) {
  flow.client->HandleTimeout(net::Loop::Now());
  while (auto out = flow.client->PollTransmit(net::Loop::Now(),
                                              absl::MakeSpan(scratch_))) {
    flow.socket.SendOne(out->path, out->bytes);
  }
  for (const net::Train& train : flow.socket.Receive(buffer_)) {
    for (size_t i = 0; i < train.segments(); ++i) {
      flow.client->HandlePacket(net::Loop::Now(),
                                {train.path, train.segment(i)});
    }
  }
}

void RelayClients::Close() {
  if (options_.binding()) return;
  for (auto& flow : flows_) Close(*flow);
}

void RelayClients::Close(RelayFlow& flow) {
  flow.client->Close(net::Loop::Now());
  const absl::Time deadline = net::Loop::Now() + absl::Seconds(2);
  while (net::Loop::Now() < deadline) {
    Converse(flow);
    while (auto event = flow.client->PollEvent()) {
      if (std::holds_alternative<turn::Client::Closed>(*event)) return;
    }
  }
}

void RelayClients::Receive() {
  if (options_.up() && !options_.binding()) {
    for (const net::Train& train : peer_.Receive(buffer_)) {
      // The peer sees one relayed address for each flow.
      const auto flow = by_relayed_.find(train.path.remote);
      if (flow != by_relayed_.end()) Count(*flow->second, train);
    }
    return;
  }
  std::array<epoll_event, kReady> ready;
  const int count = epoll_wait(epoll_.get(), ready.data(), kReady, 0);
  for (int i = 0; i < count; ++i) {
    auto& flow =
        *static_cast<RelayFlow*>(ready[static_cast<size_t>(i)].data.ptr);
    for (const net::Train& train : flow.socket.Receive(buffer_)) {
      Count(flow, train);
    }
  }
}

void RelayClients::Count(RelayFlow& flow, const net::Train& train) {
  flow.received += train.segments();
  received_ += train.segments();
}

absl::Duration CpuTime(absl::Span<const int> pids) {
  absl::Duration sum;
  for (const int pid : pids) {
    clockid_t clock{};
    timespec time{};
    KYUU_CHECK(clock_getcpuclockid(pid, &clock) == 0);
    KYUU_CHECK(clock_gettime(clock, &time) == 0);
    sum += absl::DurationFromTimespec(time);
  }
  return sum;
}

bool ParseRelayClientsOption(const std::string& name, const std::string& value,
                             RelayClientsOptions& options) {
  if (name == "--server") {
    const auto server = TransportAddress::Parse(value);
    if (server.ok()) options.server = *server;
    return server.ok();
  }
  if (name == "--user") {
    const size_t colon = value.find(':');
    if (colon == std::string::npos) return false;
    options.user = value.substr(0, colon);
    options.password = value.substr(colon + 1);
    return true;
  }
  if (name == "--direction") {
    options.direction = value == "up" ? Direction::kUp : Direction::kDown;
    return true;
  }
  if (name == "--data") {
    options.data = value == "channel"   ? Data::kChannel
                   : value == "binding" ? Data::kBinding
                                        : Data::kIndications;
    return true;
  }
  if (name == "--client" || name == "--peer") {
    const auto ip = IpAddress::Parse(value);
    if (ip.ok()) (name == "--client" ? options.client : options.peer) = *ip;
    return ip.ok();
  }
  if (name != "--flows" && name != "--bytes") return false;
  return absl::SimpleAtoi(
             value, name == "--flows" ? &options.flows : &options.bytes) &&
         options.flows > 0 && options.bytes > 0;
}

}  // namespace kyuu::bench

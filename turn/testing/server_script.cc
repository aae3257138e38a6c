#include "turn/testing/server_script.h"

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/check.h"
#include "turn/channel_data.h"
#include "turn/internal/peer_policy.h"
#include "turn/server.h"
#include "turn/testing/server_harness.h"

namespace kyuu::turn {
namespace {

ServerOptions Options() {
  ServerOptions options = ServerHarness::Options();
  options.relay_addresses.push_back({*IpAddress::Parse("2a00::2"), {}});
  options.relay_port_high = 50'007;
  options.rest_secrets = {"secret"};
  options.allocations_per_user_max = 3;
  options.permissions_max = 4;
  options.channels_max = 4;
  options.peer_connections_per_allocation_max = 2;
  options.reservations_max = 2;
  options.answers_max = 4;
  options.unauthenticated_sources = 4;
  return options;
}

// What an operator may have changed.
ServerOptions Other(uint8_t arg) {
  ServerOptions options = Options();
  options.deny_peers = {{kTestPeer.ip, 32}};
  if (arg & 8) options.users.pop_back();
  if (arg & 16) options.users.front().password = "new";
  if (arg & 32) options.admission = ServerOptions::Admission::kDraining;
  if (arg & 64) options.deny_clients = {{IpAddress::V4(9, 9, 9, 9), 32}};
  if (arg & 128) options.service = ServerOptions::Service::kStun;
  return options;
}

class Run {
 public:
  explicit Run(uint8_t start) {
    harness_.server().flows().Enable();
    for (uint16_t i = 0; i < 4; ++i) {
      clients_.emplace_back(static_cast<uint16_t>(1000 + i), i < 3 ? "u" : "g",
                            "p");
      harness_.Challenge(clients_.back());
    }
    for (uint16_t i = 0; i < 4; ++i) {
      streams_.emplace_back(static_cast<uint16_t>(2000 + i));
      streams_.back().path.transport = Transport::kTcp;
      harness_.Challenge(streams_.back());
    }
    ports_ = harness_.server().free_ports();
    // Begin with an allocation, a permission, a channel.
    if ((start & 1) != 0) KYUU_CHECK(harness_.Allocate(clients_[0]).ok());
    if ((start & 3) == 3) harness_.Permit(clients_[0], kTestPeer.ip);
    if ((start & 5) == 5) harness_.Bind(clients_[0], 0x4000, kTestPeer);
  }

  void Step(Reader& r) {
    const uint8_t op = r.U8();
    const uint8_t arg = r.U8();
    TestClient& client = clients_[arg % clients_.size()];
    switch (op % 15) {
      case 14:
        Tcp(streams_[arg % streams_.size()], arg / 4, r);
        break;
      case 12:
        Move(client, arg);
        break;
      case 13:
        harness_.server().HandleIcmp(
            harness_.now(), client.relay.value_or(RelayId{7}), Peer(arg),
            {static_cast<uint8_t>(arg % 16), arg, arg});
        break;
      case 0:
        FromClient(client, r.Bytes(r.U8()), arg);
        break;
      case 1:
        FromPeer(client, Peer(arg), r.Bytes(r.U8()), arg / 4);
        break;
      case 2:
        harness_.Advance(absl::Seconds(1) * arg * arg / 50);
        break;
      case 3:
        Allocate(client, arg);
        break;
      case 4:
        harness_.Refresh(client, arg < 128 ? 0 : arg * 10u);
        break;
      case 5:
        harness_.Permit(client, Peer(r.U8()).ip);
        break;
      case 6:
        harness_.Bind(client, static_cast<uint16_t>(0x3fff + r.U8() % 8),
                      Peer(r.U8()));
        break;
      case 7: {
        const auto indication =
            harness_.SendIndication(Peer(r.U8()), AsText(r.Bytes(r.U8())));
        FromClient(client, indication, indication.size());
        break;
      }
      case 8:
        SignedNoise(client, r);
        break;
      case 9:
        Command(arg);
        break;
      case 10:
        harness_.open_relays = (arg & 1) != 0;
        if (client.relay.has_value() && (arg & 2) != 0) {
          harness_.server().RelayOpened(harness_.now(), *client.relay);
        } else if (client.relay.has_value()) {
          harness_.server().RelayFailed(harness_.now(), *client.relay);
        }
        break;
      default: {
        std::vector<uint8_t> out(arg);
        harness_.server().PollTransmit(harness_.now(), absl::MakeSpan(out));
        harness_.Challenge(client);
      }
    }
    AnswerSome(arg);
    FollowFlows();
  }

  ~Run() {
    Server& server = harness_.server();
    KYUU_CHECK(server.allocations() <= 12);
    server.Close();
    while (server.PollEvent()) {
    }
    harness_.Advance(absl::Minutes(5));
    KYUU_CHECK(server.free_ports() == ports_);
    KYUU_CHECK(server.connections().size() == 0);
    KYUU_CHECK(server.NextTimeout() == absl::InfiniteFuture());
  }

 private:
  static TransportAddress Peer(uint8_t arg) {
    const char* const kIps[] = {"8.8.8.8", "8.8.4.4",   "127.0.0.1",
                                "2a00::9", "192.0.2.1", "192.0.2.2"};
    return {*IpAddress::Parse(kIps[arg % 6]), static_cast<uint16_t>(arg)};
  }

  void FromClient(const TestClient& client, absl::Span<const uint8_t> bytes,
                  size_t segment_size) {
    Check(harness_.server().FromClient(harness_.now(), client.path, bytes,
                                       segment_size),
          bytes, Forward::Exit::kPeer);
  }

  void FromPeer(const TestClient& client, const TransportAddress& peer,
                absl::Span<const uint8_t> bytes, size_t segment_size) {
    Check(harness_.server().FromPeer(harness_.now(),
                                     client.relay.value_or(RelayId{7}), peer,
                                     bytes, segment_size),
          bytes, Forward::Exit::kClient);
  }

  // What is told of channels is what the server itself does with them.
  void FollowFlows() {
    Server& server = harness_.server();
    const absl::Time now = harness_.now();
    while (const auto event = server.flows().Poll(now)) {
      if (const auto* told = std::get_if<FlowInstalled>(&*event)) {
        flows_.insert_or_assign(told->flow.id, told->flow);
      } else {
        KYUU_CHECK(flows_.erase(std::get<FlowRemoved>(*event).id) == 1);
      }
    }
    for (const auto& [id, flow] : flows_) {
      std::array<uint8_t, 5> data{};
      WriteChannelHeader(flow.channel, 1, absl::MakeSpan(data).first(4));
      if (now < flow.to_peer_until) {
        const auto out = server.FromClient(now, flow.client, data, data.size());
        KYUU_CHECK(out.size() == 1 && out[0].exit == Forward::Exit::kPeer &&
                   out[0].path.local == flow.relay &&
                   out[0].path.remote == flow.peer);
      }
      if (now < flow.to_client_until) {
        const auto out = server.FromPeer(now, flow.allocation, flow.peer,
                                         absl::MakeSpan(data).last(1), 1);
        KYUU_CHECK(out.size() == 1 && out[0].exit == Forward::Exit::kClient &&
                   out[0].path == flow.client &&
                   out[0].prefixes == absl::MakeConstSpan(data).first(4));
      }
    }
  }

  // TCP with peers, as a client asks for it and a driver tells of it.
  void Tcp(const TestClient& stream, uint8_t arg, Reader& r) {
    PeerConnections& connections = harness_.server().connections();
    const absl::Time now = harness_.now();
    const uint8_t which = r.U8();
    const TransportAddress peer = Peer(which);
    const ConnectionId id = ids_[which % ids_.size()];
    switch (arg % 8) {
      case 0:
        harness_.Call(
            stream, stun::Method::kAllocate, [&](stun::MessageWriter& w) {
              w.Add(stun::RequestedTransport{stun::RequestedTransport::kTcp});
            });
        break;
      case 1:
        harness_.Call(
            stream, stun::Method::kConnect,
            [&](stun::MessageWriter& w) { w.Add(stun::XorPeerAddress{peer}); });
        break;
      case 2:
        harness_.Permit(stream, peer.ip);
        if (const auto accepted = connections.Accepted(now, tcp_relay_, peer)) {
          KYUU_CHECK(!internal::IsSpecial(peer.ip));
          Keep(*accepted);
        }
        break;
      case 3:
        connections.Connected(now, id);
        break;
      case 4:
        connections.Failed(id);
        break;
      case 5:
        connections.Passed(now, id, Direction::kToPeers, which);
        break;
      case 6:
        connections.Gone(id);
        break;
      default:
        harness_.Call(stream, stun::Method::kConnectionBind,
                      [&](stun::MessageWriter& w) {
                        w.Add(stun::ConnectionId{static_cast<uint32_t>(id)});
                      });
    }
  }
  void Keep(ConnectionId id) { ids_[next_id_++ % ids_.size()] = id; }

  // Decisions stay inside of what was received and of what policy allows.
  void Check(absl::Span<const Forward> forwards,
             absl::Span<const uint8_t> bytes, Forward::Exit exit) {
    for (const Forward& forward : forwards) {
      KYUU_CHECK(forward.exit == exit && forward.segments > 0);
      KYUU_CHECK(exit == Forward::Exit::kClient ||
                 (!internal::IsSpecial(forward.path.remote.ip) &&
                  forward.path.remote.port != 0));
      for (size_t i = 0; i < forward.segments; ++i) {
        const auto payload = forward.payload(i);
        KYUU_CHECK(payload.empty() || (payload.data() >= bytes.data() &&
                                       payload.data() + payload.size() <=
                                           bytes.data() + bytes.size()));
        const size_t size = ServerHarness::Datagram(forward, i).size();
        KYUU_CHECK(i + 1 < forward.segments ? size == forward.segment_bytes()
                                            : size <= forward.segment_bytes());
      }
    }
  }

  void Allocate(TestClient& client, uint8_t arg) {
    const Reply reply = harness_.Allocate(client, [&](stun::MessageWriter& w) {
      if ((arg & 4) != 0) w.Add(stun::EvenPort{(arg & 8) != 0});
      if ((arg & 16) != 0) w.Add(stun::ReservationToken{token_});
      if ((arg & 32) != 0) {
        w.Add(stun::RequestedAddressFamily{IpFamily::kV6});
      }
      if ((arg & 64) != 0) {
        w.Add(stun::AdditionalAddressFamily{IpFamily::kV6});
      }
      if ((arg & 128) != 0) w.Add(stun::MobilityTicket{});
    });
    if (auto token = reply.Get<stun::ReservationToken>()) token_ = token->value;
    KeepTicket(reply);
  }

  // A Refresh with the last ticket that anybody was given, from wherever.
  void Move(const TestClient& client, uint8_t arg) {
    KeepTicket(harness_.Call(
        client, stun::Method::kRefresh, [&](stun::MessageWriter& w) {
          w.Add(stun::Lifetime{arg % 8 == 0 ? 0 : 600u});
          w.Add(stun::MobilityTicket{ticket_});
          if (arg % 8 == 1) {
            w.Add(stun::RequestedAddressFamily{IpFamily::kV6});
          }
        }));
    if (arg > 200) harness_.server().ClientGone(client.path);
  }

  void KeepTicket(const Reply& reply) {
    const auto ticket = reply.Get<stun::MobilityTicket>();
    if (!ticket.has_value()) return;
    ticket_.assign(ticket->value.begin(), ticket->value.end());
  }

  // A request that proves itself, of any method, with any attributes.
  void SignedNoise(const TestClient& client, Reader& r) {
    const auto method = static_cast<stun::Method>(r.U8() % 16);
    harness_.Call(client, method, [&](stun::MessageWriter& w) {
      for (int i = r.U8() % 4; i > 0; --i) {
        w.AddRaw(r.U8() % 64, r.Bytes(r.U8() % 32));
      }
    });
  }

  void Command(uint8_t arg) {
    Server& server = harness_.server();
    switch (arg % 7) {
      case 0:
        (void)server.Grant(harness_.now(), "g", "p",
                           harness_.now() + absl::Minutes(arg));
        break;
      case 1:
        if (arg % 2 == 0) server.Revoke(harness_.now(), "g");
        if (arg % 4 != 0) server.EndAllocations("g");
        break;
      case 2:
        server.SetOptions(harness_.now(), Other(arg));
        break;
      case 3:
        server.SetOptions(harness_.now(), Options());
        break;
      case 4:
        server.SetAddresses({}, {kTestServer}, {});
        break;
      case 5:
        server.SetAddresses(Options().relay_addresses, {kTestServer}, {});
        break;
      default: {
        ServerOptions options = Options();
        options.nonce_secret = "a";
        server.SetOptions(harness_.now(), options);
      }
    }
  }

  // Answers the driver's part for some of what the server asked.
  void AnswerSome(uint8_t arg) {
    harness_.Drain();
    while (!harness_.events().empty()) {
      const Server::Event event = harness_.events().front();
      harness_.events().pop_front();
      if (const auto* connect = std::get_if<Server::ConnectPeer>(&event)) {
        KYUU_CHECK(!internal::IsSpecial(connect->peer.ip));
        Keep(connect->connection);
      }
      if (const auto* made = std::get_if<Server::AllocationMade>(&event)) {
        if (made->transport == Transport::kTcp) tcp_relay_ = made->relay;
      }
      const auto* open = std::get_if<Server::OpenRelay>(&event);
      if (open == nullptr) continue;
      clients_[arg % clients_.size()].relay = open->relay;
      if (arg % 3 == 0) {
        harness_.server().RelayOpened(harness_.now(), open->relay);
      } else if (arg % 3 == 1) {
        harness_.server().RelayFailed(harness_.now(), open->relay);
        harness_.Drain();
      }
    }
  }

  absl::flat_hash_map<FlowId, Flow> flows_;
  ServerHarness harness_{Options()};
  std::vector<TestClient> clients_;
  std::vector<TestClient> streams_;
  RelayId tcp_relay_{7};
  std::array<ConnectionId, 4> ids_{};
  size_t next_id_ = 0;
  std::array<uint8_t, 8> token_{};
  std::vector<uint8_t> ticket_;
  size_t ports_ = 0;
};

}  // namespace

void RunServerScript(absl::Span<const uint8_t> script) {
  Reader r(script);
  Run run(r.U8());
  for (int i = 0; i < 200 && !r.empty(); ++i) run.Step(r);
}

}  // namespace kyuu::turn

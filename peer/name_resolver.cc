#include "peer/name_resolver.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>
#include <variant>

#include "absl/time/time.h"
#include "net/multicast/multicast_socket.h"

namespace kyuu::peer {
namespace {

// How long the machine's interfaces are taken to be as they were.
constexpr absl::Duration kReview = absl::Seconds(1);
// Datagrams that one link may give before the loop does something else.
constexpr int kMaxBatch = 64;

// The networks that names are asked for on: for each interface and family one.
std::vector<mdns::Link> LinksOf(const std::vector<net::Interface>& interfaces) {
  std::vector<mdns::Link> links;
  for (const net::Interface& interface : interfaces) {
    // Multicast needs a network; IPv6 sends it from a link-local address.
    const IpAddress& ip = interface.address;
    if (interface.kind != net::InterfaceKind::kOther ||
        (ip.is_v6() && !ip.IsLinkLocal()) ||
        std::any_of(links.begin(), links.end(), [&](const mdns::Link& link) {
          return link.interface == interface.index &&
                 link.address.family() == ip.family();
        })) {
      continue;
    }
    links.push_back({ip, interface.index});
  }
  return links;
}

}  // namespace

// The engine with its sockets. Its handlers may destroy the NameResolver, which
// is why it lives as long as the turn that it is in.
class NameResolver::Port : public std::enable_shared_from_this<Port> {
 public:
  Port(net::Loop& loop, Lister list, const mdns::EndpointOptions& options)
      : loop_(loop),
        list_(std::move(list)),
        endpoint_(options),
        alarm_(loop, [this] { Run(); }) {}

  void Resolve(const std::string& name, Handler handler) {
    const absl::Time now = net::Loop::Now();
    Review(now);
    const absl::StatusOr<mdns::QueryId> id = endpoint_.Resolve(now, name);
    if (id.ok()) {
      handlers_[*id] = std::move(handler);
    } else {
      refused_.push_back(std::move(handler));
    }
    alarm_.Set(now);
  }

  absl::Status Publish(const std::string& name, const IpAddress& ip,
                       uint32_t interface) {
    const bool is_linked = std::any_of(
        endpoint_.links().begin(), endpoint_.links().end(),
        [&](const mdns::Link& l) { return l.interface == interface; });
    if (!is_linked) {
      reviewed_ = absl::InfinitePast();
      Review(net::Loop::Now());
    }
    return endpoint_.Publish(name, ip, interface);
  }

  void Withdraw(const std::string& name) {
    endpoint_.Withdraw(net::Loop::Now(), name);
    alarm_.Set(net::Loop::Now());
  }

  // Nothing happens from here on.
  void Close() {
    closed_ = true;
    alarm_.Stop();
    sockets_.clear();
    handlers_.clear();
    refused_.clear();
  }

  const mdns::Endpoint& endpoint() const { return endpoint_; }

 private:
  struct Socket {
    Socket(Port& port, net::MulticastSocket s, const mdns::Link& l)
        : socket(std::move(s)),
          link(l),
          watch(port.loop_, socket.fd(), net::Interest::kRead,
                [&port, this](net::Readiness) { port.Receive(*this); }) {}

    net::MulticastSocket socket;
    const mdns::Link link;
    net::Watch watch;
  };

  void Review(absl::Time now) {
    if (!sockets_.empty() && now < reviewed_ + kReview) return;
    const auto interfaces = list_();
    if (!interfaces.ok()) return;  // As they were.
    reviewed_ = now;
    const std::vector<mdns::Link> links = LinksOf(*interfaces);
    const auto find = [](const auto& all, const mdns::Link& link) {
      return std::find_if(all.begin(), all.end(), [&](const mdns::Link& l) {
               return l.address == link.address &&
                      l.interface == link.interface;
             }) != all.end();
    };
    for (const mdns::Link& known : std::vector(endpoint_.links())) {
      if (!find(links, known)) endpoint_.RemoveLink(known.address);
    }
    std::erase_if(sockets_,
                  [&](const auto& s) { return !find(links, s->link); });
    for (const mdns::Link& link : links) {
      if (!find(endpoint_.links(), link)) Open(now, link);
    }
  }

  void Open(absl::Time now, const mdns::Link& link) {
    auto socket = net::MulticastSocket::Open(
        mdns::GroupOf(link.address.family()), link.interface);
    // A link that cannot, or one too many: names may be found on others.
    if (!socket.ok() || !endpoint_.AddLink(now, link).ok()) return;
    sockets_.push_back(
        std::make_unique<Socket>(*this, *std::move(socket), link));
  }

  void Receive(Socket& socket) {
    const auto self = shared_from_this();
    std::array<uint8_t, mdns::kMaxMessageBytes> buffer;
    for (int i = 0; i < kMaxBatch; ++i) {
      const auto received = socket.socket.Receive(absl::MakeSpan(buffer));
      if (!received) break;
      endpoint_.HandlePacket(
          net::Loop::Now(),
          {{{socket.link.address, mdns::kPort}, received->remote},
           received->bytes});
    }
    Run();
  }

  void Run() {
    const auto self = shared_from_this();
    const absl::Time now = net::Loop::Now();
    endpoint_.HandleTimeout(now);
    std::array<uint8_t, 600> buffer;
    while (auto out = endpoint_.PollTransmit(now, absl::MakeSpan(buffer))) {
      for (const auto& socket : sockets_) {
        if (socket->link.address == out->path.local.ip) {
          socket->socket.Send(out->path.remote, out->bytes);
        }
      }
    }
    for (Handler& handler : std::exchange(refused_, {})) {
      if (!closed_) handler(std::nullopt);
    }
    while (auto event = endpoint_.PollEvent()) {
      const auto& resolved = std::get<mdns::Resolved>(*event);
      const auto it = handlers_.find(resolved.id);
      if (it == handlers_.end()) continue;
      Handler handler = std::move(it->second);
      handlers_.erase(it);
      handler(resolved.ip);
    }
    if (closed_) return;
    if (!endpoint_.busy()) {
      // Not in the turn of one of them.
      loop_.Post([weak = weak_from_this()] {
        const auto port = weak.lock();
        if (port != nullptr) port->Rest();
      });
    }
    alarm_.Set(endpoint_.NextTimeout());
  }

  void Rest() {
    if (closed_ || endpoint_.busy()) return;
    for (const auto& socket : sockets_) {
      endpoint_.RemoveLink(socket->link.address);
    }
    sockets_.clear();
  }

  net::Loop& loop_;
  Lister list_;
  mdns::Endpoint endpoint_;
  std::vector<std::unique_ptr<Socket>> sockets_;
  std::map<mdns::QueryId, Handler> handlers_;
  std::vector<Handler> refused_;
  absl::Time reviewed_ = absl::InfinitePast();
  bool closed_ = false;
  net::Alarm alarm_;
};

NameResolver::NameResolver(net::Loop& loop, Lister list,
                           const mdns::EndpointOptions& options)
    : port_(std::make_shared<Port>(loop, std::move(list), options)) {}

NameResolver::~NameResolver() { port_->Close(); }

void NameResolver::Resolve(const std::string& name, Handler handler) {
  port_->Resolve(name, std::move(handler));
}

absl::Status NameResolver::Publish(const std::string& name, const IpAddress& ip,
                                   uint32_t interface) {
  return port_->Publish(name, ip, interface);
}

void NameResolver::Withdraw(const std::string& name) { port_->Withdraw(name); }

const std::vector<mdns::Link>& NameResolver::links() const {
  return port_->endpoint().links();
}

mdns::EndpointStats NameResolver::stats() const {
  return port_->endpoint().stats();
}

}  // namespace kyuu::peer

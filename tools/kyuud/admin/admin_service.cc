#include "tools/kyuud/admin/admin_service.h"

#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/escaping.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"
#include "spdlog/spdlog.h"
#include "tools/kyuud/relay_log.h"

namespace kyuu::tools {
namespace {

using nlohmann::json;

// How long nobody is accepted when there are no descriptors left.
constexpr absl::Duration kPause = absl::Milliseconds(100);

// Names come from clients: what is not printable is escaped, as in logs.
std::string SessionLine(const turn::SessionInfo& info, absl::Time now) {
  json relays = json::array({info.relayed.ToString()});
  if (info.additional) relays.push_back(info.additional->ToString());
  return json{
      {"session", SessionText(info.session)},
      {"user", absl::CHexEscape(info.username)},
      {"realm", absl::CHexEscape(info.realm)},
      {"client", info.client.remote.ToString()},
      {"server", info.client.local.ToString()},
      {"transport", std::string(ToText(info.client.transport))},
      {"relay", std::move(relays)},
      {"age", absl::ToDoubleSeconds(now - info.made)},
      {"lifetime", absl::ToDoubleSeconds(info.expires - now)},
      {"bytes_to_peers", info.traffic.bytes_to_peers},
      {"bytes_to_client", info.traffic.bytes_to_clients},
      {"datagrams_to_peers", info.traffic.to_peers},
      {"datagrams_to_client", info.traffic.to_clients},
      {"over_bandwidth_to_peers", info.traffic.over_bandwidth_to_peers},
      {"over_bandwidth_to_client", info.traffic.over_bandwidth_to_clients},
      {"permissions", info.permissions},
      {"channels", info.channels},
  }
      .dump();
}

std::string StatusLine(const AdminStatus& status) {
  return json{
      {"ok", true},
      {"uptime", absl::ToDoubleSeconds(status.uptime)},
      {"draining", status.draining},
      {"threads", status.threads},
      {"turn_listen", status.turn_listen},
      {"http_listen", status.http_listen},
      {"relay_addresses", status.relay_addresses},
      {"allocations", status.allocations},
      {"free_relay_ports", status.free_relay_ports},
      {"connections", status.connections},
      {"signaling_sessions", status.signaling_sessions},
  }
      .dump();
}

std::string ResultLine(const absl::Status& status) {
  if (status.ok()) return json{{"ok", true}}.dump();
  return AdminProblem(status.message());
}

std::string ResultLine(const absl::StatusOr<ReloadReport>& report) {
  if (!report.ok()) return ResultLine(report.status());
  return json{{"ok", true},
              {"changed", report->changed},
              {"need_restart", report->need_restart}}
      .dump();
}

// The end of a walk.
std::string FoundLine(const relay::SessionFilter& filter, uint64_t found) {
  if (filter.session.has_value() && found == 0) {
    return ResultLine(absl::NotFoundError("there is no such session"));
  }
  return json{{"ok", true}, {"sessions", found}}.dump();
}

}  // namespace

// Guest is one operator, or a program of one.
struct AdminService::Guest {
  explicit Guest(uint64_t i)
      : id(i), connection(AdminConnectionOptions(), net::Loop::Now()) {}

  const uint64_t id;
  AdminConnection connection;
  // Of the walk that is under way.
  relay::SessionFilter filter;
  relay::SessionCursor next;
  uint64_t found = 0;
  std::optional<net::StreamDriver<AdminConnection>> driver;
};

absl::StatusOr<std::unique_ptr<AdminService>> AdminService::Open(
    net::Loop& loop, const net::UnixListener::Options& options,
    Handlers handlers) {
  KYUU_ASSIGN_OR_RETURN(net::UnixListener listener,
                        net::UnixListener::Open(options));
  return std::unique_ptr<AdminService>(
      new AdminService(loop, std::move(listener), std::move(handlers)));
}

AdminService::AdminService(net::Loop& loop, net::UnixListener listener,
                           Handlers handlers)
    : loop_(loop),
      listener_(std::move(listener)),
      handlers_(std::move(handlers)),
      watch_(loop, listener_.fd(), net::Interest::kRead,
             [this](net::Readiness) { Accept(); }),
      resume_(loop, [this] { watch_.SetInterest(net::Interest::kRead); }) {}

AdminService::~AdminService() = default;

void AdminService::Accept() {
  std::optional<net::TcpStream> stream = listener_.Accept();
  if (stream.has_value()) return Admit(*std::move(stream));
  if (!listener_.exhausted()) return;
  watch_.SetInterest(net::Interest::kNone);
  resume_.Set(net::Loop::Now() + kPause);
}

void AdminService::Admit(net::TcpStream stream) {
  if (guests_.size() >= kConnectionsMax) return stream.Cut();
  auto owned = std::make_unique<Guest>(next_id_++);
  Guest& guest = *owned;
  guests_[guest.id] = std::move(owned);
  guest.driver.emplace(
      loop_, net::Stream(std::move(stream)), guest.connection, buffer_,
      [this, &guest](const AdminConnection::Event& event) {
        if (const auto* asked = std::get_if<AdminConnection::Asked>(&event)) {
          return Answer(guest, asked->command);
        }
        if (std::holds_alternative<AdminConnection::HasRoom>(event)) {
          Walk(guest);
        }
      },
      [this, id = guest.id](net::StreamEnd, const absl::Status&) {
        guests_.erase(id);
      });
}

void AdminService::Answer(Guest& guest, const AdminCommand& command) {
  using Verb = AdminCommand::Verb;
  const absl::Time now = net::Loop::Now();
  switch (command.verb) {
    case Verb::kReload:
      return guest.connection.Finish(now, ResultLine(handlers_.reload()));
    case Verb::kDrain:
      return guest.connection.Finish(now, ResultLine(handlers_.drain()));
    case Verb::kStatus:
      return guest.connection.Finish(now, StatusLine(handlers_.status()));
    case Verb::kSessions:
    case Verb::kEnd:
    case Verb::kEndUser:
      break;
  }
  guest.filter = {};
  if (command.verb == Verb::kEnd) {
    guest.filter.session = turn::SessionId{command.session};
  } else if (!command.user.empty()) {
    guest.filter.user = command.user;
  }
  if (command.verb != Verb::kSessions) {
    guest.filter.verdict = turn::SessionVerdict::kEnd;
    spdlog::info("kyuud: by hand: {}", command.ToString());
  }
  guest.next = {};
  guest.found = 0;
  Walk(guest);
}

void AdminService::Walk(Guest& guest) {
  handlers_.list(
      guest.next, guest.filter,
      [this, id = guest.id,
       alive = std::weak_ptr<bool>(alive_)](const relay::SessionPage& page) {
        if (alive.expired()) return;
        const auto it = guests_.find(id);
        if (it == guests_.end()) return;
        Guest& asker = *it->second;
        const absl::Time now = net::Loop::Now();
        for (const turn::SessionInfo& info : page.sessions) {
          asker.connection.Say(SessionLine(info, now));
        }
        asker.found += page.sessions.size();
        const bool one = asker.filter.session.has_value();
        if (page.next.has_value() && !(one && asker.found > 0)) {
          asker.next = *page.next;
          asker.connection.AskForRoom();
        } else {
          asker.connection.Finish(now, FoundLine(asker.filter, asker.found));
        }
        asker.driver->Flush();
      });
}

}  // namespace kyuu::tools

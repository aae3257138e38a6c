#include "mdns/endpoint.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/status/status.h"
#include "base/check.h"

namespace kyuu::mdns {
namespace {

// Of records that name a host's address (RFC 6762 section 10).
constexpr absl::Duration kTtl = absl::Seconds(120);
// Of answers to those who know no multicast DNS (section 6.7).
constexpr absl::Duration kLegacyTtl = absl::Seconds(10);
// Between two multicasts of a record on a link (section 6).
constexpr absl::Duration kTellInterval = absl::Seconds(1);
constexpr absl::Duration kLegacyInterval = absl::Milliseconds(100);
constexpr absl::Duration kFirstInterval = absl::Seconds(1);
constexpr size_t kMaxHeard = 64;
constexpr size_t kMaxOutgoing = 1024;

}  // namespace

Endpoint::Endpoint(const EndpointOptions& options) : options_(options) {}

const Link* Endpoint::Find(const IpAddress& address) const {
  const auto it =
      std::find_if(links_.begin(), links_.end(),
                   [&](const Link& l) { return l.address == address; });
  return it == links_.end() ? nullptr : &*it;
}

absl::Status Endpoint::AddLink(absl::Time now, const Link& link) {
  if (link.address.family() == IpFamily::kUnspecified) {
    return absl::InvalidArgumentError("a link without an address");
  }
  if (Find(link.address) != nullptr) {
    return absl::AlreadyExistsError("a link that is known");
  }
  if (links_.size() >= options_.max_links) {
    return absl::ResourceExhaustedError("too many links");
  }
  links_.push_back(link);
  for (const Query& query : queries_) Ask(now, query, link);
  return absl::OkStatus();
}

void Endpoint::RemoveLink(const IpAddress& address) {
  std::erase_if(links_, [&](const Link& l) { return l.address == address; });
  std::erase_if(heard_, [&](const Heard& h) { return h.link == address; });
  std::erase_if(outgoing_, [&](const Outgoing& out) {
    return out.path.local.ip == address;
  });
  for (auto& [name, state] : names_) {
    std::erase_if(state.told, [&](const Told& t) { return t.link == address; });
  }
}

absl::StatusOr<QueryId> Endpoint::Resolve(absl::Time now,
                                          absl::string_view name) {
  std::optional<std::string> wanted = Normalize(name);
  if (!wanted || !IsLocal(*wanted)) {
    return absl::InvalidArgumentError("not a name under .local");
  }
  if (queries_.size() >= options_.max_queries) {
    return absl::ResourceExhaustedError("too many names are being resolved");
  }
  const std::optional<IpAddress> known = Known(now, *wanted);
  queries_.push_back({.id = QueryId{next_id_++},
                      .name = *std::move(wanted),
                      .deadline = now + options_.query_timeout,
                      .ask_at = now + kFirstInterval,
                      .interval = 2 * kFirstInterval});
  const QueryId id = queries_.back().id;
  if (known) {
    Finish(queries_.size() - 1, known);
  } else {
    for (const Link& link : links_) Ask(now, queries_.back(), link);
  }
  return id;
}

std::optional<IpAddress> Endpoint::Known(absl::Time now,
                                         const std::string& name) {
  if (const auto own = names_.find(name); own != names_.end()) {
    return own->second.ip;
  }
  std::erase_if(heard_, [&](const Heard& h) { return h.until <= now; });
  const auto heard =
      std::find_if(heard_.begin(), heard_.end(),
                   [&](const Heard& h) { return h.name == name; });
  if (heard == heard_.end()) return std::nullopt;
  return heard->ip;
}

void Endpoint::Cancel(QueryId id) {
  std::erase_if(queries_, [&](const Query& query) { return query.id == id; });
}

absl::Status Endpoint::Publish(absl::string_view name, const IpAddress& ip,
                               uint32_t interface) {
  std::optional<std::string> wanted = Normalize(name);
  if (!wanted || !IsLocal(*wanted)) {
    return absl::InvalidArgumentError("not a name under .local");
  }
  if (ip.family() == IpFamily::kUnspecified) {
    return absl::InvalidArgumentError("a name without an address");
  }
  if (names_.contains(*wanted)) {
    return absl::AlreadyExistsError("a name that has an address already");
  }
  if (names_.size() >= options_.max_names) {
    ++stats_.names_refused;
    return absl::ResourceExhaustedError("too many names");
  }
  names_[*wanted] = {.ip = ip, .interface = interface};
  return absl::OkStatus();
}

void Endpoint::Withdraw(absl::Time now, absl::string_view name) {
  const std::optional<std::string> wanted = Normalize(name);
  const auto it = wanted ? names_.find(*wanted) : names_.end();
  if (it == names_.end()) return;
  std::erase_if(outgoing_, [&](const Outgoing& out) {
    return out.kind != Kind::kQuery && out.record.name == it->first;
  });
  for (const Told& told : it->second.told) {
    if (!told.record) continue;
    Push({.kind = Kind::kAnswer,
          .at = now,
          .path = {{told.link, kPort}, GroupOf(told.link.family())},
          .record = {it->first, it->second.ip, absl::ZeroDuration()}});
  }
  names_.erase(it);
}

void Endpoint::Push(Outgoing out) {
  if (outgoing_.size() >= kMaxOutgoing) {
    ++stats_.drop_own_limit;
    return;
  }
  outgoing_.push_back(std::move(out));
}

// One question to a message: there are responders that read no other.
void Endpoint::Ask(absl::Time now, const Query& query, const Link& link) {
  for (const QueryType type : {QueryType::kA, QueryType::kAaaa}) {
    Push({.kind = Kind::kQuery,
          .at = now,
          .path = {{link.address, kPort}, GroupOf(link.address.family())},
          .question = {.name = query.name, .type = type}});
  }
}

void Endpoint::HandlePacket(absl::Time now, const Datagram& datagram) {
  const Link* link = Find(datagram.path.local.ip);
  if (link == nullptr || datagram.path.local.port != kPort ||
      datagram.path.remote.ip.family() != link->address.family()) {
    ++stats_.drop_unknown_link;
    return;
  }
  const absl::StatusOr<Message> message = Parse(datagram.bytes);
  if (!message.ok()) {
    ++stats_.drop_malformed;
    return;
  }
  const TransportAddress& remote = datagram.path.remote;
  if (!message->response) {
    ++stats_.queries_received;
    for (const Question& question : message->questions) {
      Answer(now, *message, question, *link, remote);
    }
    return;
  }
  if (remote.port != kPort) {
    ++stats_.drop_wrong_port;
    return;
  }
  ++stats_.responses_received;
  for (const AddressRecord& record : message->records) {
    Learn(now, record, *link);
  }
}

void Endpoint::Answer(absl::Time now, const Message& message,
                      const Question& question, const Link& link,
                      const TransportAddress& asker) {
  const auto it = names_.find(question.name);
  if (it == names_.end() || it->second.interface != link.interface) return;
  Name& name = it->second;
  const bool has_it = question.type == QueryType::kAny ||
                      question.type == TypeOf(name.ip.family());
  if (asker.port != kPort) {
    if (!has_it || now < name.legacy_after) return;
    name.legacy_after = now + kLegacyInterval;
    Push({.kind = Kind::kLegacy,
          .at = now,
          .path = {{link.address, kPort}, asker},
          .id = message.id,
          .question = question,
          .record = {it->first, name.ip, kLegacyTtl}});
    return;
  }
  // Who knows it for long enough is not told again.
  const bool known = std::any_of(message.records.begin(), message.records.end(),
                                 [&](const AddressRecord& r) {
                                   return r.name == it->first &&
                                          r.ip == name.ip && r.ttl >= kTtl / 2;
                                 });
  if (!known) Tell(now, it->first, name, link, has_it);
}

// On the link at once, or when a second has passed since the last time.
void Endpoint::Tell(absl::Time now, const std::string& name, Name& state,
                    const Link& link, bool record) {
  auto told =
      std::find_if(state.told.begin(), state.told.end(), [&](const Told& t) {
        return t.link == link.address && t.record == record;
      });
  if (told == state.told.end()) {
    told =
        state.told.insert(told, {link.address, record, absl::InfinitePast()});
  }
  if (told->last > now) return;  // It waits to be told already.
  told->last = std::max(now, told->last + kTellInterval);
  Push({.kind = record ? Kind::kAnswer : Kind::kDenial,
        .at = told->last,
        .path = {{link.address, kPort}, GroupOf(link.address.family())},
        .record = {name, state.ip, kTtl}});
}

void Endpoint::Learn(absl::Time now, const AddressRecord& record,
                     const Link& link) {
  std::erase_if(heard_, [&](const Heard& heard) {
    return heard.until <= now || (heard.name == record.name &&
                                  heard.ip.family() == record.ip.family());
  });
  if (record.ttl <= absl::ZeroDuration() || record.ip.IsAny() ||
      record.ip.IsMulticast()) {
    return;
  }
  IpAddress ip = record.ip;
  if (ip.is_v6() && ip.IsLinkLocal()) {
    std::array<uint8_t, 16> bytes;
    std::copy(ip.bytes().begin(), ip.bytes().end(), bytes.begin());
    ip = IpAddress::V6(bytes, link.interface);
  }
  bool asked = false;
  for (size_t i = queries_.size(); i-- > 0;) {
    if (queries_[i].name != record.name) continue;
    asked = true;
    Finish(i, ip);
  }
  // Nobody fills the memory with what was not asked for.
  if (!asked) return;
  if (heard_.size() >= kMaxHeard) heard_.erase(heard_.begin());
  heard_.push_back({.name = record.name,
                    .ip = ip,
                    .link = link.address,
                    .until = now + std::min(record.ttl, kTtl)});
}

void Endpoint::Finish(size_t index, std::optional<IpAddress> ip) {
  ++(ip ? stats_.names_resolved : stats_.names_expired);
  events_.push_back(Resolved{queries_[index].id, ip});
  queries_.erase(queries_.begin() + static_cast<ptrdiff_t>(index));
}

void Endpoint::HandleTimeout(absl::Time now) {
  for (size_t i = 0; i < queries_.size();) {
    Query& query = queries_[i];
    if (now >= query.deadline) {
      Finish(i, std::nullopt);
      continue;
    }
    if (now >= query.ask_at) {
      for (const Link& link : links_) Ask(now, query, link);
      query.ask_at = now + query.interval;
      query.interval *= 2;
    }
    ++i;
  }
}

std::optional<Datagram> Endpoint::PollTransmit(absl::Time now,
                                               absl::Span<uint8_t> out) {
  const auto it = std::find_if(outgoing_.begin(), outgoing_.end(),
                               [&](const Outgoing& o) { return o.at <= now; });
  if (it == outgoing_.end()) return std::nullopt;
  const Outgoing next = std::move(*it);
  outgoing_.erase(it);
  Writer w(out);
  switch (next.kind) {
    case Kind::kQuery:
      ++stats_.queries_sent;
      WriteQuery(w, next.question);
      break;
    case Kind::kAnswer:
      ++stats_.answers_sent;
      WriteAnswer(w, next.record);
      break;
    case Kind::kDenial:
      ++stats_.answers_sent;
      WriteDenial(w, next.record.name, TypeOf(next.record.ip.family()), kTtl);
      break;
    case Kind::kLegacy:
      ++stats_.answers_sent;
      WriteLegacyAnswer(w, next.id, next.question, next.record);
      break;
  }
  // A name takes 255 bytes at most, twice in the longest message.
  KYUU_CHECK(w.ok());
  return Datagram{next.path, w.written()};
}

std::optional<Endpoint::Event> Endpoint::PollEvent() {
  if (events_.empty()) return std::nullopt;
  Event event = events_.front();
  events_.pop_front();
  return event;
}

absl::Time Endpoint::NextTimeout() const {
  absl::Time next = absl::InfiniteFuture();
  for (const Query& query : queries_) {
    next = std::min({next, query.deadline, query.ask_at});
  }
  for (const Outgoing& out : outgoing_) next = std::min(next, out.at);
  return next;
}

}  // namespace kyuu::mdns

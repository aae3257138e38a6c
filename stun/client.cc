#include "stun/client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace kyuu::stun {

Client::Client(Random& random, Options options)
    : random_(random), options_(std::move(options)) {}

absl::StatusOr<TransactionId> Client::Bind(absl::Time, const Path& path,
                                           const Behavior& behavior) {
  if (closed_) return absl::FailedPreconditionError("client is closed");
  if (path.local.ip.family() != path.remote.ip.family() ||
      path.remote.ip.family() == IpFamily::kUnspecified ||
      path.remote.port == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("no such path: ", path.ToString()));
  }
  if (transactions_.size() >= options_.transactions_max) {
    return absl::ResourceExhaustedError("too many open transactions");
  }
  const TransactionId id = TransactionId::Generate(random_);
  transactions_.push_back(
      {id, path, behavior,
       Retransmission(path.transport == Transport::kUdp ? options_.retransmit
                                                        : kReliableTransport)});
  return id;
}

std::vector<Client::Transaction>::iterator Client::Find(
    const TransactionId& id) {
  return std::find_if(transactions_.begin(), transactions_.end(),
                      [&id](const Transaction& t) { return t.id == id; });
}

void Client::Cancel(const TransactionId& id) {
  if (const auto it = Find(id); it != transactions_.end()) {
    transactions_.erase(it);
  }
}

void Client::Close() {
  if (closed_) return;
  closed_ = true;
  transactions_.clear();
  events_.push_back(Closed{absl::OkStatus()});
}

bool Client::Expects(absl::Span<const uint8_t> bytes) const {
  if (!IsStun(bytes)) return false;
  const absl::Span<const uint8_t> id = bytes.subspan(8, 12);
  return std::any_of(transactions_.begin(), transactions_.end(),
                     [id](const Transaction& t) {
                       return absl::MakeConstSpan(t.id.bytes) == id;
                     });
}

void Client::HandlePacket(absl::Time now, Packet in) {
  const absl::StatusOr<MessageView> response = MessageView::Parse(in.bytes);
  if (!response.ok() ||
      (response->HasFingerprint() && !response->CheckFingerprint())) {
    ++stats_.malformed;
    return;
  }
  const auto it = Find(response->transaction_id());
  const bool is_response = response->cls() == MessageClass::kSuccess ||
                           response->cls() == MessageClass::kError;
  if (!is_response || response->method() != Method::kBinding ||
      it == transactions_.end()) {
    ++stats_.unexpected;
    return;
  }
  // RFC 8489 section 6.3.1: an answer comes from where the request went,
  // unless CHANGE-REQUEST asked for another source, and to where it came from,
  // unless RESPONSE-PORT asked for another port: errors do not go there.
  const Behavior& behavior = it->behavior;
  const bool same_server = in.path.remote == it->path.remote;
  const bool is_error = response->cls() == MessageClass::kError;
  const TransportAddress& expected_at = is_error || !behavior.answered_at
                                            ? it->path.local
                                            : *behavior.answered_at;
  if (in.path.local != expected_at || in.path.transport != it->path.transport ||
      (!same_server && !behavior.change_request)) {
    ++stats_.wrong_path;
    return;
  }
  ++stats_.responses;
  events_.push_back(Conclude(now, *it, in.path.remote, *response));
  transactions_.erase(it);
}

Client::Event Client::Conclude(absl::Time now, const Transaction& transaction,
                               const TransportAddress& from,
                               const MessageView& response) const {
  if (response.cls() == MessageClass::kError) {
    const auto code = response.Get<ErrorCode>();
    std::optional<Error> error;
    if (code) error = code->code;
    return Failed{
        transaction.id, transaction.path,
        absl::UnavailableError(absl::StrCat(
            "server answered ",
            code ? absl::StrCat(static_cast<int>(code->code)) : "an error")),
        error};
  }
  // Section 6.3.3: what we must understand but do not, makes it a failure.
  const AttributeSet understood =
      transaction.behavior.padding_bytes > 0
          ? kStunAttributes | AttributeSet::Of<Padding>()
          : kStunAttributes;
  if (!response.UnknownComprehensionRequired(understood).empty()) {
    return Failed{transaction.id, transaction.path,
                  absl::InternalError("response with unknown attributes"),
                  std::nullopt};
  }
  Mapped mapped{.id = transaction.id, .path = transaction.path, .from = from};
  if (const auto xor_mapped = response.Get<XorMappedAddress>()) {
    mapped.mapped = xor_mapped->address;
  } else if (const auto plain = response.Get<MappedAddress>()) {
    mapped.mapped = plain->address;
  } else {
    return Failed{transaction.id, transaction.path,
                  absl::InternalError("response without a mapped address"),
                  std::nullopt};
  }
  mapped.round_trip = transaction.retransmission.RoundTrip(now);
  if (const auto origin = response.Get<ResponseOrigin>()) {
    mapped.response_origin = origin->address;
  }
  if (const auto other = response.Get<OtherAddress>()) {
    mapped.other_address = other->address;
  }
  if (const auto padding = response.Get<Padding>()) {
    mapped.padding_bytes = padding->value.size();
  }
  return mapped;
}

void Client::HandleTimeout(absl::Time now) {
  for (Transaction& t : transactions_) {
    t.retransmission.HandleTimeout(now);
    if (t.retransmission.failed()) {
      events_.push_back(
          Failed{t.id, t.path, absl::DeadlineExceededError("no answer"), {}});
    }
  }
  transactions_.erase(std::remove_if(transactions_.begin(), transactions_.end(),
                                     [](const Transaction& t) {
                                       return t.retransmission.failed();
                                     }),
                      transactions_.end());
}

void Client::HandleRefusal(absl::Time, const TransportAddress& remote,
                           const absl::Status& why) {
  const auto refused = std::stable_partition(
      transactions_.begin(), transactions_.end(),
      [&remote](const Transaction& t) { return t.path.remote != remote; });
  for (auto t = refused; t != transactions_.end(); ++t) {
    events_.push_back(Failed{t->id, t->path, why, {}});
  }
  transactions_.erase(refused, transactions_.end());
}

absl::Span<const uint8_t> Client::Write(const Transaction& transaction,
                                        absl::Span<uint8_t> out) const {
  MessageWriter writer(out, MessageClass::kRequest, Method::kBinding,
                       transaction.id);
  if (!options_.software.empty()) writer.Add(Software{options_.software});
  if (transaction.behavior.change_request) {
    writer.Add(*transaction.behavior.change_request);
  }
  if (transaction.behavior.response_port) {
    writer.Add(*transaction.behavior.response_port);
  }
  if (transaction.behavior.padding_bytes > 0) {
    const std::vector<uint8_t> zeros(transaction.behavior.padding_bytes);
    writer.Add(Padding{zeros});
  }
  return writer.Finish();
}

std::optional<Client::Packet> Client::PollTransmit(absl::Time now,
                                                   absl::Span<uint8_t> out) {
  for (Transaction& t : transactions_) {
    if (!t.retransmission.send_due()) continue;
    const absl::Span<const uint8_t> bytes = Write(t, out);
    // A buffer too small for a request counts as a datagram lost.
    t.retransmission.OnSent(now);
    if (bytes.empty()) continue;
    ++stats_.requests_sent;
    if (t.retransmission.sends() > 1) ++stats_.retransmissions;
    return Datagram{t.path, bytes};
  }
  return std::nullopt;
}

std::optional<Client::Event> Client::PollEvent() {
  if (events_.empty()) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

absl::Time Client::NextTimeout() const {
  absl::Time next = absl::InfiniteFuture();
  for (const Transaction& t : transactions_) {
    next = std::min(next, t.retransmission.deadline());
  }
  return next;
}

std::string Client::DebugString() const {
  std::string text = absl::StrCat("stun::Client ", transactions_.size(),
                                  " open, ", stats_.responses, " answered");
  for (const Transaction& t : transactions_) {
    absl::StrAppend(&text, "; ", t.id.ToString(), " ", t.path.ToString(),
                    " sent ", t.retransmission.sends());
  }
  return text;
}

}  // namespace kyuu::stun

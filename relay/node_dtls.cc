// Clients of a node on DTLS.

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "dtls/acceptor.h"
#include "dtls/record.h"
#include "relay/internal/node_parts.h"
#include "relay/node.h"

namespace kyuu::relay {
namespace {

// Messages of clients on DTLS that are sent together.
constexpr size_t kPlaintextBytes = 256 * 1024;

}  // namespace

void Node::SetDtls(const dtls::ServerContext& context) {
  if (dtls_ != nullptr) return dtls_->clients.SetContext(context);
  dtls_ = std::make_unique<Dtls>(dtls_options_, context, random_);
  dtls_->plaintext.resize(kPlaintextBytes);
}

// Whether the client has moved to another node: what it says from segment
// `first` on goes there as it is, for its session is there. Who begins anew
// does so here, and keeps what it has there until it has returned a cookie.
bool Node::HandSealedOn(absl::Time now, const net::Train& train, size_t first) {
  if (train.bytes.empty() || dtls_->clients.Has(train.path) ||
      dtls::Acceptor::IsClientHello(train.segment(first))) {
    return false;
  }
  const absl::Span<const turn::Forward> forwards = server_.FromClient(
      now, internal::OverDtls(train.path),
      train.bytes.subspan(first * train.segment_size), train.segment_size,
      {.reach = turn::Reach::kElsewhere});
  Execute(forwards);
  return !forwards.empty();
}

bool Node::HearDtls(absl::Time now, const net::Train& train) {
  if (HandSealedOn(now, train, 0)) return true;
  if (!dtls_->clients.Claims(
          train.path, train.bytes.empty() ? uint8_t{0} : train.bytes[0])) {
    return false;
  }
  for (size_t i = 0; i < train.segments(); ++i) {
    // The one before may have moved it.
    if (i > 0 && HandSealedOn(now, train, i)) break;
    const bool known = dtls_->clients.Has(train.path);
    dtls_->clients.HandlePacket(now, {train.path, train.segment(i)});
    if (!known && dtls_->clients.Has(train.path)) {
      // Nothing sealed is what says so to the node that it had moved to.
      Execute(server_.FromClient(now, internal::OverDtls(train.path), {}, 1,
                                 {.reach = turn::Reach::kElsewhere}));
    }
    Unpack(now, train.path, {});
  }
  return true;
}

// Takes what another node had from a client on DTLS: its session and the
// message that means something of this node's, or is returned to it as meaning
// nothing there; then what it has sealed, and at last nothing.
void Node::DeliverSealed(absl::Time now, Handover::Item& item, int from,
                         absl::Span<const uint8_t> bytes) {
  if (dtls_ == nullptr) return;
  const Path path = internal::OverUdp(*item.client);
  const turn::Arrival arrival{
      .reach = item.reach, .from = from, .visit = item.visit};
  if (item.reach == turn::Reach::kOver) {
    server_.FromClient(now, *item.client, {}, 1, arrival);
    return;
  }
  const DtlsClients::Visit visit{from, item.visit};
  if (item.session != nullptr) {
    // Who has begun anew here has nothing to do with what is returned.
    const bool returned = item.reach == turn::Reach::kReturned;
    if (returned && dtls_->clients.Has(path)) return;
    item.session->visit = returned ? std::nullopt : std::optional(visit);
    if (dtls_->clients.Arrive(now, path, std::move(*item.session)) &&
        HearUnsealed(now, path, bytes, arrival)) {
      Unpack(now, path, arrival);
    }
    return;
  }
  if (bytes.empty()) return dtls_->clients.Drop(path);
  while (!bytes.empty()) {
    const size_t size = std::min(item.segment_size, bytes.size());
    dtls_->clients.HandlePacket(now, {path, bytes.first(size)});
    bytes.remove_prefix(size);
    Unpack(now, path, arrival);
  }
  // Its end may have been told in vain, or the session was lost on its way.
  if (!dtls_->clients.Has(path)) EndVisit(path, visit);
}

// Tells the node where a client on DTLS comes in that nothing is left here of
// its visit. It goes by itself, before or behind what else is on its way: the
// number says what it is about. Without room for it, it is told again when
// more comes.
void Node::EndVisit(const Path& client, const DtlsClients::Visit& visit) {
  Handover word;
  word.from = instance_;
  Handover::Item& item = word.items.emplace_back();
  item.client = internal::OverDtls(client);
  item.reach = turn::Reach::kOver;
  item.visit = visit.number;
  handlers_.hand_over(visit.from, std::move(word));
}

bool Node::HearUnsealed(absl::Time now, const Path& path,
                        absl::Span<const uint8_t> message,
                        turn::Arrival arrival) {
  arrival.host = dtls_->clients.host();
  const absl::Span<const turn::Forward> forwards = server_.FromClient(
      now, internal::OverDtls(path), message, message.size(), arrival);
  Execute(forwards);
  if (forwards.empty() || forwards[0].exit != turn::Forward::Exit::kServer) {
    return true;
  }
  handovers_[static_cast<size_t>(forwards[0].instance)].items.back().session =
      dtls_->clients.Release();
  return false;
}

// Takes the messages of the last datagram to the server. A client that means
// another node's allocation goes there, with those behind.
void Node::Unpack(absl::Time now, const Path& path, turn::Arrival arrival) {
  while (true) {
    if (kPlaintextBytes - dtls_->used < dtls::kPlaintextMax) {
      outbox_.Flush();
      dtls_->used = 0;
    }
    const auto message = dtls_->clients.ReadPlaintext(
        absl::MakeSpan(dtls_->plaintext).subspan(dtls_->used));
    if (!message) return;
    dtls_->used += message->size();
    if (!HearUnsealed(now, path, *message, arrival)) return;
  }
}

void Node::SendSealed(const turn::Forward& forward) {
  const Path path = internal::OverUdp(forward.path);
  net::UdpSocket* socket = listener_table_.Find(path.local);
  std::array<uint8_t, dtls::kPlaintextMax + dtls::kRecordOverheadMax> record;
  for (size_t i = 0; i < forward.segments; ++i) {
    const auto sealed =
        dtls_->clients.Seal(path, forward.prefix(i), forward.payload(i),
                            forward.padding(i), absl::MakeSpan(record));
    if (sealed && socket != nullptr) socket->SendOne(path, *sealed);
  }
}

void Node::ServeDtls() {
  std::array<uint8_t, 2048> buffer;
  while (const auto packet = dtls_->clients.PollTransmit(
             net::Loop::Now(), absl::MakeSpan(buffer))) {
    if (net::UdpSocket* socket = listener_table_.Find(packet->path.local)) {
      socket->SendOne(packet->path, packet->bytes);
    }
  }
  while (const auto event = dtls_->clients.PollEvent()) {
    const auto& gone = std::get<DtlsClients::Gone>(*event);
    server_.ClientGone(internal::OverDtls(gone.path));
    if (gone.visit.has_value()) EndVisit(gone.path, *gone.visit);
  }
}

}  // namespace kyuu::relay

// Clients of a node on DTLS.

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <variant>

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

bool Node::HearDtls(absl::Time now, const net::Train& train) {
  if (!dtls_->clients.Claims(
          train.path, train.bytes.empty() ? uint8_t{0} : train.bytes[0])) {
    return false;
  }
  for (size_t i = 0; i < train.segments(); ++i) {
    dtls_->clients.HandlePacket(now, {train.path, train.segment(i)});
    while (true) {
      if (kPlaintextBytes - dtls_->used < dtls::kPlaintextMax) {
        outbox_.Flush();
        dtls_->used = 0;
      }
      const auto message = dtls_->clients.ReadPlaintext(
          absl::MakeSpan(dtls_->plaintext).subspan(dtls_->used));
      if (!message) break;
      dtls_->used += message->size();
      // Its session is here and nowhere else.
      Execute(server_.FromClient(
          now, internal::OverDtls(train.path), *message, message->size(),
          {.reach = turn::Reach::kHere, .host = dtls_->clients.host()}));
    }
  }
  return true;
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
    server_.ClientGone(
        internal::OverDtls(std::get<DtlsClients::Gone>(*event).path));
  }
}

}  // namespace kyuu::relay

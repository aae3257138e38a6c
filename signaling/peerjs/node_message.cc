#include "signaling/peerjs/node_message.h"

#include <type_traits>

#include "absl/status/status.h"
#include "signaling/backplane/internal/fields.h"

namespace kyuu::signaling::peerjs {

// Each message is described once, by its fields in their order.
template <typename F, typename M>
void Walk(F& f, M& m) requires std::is_same_v<std::remove_const_t<M>, Here> {
  f(m.id, m.epoch);
}
template <typename F, typename M>
void Walk(F& f, M& m) requires std::is_same_v<std::remove_const_t<M>, Gone> {
  f(m.id);
}
template <typename F, typename M>
void Walk(F& f, M& m) requires std::is_same_v<std::remove_const_t<M>, Passed> {
  f(m.from, m.to, m.number, m.is_important, m.text);
}
template <typename F, typename M>
void Walk(F& f,
          M& m) requires std::is_same_v<std::remove_const_t<M>, Returned> {
  f(m.passed);
}
template <typename F, typename M>
void Walk(F& f, M& m) requires std::is_same_v<std::remove_const_t<M>, Wanted> {
  f(m.request, m.id, m.token);
}

template <typename F>
void Walk(F& f, Answer& m) {
  uint8_t verdict = 0;
  f(m.request, m.id, verdict);
  m.verdict = static_cast<Verdict>(verdict);
}
template <typename F>
void Walk(F& f, const Answer& m) {
  f(m.request, m.id, static_cast<uint8_t>(m.verdict));
}

absl::StatusOr<NodeMessage> ParseNodeMessage(absl::string_view bytes) {
  auto message = internal::ParseFields<NodeMessage>(bytes);
  if (!message.ok()) return message.status();
  const auto* answer = std::get_if<Answer>(&*message);
  if (answer != nullptr && answer->verdict > Verdict::kGiven) {
    return absl::InvalidArgumentError("not a verdict");
  }
  return message;
}

std::string WriteNodeMessage(const NodeMessage& message) {
  return internal::WriteFields(message);
}

}  // namespace kyuu::signaling::peerjs

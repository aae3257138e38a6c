#include "signaling/backplane/node_message.h"

#include <type_traits>

#include "signaling/backplane/internal/fields.h"

namespace kyuu::signaling::node {

// Each message is described once, by its fields in their order.
template <typename F, typename M>
void Walk(F& f, M& m) requires std::is_same_v<std::remove_const_t<M>, Here> {
  f(m.peer, m.epoch, m.room, m.name, m.meta, m.lock);
}
template <typename F, typename M>
void Walk(F& f, M& m) requires std::is_same_v<std::remove_const_t<M>, Gone> {
  f(m.peer);
}
template <typename F, typename M>
void Walk(F& f, M& m) requires std::is_same_v<std::remove_const_t<M>, Rings> {
  f(m.call, m.from, m.to, m.meta);
}
template <typename F, typename M>
void Walk(F& f,
          M& m) requires std::is_same_v<std::remove_const_t<M>, Accepted> {
  f(m.call, m.from, m.to);
}
template <typename F, typename M>
void Walk(F& f,
          M& m) requires std::is_same_v<std::remove_const_t<M>, Rejected> {
  f(m.call, m.from, m.to, m.reason);
}
template <typename F, typename M>
void Walk(F& f, M& m) requires std::is_same_v<std::remove_const_t<M>, Ended> {
  f(m.call, m.from, m.to, m.reason);
}
template <typename F, typename M>
void Walk(F& f,
          M& m) requires std::is_same_v<std::remove_const_t<M>, Signalled> {
  f(m.call, m.from, m.to, m.text);
}
template <typename F, typename M>
void Walk(F& f, M& m) requires std::is_same_v<std::remove_const_t<M>, Wanted> {
  f(m.request, m.session, m.secret, m.received, m.by, m.user);
}
template <typename F, typename M>
void Walk(F& f, M& m) requires std::is_same_v<std::remove_const_t<M>, NotHere> {
  f(m.request);
}
template <typename F, typename M>
void Walk(F& f, M& m) requires std::is_same_v<std::remove_const_t<M>, Moving> {
  f(m.peer, m.to, m.move);
}
template <typename F, typename M>
void Walk(F& f, M& m) requires std::is_same_v<std::remove_const_t<M>, Held> {
  f(m.peer, m.move);
}
template <typename F, typename M>
void Walk(F& f,
          M& m) requires std::is_same_v<std::remove_const_t<M>, Published> {
  f(m.text);
}
template <typename F, typename M>
void Walk(F& f, M& m) requires std::is_same_v<std::remove_const_t<M>, Over> {
  f(m.session);
}
template <typename F, typename M>
void Walk(F& f,
          M& m) requires std::is_same_v<std::remove_const_t<M>, Moved::Call> {
  f(m.call, m.other, m.is_caller, m.is_accepted, m.is_over);
}
template <typename F, typename M>
void Walk(F& f, M& m) requires std::is_same_v<std::remove_const_t<M>, Moved> {
  f(m.request, m.peer, m.id, m.secret, m.received, m.forgotten, m.kept,
    m.unfinished, m.blocked, m.homes, m.messages_left, m.presence_left,
    m.calls_left, m.is_in_room, m.epoch, m.room, m.name, m.meta, m.lock,
    m.calls);
}
template <typename F, typename M>
void Walk(F& f,
          M& m) requires std::is_same_v<std::remove_const_t<M>, OfPeerJs> {
  f(m.text);
}

template <typename F, typename M>
void Walk(F& f, M& m) requires std::is_same_v<std::remove_const_t<M>, Said> {
  f(m.from, m.to, m.text);
}

absl::StatusOr<Message> Parse(absl::string_view bytes) {
  return internal::ParseFields<Message>(bytes);
}

std::string Write(const Message& message) {
  return internal::WriteFields(message);
}

}  // namespace kyuu::signaling::node

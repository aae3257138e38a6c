#include "signaling/backplane/node_message.h"

#include <type_traits>
#include <utility>

#include "base/bytes.h"

namespace kyuu::signaling::node {
namespace {

// Each message is described once, by its fields in their order; ReadFields and
// WriteFields walk over them.
template <typename F, typename M>
void Walk(F& f, M& m) requires std::is_same_v<std::remove_const_t<M>, Here> {
  f(m.peer, m.epoch, m.room, m.name, m.meta);
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
    m.unfinished, m.homes, m.messages_left, m.presence_left, m.calls_left,
    m.is_in_room, m.epoch, m.room, m.name, m.meta, m.calls);
}

class ReadFields {
 public:
  explicit ReadFields(Reader& r) : r_(r) {}
  template <typename... T>
  void operator()(T&... fields) {
    (Read(fields), ...);
  }

 private:
  void Read(uint8_t& v) { v = r_.U8(); }
  void Read(uint64_t& v) { v = r_.U64(); }
  void Read(bool& v) {
    const uint8_t byte = r_.U8();
    if (byte > 1) r_.Fail();
    v = byte == 1;
  }
  void Read(NodeId& v) { v = NodeId{r_.U64()}; }
  void Read(PeerId& v) {
    Read(v.origin);
    Read(v.number);
  }
  void Read(std::string& v) { v = std::string(r_.Text(r_.U32())); }
  template <typename T>
  void Read(std::vector<T>& v) {
    const uint32_t count = r_.U32();
    // Each needs a byte at least, so that no memory is asked for in vain.
    if (count > r_.remaining()) r_.Fail();
    for (uint32_t i = 0; i < count && r_.ok(); ++i) {
      Read(v.emplace_back());
    }
  }
  void Read(Moved::Call& v) { Walk(*this, v); }

  Reader& r_;
};

class WriteFields {
 public:
  explicit WriteFields(std::string& out) : out_(out) {}
  template <typename... T>
  void operator()(const T&... fields) {
    (Put(fields), ...);
  }

 private:
  template <int kSize>
  void Number(uint64_t v) {
    for (int i = kSize - 1; i >= 0; --i) {
      out_.push_back(static_cast<char>(v >> 8 * i & 0xff));
    }
  }
  void Put(const uint8_t& v) { Number<1>(v); }
  void Put(const uint64_t& v) { Number<8>(v); }
  void Put(const bool& v) { Number<1>(v ? 1 : 0); }
  void Put(const NodeId& v) { Number<8>(static_cast<uint64_t>(v)); }
  void Put(const PeerId& v) {
    Put(v.origin);
    Put(v.number);
  }
  void Put(const std::string& v) {
    Number<4>(v.size());
    out_.append(v);
  }
  template <typename T>
  void Put(const std::vector<T>& v) {
    Number<4>(v.size());
    for (const T& element : v) Put(element);
  }
  void Put(const Moved::Call& v) { Walk(*this, v); }

  std::string& out_;
};

template <size_t kIndex = 0>
bool ReadKind(uint8_t kind, Reader& r, Message& message) {
  if constexpr (kIndex == std::variant_size_v<Message>) {
    return false;
  } else {
    if (kind != kIndex + 1) return ReadKind<kIndex + 1>(kind, r, message);
    ReadFields read(r);
    Walk(read, message.emplace<kIndex>());
    return r.Finish();
  }
}

}  // namespace

absl::StatusOr<Message> Parse(absl::string_view bytes) {
  Reader r(AsBytes(bytes));
  const uint8_t kind = r.U8();
  Message message;
  if (!ReadKind(kind, r, message)) {
    return absl::InvalidArgumentError("not a message of a node");
  }
  return message;
}

std::string Write(const Message& message) {
  std::string out(1, static_cast<char>(message.index() + 1));
  WriteFields write(out);
  std::visit([&](const auto& m) { Walk(write, m); }, message);
  return out;
}

}  // namespace kyuu::signaling::node

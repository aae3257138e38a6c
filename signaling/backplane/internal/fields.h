// The form of messages between nodes: a byte for the kind, then the fields in
// their order: numbers in network order, texts and lists behind their size in
// four bytes.
//
// A kind is an alternative of a variant, described by a template in its own
// namespace that calls `f` with its fields:
//
//   template <typename F, typename M>
//   void Walk(F& f, M& m) requires std::is_same_v<std::remove_const_t<M>, Gone>
//   { f(m.peer); }

#ifndef KYUU_SIGNALING_BACKPLANE_INTERNAL_FIELDS_H_
#define KYUU_SIGNALING_BACKPLANE_INTERNAL_FIELDS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "signaling/backplane/node.h"

namespace kyuu::signaling::internal {

class FieldReader {
 public:
  explicit FieldReader(Reader& r) : r_(r) {}
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
  template <typename T>
  void Read(T& v) requires std::is_class_v<T> {
    Walk(*this, v);
  }

  Reader& r_;
};

class FieldWriter {
 public:
  explicit FieldWriter(std::string& out) : out_(out) {}
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
  template <typename T>
  void Put(const T& v) requires std::is_class_v<T> {
    Walk(*this, v);
  }

  std::string& out_;
};

template <typename Message, size_t kIndex = 0>
bool ReadKind(uint8_t kind, Reader& r, Message& message) {
  if constexpr (kIndex == std::variant_size_v<Message>) {
    return false;
  } else {
    if (kind != kIndex + 1) {
      return ReadKind<Message, kIndex + 1>(kind, r, message);
    }
    FieldReader read(r);
    Walk(read, message.template emplace<kIndex>());
    return r.Finish();
  }
}

// INVALID_ARGUMENT for what is not exactly one message.
template <typename Message>
absl::StatusOr<Message> ParseFields(absl::string_view bytes) {
  Reader r(AsBytes(bytes));
  const uint8_t kind = r.U8();
  Message message;
  if (!ReadKind(kind, r, message)) {
    return absl::InvalidArgumentError("not a message of a node");
  }
  return message;
}

template <typename Message>
std::string WriteFields(const Message& message) {
  std::string out(1, static_cast<char>(message.index() + 1));
  FieldWriter write(out);
  std::visit([&](const auto& m) { Walk(write, m); }, message);
  return out;
}

}  // namespace kyuu::signaling::internal

#endif  // KYUU_SIGNALING_BACKPLANE_INTERNAL_FIELDS_H_

// The JSON form of a message, member by member.

#ifndef KYUU_SIGNALING_INTERNAL_OBJECT_WRITER_H_
#define KYUU_SIGNALING_INTERNAL_OBJECT_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "signaling/internal/json.h"
#include "signaling/message_limits.h"

namespace kyuu::signaling::internal {

// ObjectWriter writes one object, member by member. Names are ours and need
// no escapes.
class ObjectWriter {
 public:
  explicit ObjectWriter(std::string& out) : out_(out) { out_.push_back('{'); }
  ~ObjectWriter() { out_.push_back('}'); }
  ObjectWriter(const ObjectWriter&) = delete;
  ObjectWriter& operator=(const ObjectWriter&) = delete;

  // The first member of a message.
  template <typename Message>
  ObjectWriter& Type(const Message&) {
    return Text("type", Message::kType);
  }
  ObjectWriter& Text(absl::string_view name, absl::string_view text) {
    Name(name);
    AppendJsonText(text, out_);
    return *this;
  }
  ObjectWriter& TextIfAny(absl::string_view name, absl::string_view text) {
    return text.empty() ? *this : Text(name, text);
  }
  ObjectWriter& Number(absl::string_view name, int64_t number) {
    Name(name);
    absl::StrAppend(&out_, number);
    return *this;
  }
  ObjectWriter& Count(absl::string_view name, uint64_t count) {
    Name(name);
    absl::StrAppend(&out_, count);
    return *this;
  }
  ObjectWriter& Bool(absl::string_view name, bool value) {
    return Raw(name, value ? "true" : "false");
  }
  ObjectWriter& Raw(absl::string_view name, RawJson value) {
    Name(name);
    absl::StrAppend(&out_, value);
    return *this;
  }
  // Writes the elements of `list` as an array, each by `write(element, out)`.
  template <typename List, typename Write>
  ObjectWriter& Array(absl::string_view name, const List& list, Write write) {
    std::string& out = Name(name);
    out.push_back('[');
    for (size_t i = 0; i < list.size(); ++i) {
      if (i > 0) out.push_back(',');
      write(list[i], out);
    }
    out.push_back(']');
    return *this;
  }
  // Writes `"name":` and leaves the value to the caller.
  std::string& Name(absl::string_view name) {
    absl::StrAppend(&out_, first_ ? "\"" : ",\"", name, "\":");
    first_ = false;
    return out_;
  }

 private:
  std::string& out_;
  bool first_ = true;
};

}  // namespace kyuu::signaling::internal

#endif  // KYUU_SIGNALING_INTERNAL_OBJECT_WRITER_H_

// What readers of SDP values return, and views of values that are lists.

#ifndef KYUU_SDP_SYNTAX_H_
#define KYUU_SDP_SYNTAX_H_

#include <cstddef>
#include <iterator>
#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace kyuu::sdp {

// SyntaxError says what is wrong with a value, where, and by which rule.
struct SyntaxError {
  absl::string_view message;  // "must be 1..65535". Static.
  absl::string_view rule;     // "RFC 8841 section 5". Static.
  size_t offset = 0;          // In the value.
};

// Parsed is what a reader makes of a value: a T, or what is wrong with it.
template <typename T>
class Parsed {
 public:
  // Implicit, so that a reader returns either of them.
  Parsed(T value) : state_(std::move(value)) {}  // NOLINT(*-explicit-*)
  Parsed(SyntaxError error) : state_(error) {}   // NOLINT(*-explicit-*)

  bool ok() const { return std::holds_alternative<T>(state_); }
  // Only if ok().
  const T& operator*() const { return *std::get_if<T>(&state_); }
  const T* operator->() const { return std::get_if<T>(&state_); }
  // nullopt if ok().
  std::optional<SyntaxError> error() const {
    const auto* error = std::get_if<SyntaxError>(&state_);
    return error == nullptr ? std::nullopt : std::optional(*error);
  }

 private:
  std::variant<T, SyntaxError> state_;
};

// Pieces is a view of a list, read as it is walked: the parts of a text between
// delimiters, without the blanks around each and without empty ones.
//
//   for (const absl::string_view mid : group.mids) ...
class Pieces {
 public:
  Pieces() = default;
  Pieces(absl::string_view text, char delimiter)
      : text_(text), delimiter_(delimiter) {}

  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = absl::string_view;
    using difference_type = std::ptrdiff_t;
    using pointer = const absl::string_view*;
    using reference = absl::string_view;

    Iterator() = default;
    Iterator(absl::string_view rest, char delimiter)
        : rest_(rest), delimiter_(delimiter) {
      ++*this;
    }
    absl::string_view operator*() const { return piece_; }
    const absl::string_view* operator->() const { return &piece_; }
    Iterator& operator++();
    Iterator operator++(int) {
      Iterator before = *this;
      ++*this;
      return before;
    }
    // All ends are equal; no other two iterators are ever compared.
    friend bool operator==(const Iterator& a, const Iterator& b) {
      return a.piece_.empty() && b.piece_.empty();
    }

   private:
    absl::string_view rest_;
    absl::string_view piece_;  // Empty at the end.
    char delimiter_ = ' ';
  };

  Iterator begin() const { return Iterator(text_, delimiter_); }
  Iterator end() const { return Iterator(); }
  bool empty() const { return begin() == end(); }
  // Both walk the list.
  size_t count() const;
  bool Contains(absl::string_view piece) const;
  // As it was written.
  absl::string_view text() const { return text_; }

 private:
  absl::string_view text_;
  char delimiter_ = ' ';
};

// Parameters is a view of `name=value;name=value`, as of a=fmtp and a=rid. A
// part without a sign of equality is a name without a value.
class Parameters {
 public:
  struct Parameter {
    absl::string_view name;
    absl::string_view value;
  };
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Parameter;
    using difference_type = std::ptrdiff_t;
    using pointer = const Parameter*;
    using reference = Parameter;

    Iterator() = default;
    explicit Iterator(Pieces::Iterator at) : at_(at) {}
    Parameter operator*() const {
      const size_t equals = at_->find('=');
      if (equals == absl::string_view::npos) return {*at_, {}};
      return {at_->substr(0, equals), at_->substr(equals + 1)};
    }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    friend bool operator==(const Iterator& a, const Iterator& b) {
      return a.at_ == b.at_;
    }

   private:
    Pieces::Iterator at_;
  };

  Parameters() = default;
  explicit Parameters(absl::string_view text) : pieces_(text, ';') {}

  Iterator begin() const { return Iterator(pieces_.begin()); }
  Iterator end() const { return Iterator(); }
  bool empty() const { return pieces_.empty(); }
  // The value of the first parameter of that name; names have no case (RFC 4855
  // section 3).
  std::optional<absl::string_view> Get(absl::string_view name) const {
    for (const Parameter parameter : *this) {
      if (absl::EqualsIgnoreCase(parameter.name, name)) return parameter.value;
    }
    return std::nullopt;
  }
  // As it was written.
  absl::string_view text() const { return pieces_.text(); }

 private:
  Pieces pieces_;
};

inline Pieces::Iterator& Pieces::Iterator::operator++() {
  piece_ = {};
  while (piece_.empty() && !rest_.empty()) {
    const size_t end = rest_.find(delimiter_);
    piece_ = rest_.substr(0, end);
    rest_ = end == absl::string_view::npos ? absl::string_view()
                                           : rest_.substr(end + 1);
    while (!piece_.empty() && piece_.front() == ' ') piece_.remove_prefix(1);
    while (!piece_.empty() && piece_.back() == ' ') piece_.remove_suffix(1);
  }
  return *this;
}

inline size_t Pieces::count() const {
  size_t count = 0;
  for (Iterator i = begin(); !(i == end()); ++i) ++count;
  return count;
}

inline bool Pieces::Contains(absl::string_view piece) const {
  for (const absl::string_view each : *this) {
    if (each == piece) return true;
  }
  return false;
}

}  // namespace kyuu::sdp

#endif  // KYUU_SDP_SYNTAX_H_

// Options that cost a pointer while they are the defaults.

#ifndef KYUU_BASE_DEFAULTED_H_
#define KYUU_BASE_DEFAULTED_H_

#include <concepts>
#include <memory>
#include <utility>

namespace kyuu {

// Defaulted keeps a constant T: its own if it differs from T{}, else one that
// all have in common. Thousands of engines that were given the same defaults
// have them once. The value stays where it is when the Defaulted is moved.
template <typename T>
requires std::default_initializable<T> && std::equality_comparable<T>
class Defaulted {
 public:
  Defaulted() = default;
  explicit Defaulted(T value)
      : own_(value == Common() ? nullptr
                               : std::make_unique<const T>(std::move(value))) {}

  const T& operator*() const { return own_ ? *own_ : Common(); }
  const T* operator->() const { return &**this; }
  bool is_default() const { return own_ == nullptr; }

 private:
  static const T& Common() {
    static const T* const kCommon = new T;  // Lives as long as the program.
    return *kCommon;
  }

  std::unique_ptr<const T> own_;
};

}  // namespace kyuu

#endif  // KYUU_BASE_DEFAULTED_H_

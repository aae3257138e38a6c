// Whether how long a wrong MESSAGE-INTEGRITY is looked at tells how much of it
// is right: a server that compared it byte by byte could be asked for it so.
//
//   integrity_timing [CHECKS]
//
// In each row, wrong MACs of two kinds come in random order, such whose first
// byte is wrong and such whose last one is, and each check is timed. Welch's t
// says how sure it is that the two kinds take different times: above 4.5 the
// row fails, as is usual for such tests (dudect). The last rows are comparisons
// that do stop at the first difference; they fail unless that is seen.

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/random.h"
#include "stun/attributes.h"
#include "stun/integrity.h"
#include "stun/message.h"

namespace kyuu {
namespace {

constexpr double kSure = 4.5;

// Mean and variance of a kind's times, one by one (Welford).
struct Times {
  double count = 0;
  double mean = 0;
  double squares = 0;

  void Add(double t) {
    ++count;
    const double delta = t - mean;
    mean += delta / count;
    squares += delta * (t - mean);
  }
  double Spread() const { return squares / (count - 1) / count; }
};

double Welch(const Times& a, const Times& b) {
  return std::abs(a.mean - b.mean) / std::sqrt(a.Spread() + b.Spread());
}

// Calls `check` with `secret` but for one bit of its first or last byte, always
// at the same place of memory. What an interrupt has made long is left out: the
// slowest hundredth of all.
template <typename Check>
double Measure(size_t checks, absl::Span<const uint8_t> secret,
               absl::Span<uint8_t> place, Check check) {
  std::array<std::vector<uint8_t>, 2> wrong;
  for (auto& bytes : wrong) bytes.assign(secret.begin(), secret.end());
  wrong[0].front() ^= 1;
  wrong[1].back() ^= 1;
  SeededRandom random(1);
  std::vector<uint8_t> kinds(checks);
  random.Fill(absl::MakeSpan(kinds));
  std::vector<float> took(checks);
  for (size_t i = 0; i < checks; ++i) {
    kinds[i] &= 1;
    std::copy(wrong[kinds[i]].begin(), wrong[kinds[i]].end(), place.begin());
    const auto began = std::chrono::steady_clock::now();
    const bool right = check();
    const auto ended = std::chrono::steady_clock::now();
    if (right) std::abort();
    took[i] = std::chrono::duration<float, std::nano>(ended - began).count();
  }
  std::vector<float> sorted = took;
  const auto limit = sorted.begin() + static_cast<long>(checks / 100 * 99);
  std::nth_element(sorted.begin(), limit, sorted.end());
  std::array<Times, 2> times;
  for (size_t i = 0; i < checks; ++i) {
    if (took[i] <= *limit) times[kinds[i]].Add(took[i]);
  }
  std::printf("%8.1f %8.1f ns  t %6.1f", times[0].mean, times[1].mean,
              Welch(times[0], times[1]));
  return Welch(times[0], times[1]);
}

bool Tell(const char* what, double t, bool leaks) {
  const bool good = (t > kSure) == leaks;
  std::printf("  %s %s\n", good ? "ok    " : "not ok", what);
  return good;
}

// What must not be done with a secret.
bool EqualSoFar(absl::Span<const uint8_t> a, absl::Span<const uint8_t> b) {
  for (size_t i = 0; i < a.size(); ++i) {
    const volatile uint8_t left = a[i];
    if (left != b[i]) return false;
  }
  return true;
}

int Main(size_t checks) {
  const auto key = stun::IntegrityKey::LongTerm("user", "realm", "password");
  const auto write = [&](std::array<uint8_t, 512>& out, bool sha256) {
    stun::MessageWriter w(absl::MakeSpan(out), stun::MessageClass::kRequest,
                          stun::Method::kRefresh, stun::TransactionId{});
    w.Add(stun::Username{"user"});
    w.Add(stun::Realm{"realm"});
    w.Add(stun::Nonce{"obMatJos2AAABAAAA//499k954d6OL34oL9FSTvy64sA"});
    if (sha256) {
      w.AddIntegritySha256(key);
    } else {
      w.AddIntegrity(key);
    }
    return absl::MakeSpan(out).first(w.Finish().size());
  };
  std::array<uint8_t, 512> sha1_bytes;
  std::array<uint8_t, 512> sha256_bytes;
  const absl::Span<uint8_t> sha1 = write(sha1_bytes, false);
  const absl::Span<uint8_t> sha256 = write(sha256_bytes, true);
  const auto mac_of = [](absl::Span<uint8_t> message, size_t size) {
    return message.subspan(message.size() - size);
  };
  const auto copy = [](absl::Span<const uint8_t> bytes) {
    return std::vector<uint8_t>(bytes.begin(), bytes.end());
  };
  const absl::Span<uint8_t> mac = mac_of(sha1, 20);
  const absl::Span<uint8_t> mac256 = mac_of(sha256, 32);
  const std::vector<uint8_t> right = copy(mac);
  const std::vector<uint8_t> right256 = copy(mac256);
  const auto parsed = [](absl::Span<const uint8_t> message) {
    return stun::MessageView::Parse(message).value();
  };
  const stun::MessageView view = parsed(sha1);
  const stun::MessageView view256 = parsed(sha256);
  bool good = true;
  good &= Tell(
      "MESSAGE-INTEGRITY",
      Measure(checks, right, mac, [&] { return view.CheckIntegrity(key); }),
      false);
  good &= Tell("MESSAGE-INTEGRITY-SHA256",
               Measure(checks, right256, mac256,
                       [&] { return view256.CheckIntegritySha256(key); }),
               false);
  good &= Tell("EqualInConstantTime, of nonces and tickets",
               Measure(checks, right, mac,
                       [&] { return stun::EqualInConstantTime(right, mac); }),
               false);
  good &= Tell("for comparison: HMAC, and a loop that stops",
               Measure(checks, right, mac,
                       [&] {
                         return EqualSoFar(
                             key.HmacSha1(sha1.first(20),
                                          sha1.subspan(20, sha1.size() - 44)),
                             mac);
                       }),
               true);
  good &=
      Tell("for comparison: a loop that stops",
           Measure(checks, right, mac, [&] { return EqualSoFar(right, mac); }),
           true);
  return good ? 0 : 1;
}

}  // namespace
}  // namespace kyuu

int main(int argc, char** argv) {
  return kyuu::Main(argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000);
}

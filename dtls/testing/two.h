// Two DTLS sessions over a simulated link, and what they reported: the stage of
// the session's tests.

#ifndef KYUU_DTLS_TESTING_TWO_H_
#define KYUU_DTLS_TESTING_TWO_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/bytes.h"
#include "base/testing.h"
#include "dtls/certificate.h"
#include "dtls/session.h"
#include "gtest/gtest.h"
#include "sim/clock_override.h"
#include "sim/pair.h"

namespace kyuu::dtls {

using Bytes = std::vector<uint8_t>;

// One of three certificates, the same each time.
inline const Certificate& CertificateOf(int who) {
  static const std::vector<Certificate>* const all = [] {
    auto* v = new std::vector<Certificate>;
    for (int i = 0; i < 3; ++i) {
      v->push_back(
          *Certificate::Generate(absl::FromUnixSeconds(1'700'000'000)));
    }
    return v;
  }();
  return (*all)[static_cast<size_t>(who)];
}

// What a session told through its events.
struct Log {
  std::optional<Connected> connected;
  std::optional<absl::Status> closed;
  int events_after_close = 0;

  void Add(const Session::Event& event) {
    if (closed) ++events_after_close;
    if (auto* c = std::get_if<Connected>(&event)) connected = *c;
    if (auto* c = std::get_if<Closed>(&event)) closed = c->status;
  }
};

// Two sessions that know each other's fingerprints unless told otherwise, on a
// link with a round trip of 20 ms; `a` is the client.
struct Two {
  explicit Two(uint64_t seed = 1, Options options = {})
      : a(Role::kClient, CertificateOf(0), options),
        b(Role::kServer, CertificateOf(1), options),
        pair(a, b,
             {.seed = seed,
              .a_to_b = {.delay = absl::Milliseconds(10)},
              .b_to_a = {.delay = absl::Milliseconds(10)}}),
        clock(pair.clock()) {
    pair.on_a = [this](const Session::Event& e) { log_a.Add(e); };
    pair.on_b = [this](const Session::Event& e) { log_b.Add(e); };
  }

  void Trust() {
    ASSERT_OK(
        a.SetRemoteFingerprints(pair.now(), {CertificateOf(1).fingerprint()}));
    ASSERT_OK(
        b.SetRemoteFingerprints(pair.now(), {CertificateOf(0).fingerprint()}));
  }
  bool Connect(absl::Duration limit = absl::Seconds(30)) {
    a.Start(pair.now());
    b.Start(pair.now());
    return pair.RunUntil([&] { return a.connected() && b.connected(); }, limit);
  }

  Session a;
  Session b;
  sim::Pair<Session> pair;
  sim::ScopedClockOverride clock;
  Log log_a;
  Log log_b;
};

// The record of `text`.
inline Bytes Seal(Session& session, absl::string_view text) {
  Bytes out(text.size() + kRecordOverheadMax);
  absl::StatusOr<size_t> size =
      session.Seal(AsBytes(text), absl::MakeSpan(out));
  EXPECT_OK(size);
  out.resize(size.value_or(0));
  return out;
}

// The next plaintext.
inline std::optional<std::string> Read(Session& session) {
  std::array<uint8_t, kPlaintextMax> buffer;
  auto plaintext = session.ReadPlaintext(absl::MakeSpan(buffer));
  if (!plaintext) return std::nullopt;
  return std::string(AsText(*plaintext));
}

// All datagrams that the session wants to send.
inline std::vector<Bytes> Drain(Session& session, absl::Time now) {
  std::vector<Bytes> all;
  std::array<uint8_t, 2048> buffer;
  while (auto p = session.PollTransmit(now, absl::MakeSpan(buffer))) {
    all.emplace_back(p->begin(), p->end());
  }
  return all;
}

}  // namespace kyuu::dtls

#endif  // KYUU_DTLS_TESTING_TWO_H_

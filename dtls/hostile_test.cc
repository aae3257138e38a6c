// What others have been found wanting in while they shook hands
// (CVE-2022-29190, CVE-2022-29222, CVE-2019-20786, CVE-2016-2179 and their
// kind): nobody is believed before he has proven himself, and what strangers
// say costs little.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/bytes.h"
#include "base/heap_testing.h"
#include "base/testing.h"
#include "dtls/internal/record.h"
#include "dtls/session.h"
#include "dtls/testing/two.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kyuu::dtls {
namespace {

using internal::ContentType;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr uint8_t kClientHello = 1;
constexpr uint8_t kCertificate = 11;
constexpr uint8_t kCertificateVerify = 15;

// A record of epoch 0, which anybody can write.
Bytes Clear(ContentType type, uint64_t sequence, const Bytes& fragment) {
  Bytes record(internal::Record::kHeaderBytes + fragment.size());
  Writer w(absl::MakeSpan(record));
  w.U8(static_cast<uint8_t>(type));
  w.U16(0xfefd);
  w.U16(0);
  w.U48(sequence);
  w.U16(static_cast<uint16_t>(fragment.size()));
  w.Bytes(fragment);
  EXPECT_TRUE(w.ok());
  return record;
}

// A fragment of `size` zeros, of a handshake message of `length` bytes (RFC
// 6347 section 4.2.2).
struct Fragment {
  uint8_t type = kClientHello;
  uint32_t length = 0;
  uint16_t message = 0;
  uint32_t offset = 0;
  uint32_t claimed = 0;  // Its size as it says.
  size_t size = 0;
};
Bytes Write(const Fragment& fragment) {
  Bytes bytes(12 + fragment.size);
  Writer w(absl::MakeSpan(bytes));
  w.U8(fragment.type);
  w.U24(fragment.length);
  w.U16(fragment.message);
  w.U24(fragment.offset);
  w.U24(fragment.claimed);
  EXPECT_TRUE(w.ok());
  return bytes;
}

// Whether the datagram has a handshake message of `type` in the clear.
bool Has(absl::Span<const uint8_t> datagram, uint8_t type) {
  while (const auto record = internal::TakeRecord(datagram)) {
    const auto body = record->bytes.subspan(internal::Record::kHeaderBytes);
    if (record->epoch == 0 && record->type == ContentType::kHandshake &&
        !body.empty() && body[0] == type) {
      return true;
    }
  }
  return false;
}

// Both ends hear `strange` at any time of their handshake. In DTLS 1.2 its
// messages are in the clear, so that whoever writes from the peer's address can
// keep a handshake from its end; but it ends, nothing of him is delivered, and
// little of it is kept.
void EndsInOrder(const std::vector<Bytes>& strange) {
  for (int flight = 0; flight < 4; ++flight) {
    SCOPED_TRACE(flight);
    Two two(1, {.handshake_timeout = absl::Seconds(10)});
    two.Trust();
    two.b.Start(two.pair.now());
    two.a.Start(two.pair.now());
    two.pair.RunFor(absl::Milliseconds(10 * flight + 5));
    const size_t before = HeapBytes();
    for (const Bytes& record : strange) {
      two.a.HandlePacket(two.pair.now(), record);
      two.b.HandlePacket(two.pair.now(), record);
    }
    EXPECT_LT(HeapBytes(), before + 256 * 1024);
    two.pair.RunFor(absl::Seconds(30));
    EXPECT_EQ(Read(two.a), std::nullopt);
    EXPECT_EQ(Read(two.b), std::nullopt);
    EXPECT_NE(two.a.connected(), two.log_a.closed.has_value());
    EXPECT_NE(two.b.connected(), two.log_b.closed.has_value());
    for (const Log* log : {&two.log_a, &two.log_b}) {
      if (!log->closed) continue;
      EXPECT_THAT(log->closed->message(), Not(HasSubstr("unknown error")));
    }
    // One that connects may yet hear of the other's end.
    EXPECT_LE(two.a.connected(), two.log_a.connected.has_value());
    EXPECT_LE(two.b.connected(), two.log_b.connected.has_value());
    if (two.a.connected() && two.b.connected()) {
      two.b.HandlePacket(two.pair.now(), Seal(two.a, "still here"));
      EXPECT_EQ(Read(two.b), "still here");
    }
  }
}

TEST(DtlsHostile, H30EmptyFragments) {
  std::vector<Bytes> strange;
  for (const uint8_t type : {kClientHello, kCertificate, kCertificateVerify}) {
    for (uint16_t message = 0; message < 6; ++message) {
      strange.push_back(
          Clear(ContentType::kHandshake, 1000 + strange.size(),
                Write({.type = type, .length = 100, .message = message})));
      strange.push_back(Clear(ContentType::kHandshake, 1000 + strange.size(),
                              Write({.type = type, .message = message})));
    }
  }
  strange.push_back(Clear(ContentType::kHandshake, 2000, {}));
  EndsInOrder(strange);
}

TEST(DtlsHostile, H30DataInTheClearIsNeverDelivered) {
  std::vector<Bytes> strange;
  for (uint64_t i = 0; i < 20; ++i) {
    strange.push_back(
        Clear(ContentType::kApplicationData, 1000 + i, {'h', 'i'}));
  }
  EndsInOrder(strange);
}

TEST(DtlsHostile, H30AGoodbyeInTheHandshakeIsCalledOne) {
  EndsInOrder({Clear(ContentType::kAlert, 1000, {1, 0})});
  Two two;
  two.Trust();
  two.b.Start(two.pair.now());
  two.b.HandlePacket(two.pair.now(), Clear(ContentType::kAlert, 0, {1, 0}));
  two.pair.RunFor(absl::Milliseconds(1));
  ASSERT_TRUE(two.log_b.closed.has_value());
  EXPECT_EQ(*two.log_b.closed,
            absl::UnavailableError("DTLS: the peer's alert: close notify"));
}

TEST(DtlsHostile, H30ACertificateThatIsNotProvenIsNotBelieved) {
  Two two(1, {.handshake_timeout = absl::Seconds(10)});
  two.Trust();
  int taken = 0;
  two.pair.keep_a_to_b = [&](absl::Span<const uint8_t> datagram) {
    if (!Has(datagram, kCertificateVerify)) return true;
    ++taken;
    return false;
  };
  EXPECT_FALSE(two.Connect(absl::Seconds(20)));
  EXPECT_GT(taken, 1);
  EXPECT_FALSE(two.log_b.connected.has_value());
  EXPECT_FALSE(two.b.connected());
  EXPECT_EQ(Read(two.b), std::nullopt);
}

TEST(DtlsHostile, H32MessagesOfTheFuture) {
  std::vector<Bytes> strange;
  for (uint16_t message = 1; message < 2000; ++message) {
    strange.push_back(Clear(ContentType::kHandshake, 1000 + message,
                            Write({.type = kCertificate,
                                   .length = 9000,
                                   .message = message,
                                   .claimed = 1000,
                                   .size = 1000})));
  }
  EndsInOrder(strange);
}

TEST(DtlsHostile, H32FragmentsThatContradictEachOther) {
  std::vector<Bytes> strange;
  const Fragment fragments[] = {
      {.length = 0xffffff, .claimed = 10, .size = 10},
      {.length = 100, .offset = 90, .claimed = 20, .size = 20},
      {.length = 100, .offset = 200, .claimed = 10, .size = 10},
      {.length = 100, .claimed = 50, .size = 10},
      {.length = 100, .claimed = 10, .size = 50},
      {.length = 100, .message = 1, .claimed = 60, .size = 60},
      {.length = 200, .message = 1, .offset = 40, .claimed = 60, .size = 60},
      {.type = 0, .length = 0},  // HelloRequest.
      {.type = 0, .length = 0, .message = 1},
      {.type = 99, .length = 10, .message = 2, .claimed = 10, .size = 10},
  };
  for (const Fragment& fragment : fragments) {
    strange.push_back(
        Clear(ContentType::kHandshake, 1000 + strange.size(), Write(fragment)));
  }
  EndsInOrder(strange);
}

}  // namespace
}  // namespace kyuu::dtls

#include "sim/clock_override.h"

#include <openssl/bio.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <sys/time.h>

#include <array>
#include <memory>

#include "absl/time/clock.h"
#include "base/testing.h"

namespace kyuu::sim {
namespace {

absl::Time TimeOfDay() {
  timeval value = {};
  gettimeofday(&value, nullptr);
  return absl::TimeFromTimeval(value);
}

TEST(ClockOverride, GettimeofdayFollowsTheSimulatedClockWhileItLives) {
  Clock clock;
  {
    ScopedClockOverride override_clock(clock);
    EXPECT_EQ(TimeOfDay(), clock.now());
    clock.AdvanceTo(clock.now() + absl::Seconds(90));
    EXPECT_EQ(TimeOfDay(), clock.now());
  }
  EXPECT_LT(absl::AbsDuration(TimeOfDay() - absl::Now()), absl::Hours(1));
}

TEST(ClockOverride, DtlsTimerRunsOnSimulatedTime) {
  Clock clock;
  ScopedClockOverride override_clock(clock);
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(
      SSL_CTX_new(DTLS_client_method()), SSL_CTX_free);
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()),
                                                SSL_free);
  BIO* out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), out);
  SSL_set_options(ssl.get(), SSL_OP_NO_QUERY_MTU);
  DTLS_set_link_mtu(ssl.get(), 1500);
  SSL_set_connect_state(ssl.get());
  BIO_set_mem_eof_return(SSL_get_rbio(ssl.get()), -1);
  SSL_do_handshake(ssl.get());
  const size_t first_flight = BIO_ctrl_pending(out);
  ASSERT_GT(first_flight, 0u);

  timeval left = {};
  ASSERT_EQ(DTLSv1_get_timeout(ssl.get(), &left), 1);
  EXPECT_EQ(left.tv_sec, 1);
  EXPECT_EQ(DTLSv1_handle_timeout(ssl.get()), 0);  // Not due.
  clock.AdvanceTo(clock.now() + absl::Seconds(1));
  EXPECT_EQ(DTLSv1_handle_timeout(ssl.get()), 1);
  EXPECT_GT(BIO_ctrl_pending(out), first_flight);
}

TEST(SeededOpenssl, RandBytesRepeatAndAreRandomAgainAfterwards) {
  const auto draw = [] {
    std::array<uint8_t, 32> bytes{};
    RAND_bytes(bytes.data(), static_cast<int>(bytes.size()));
    return bytes;
  };
  std::array<uint8_t, 32> first, second;
  {
    ScopedSeededOpenssl seeded(5);
    first = draw();
  }
  {
    ScopedSeededOpenssl seeded(5);
    second = draw();
  }
  EXPECT_EQ(first, second);
  EXPECT_NE(draw(), first);
}

}  // namespace
}  // namespace kyuu::sim

#include "tools/kyuud/start_warnings.h"

#include "base/testing.h"

namespace kyuu::tools {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

turn::ServerOptions::RelayAddress Relay(absl::string_view bind,
                                        absl::string_view told) {
  return {IpAddress::Parse(bind).value(), IpAddress::Parse(told).value()};
}

auto Says(const char* what) {
  return testing::Field(&StartWarning::what, HasSubstr(what));
}

Config OnTheNetwork() {
  Config config;
  config.turn_listen = {TransportAddress::Parse("0.0.0.0:3478").value()};
  return config;
}

TEST(StartWarningsTest, PrivateRelaysAreToldIfOthersComeHere) {
  const Machine hidden{
      {Relay("10.0.0.5", "10.0.0.5"), Relay("127.0.0.1", "127.0.0.1")}, {}, {}};
  EXPECT_THAT(StartWarnings(OnTheNetwork(), hidden),
              ElementsAre(Says("private (10.0.0.5)")));
  EXPECT_THAT(StartWarnings(Config(), hidden), IsEmpty());
  // Clients come by TCP, too.
  Config http;
  http.http_listen = {TransportAddress::Parse("[::]:443").value()};
  EXPECT_EQ(StartWarnings(http, hidden).size(), 1u);
  http.mode = Mode::kHttp;
  EXPECT_THAT(StartWarnings(http, hidden), IsEmpty());
}

TEST(StartWarningsTest, PublicRelaysAreAsTheyShouldBe) {
  const Machine translated{{Relay("10.0.0.5", "8.8.4.4")}, {}, {}};
  EXPECT_THAT(StartWarnings(OnTheNetwork(), translated), IsEmpty());
  const Machine both{
      {Relay("8.8.4.4", "8.8.4.4"), Relay("10.0.0.5", "10.0.0.5")}, {}, {}};
  EXPECT_THAT(StartWarnings(OnTheNetwork(), both), IsEmpty());
}

TEST(StartWarningsTest, SmallBuffersAreTold) {
  EXPECT_THAT(StartWarnings(Config(), {{}, 212'992, 8 << 20}),
              ElementsAre(Says("net.core.rmem_max is 212992")));
  EXPECT_THAT(StartWarnings(Config(), {{}, 8 << 20, 1}),
              ElementsAre(Says("net.core.wmem_max is 1")));
  EXPECT_THAT(StartWarnings(Config(), {}), IsEmpty());
}

}  // namespace
}  // namespace kyuu::tools

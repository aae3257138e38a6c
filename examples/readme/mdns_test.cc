// mdns/README.md.

#include <array>
#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/address.h"
#include "base/random.h"
#include "base/status_macros.h"
#include "base/testing.h"
#include "mdns/endpoint.h"
#include "mdns/message.h"

namespace {

using namespace kyuu;  // NOLINT: as in the README.

const absl::Time now = absl::FromUnixSeconds(1000);  // NOLINT: as there.

absl::StatusOr<mdns::QueryId> Begin(mdns::Endpoint& endpoint,
                                    const IpAddress& our_address,
                                    absl::string_view theirs) {
  const uint32_t interface_index = 2;
  SeededRandom random(1);
  KYUU_RETURN_IF_ERROR(endpoint.AddLink(now, {our_address, interface_index}));
  KYUU_ASSIGN_OR_RETURN(mdns::QueryId id, endpoint.Resolve(now, theirs));
  const std::string ours = mdns::MakeName(random);
  KYUU_RETURN_IF_ERROR(endpoint.Publish(ours, our_address, interface_index));
  return id;
}

TEST(MdnsReadme, ANameIsAskedForAndAnotherOnePublished) {
  const IpAddress our_address = IpAddress::V4(10, 0, 0, 1);
  mdns::Endpoint endpoint;
  const auto id = Begin(endpoint, our_address,
                        "5f0c6a1e-2b7d-4c3f-9a8b-7c6d5e4f3a2b.local");
  ASSERT_OK(id);
  std::array<uint8_t, 600> buffer;
  const auto question = endpoint.PollTransmit(now, absl::MakeSpan(buffer));
  ASSERT_TRUE(question.has_value());
  EXPECT_EQ(question->path.remote.ToString(), "224.0.0.251:5353");
  SeededRandom random(1);
  const auto own = endpoint.Resolve(now, mdns::MakeName(random));
  ASSERT_OK(own);
  const auto event = endpoint.PollEvent();
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(std::get<mdns::Resolved>(*event).id, *own);
  EXPECT_EQ(std::get<mdns::Resolved>(*event).ip, our_address);
}

}  // namespace

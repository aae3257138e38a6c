// What comes by kyuud's admin socket, cut anywhere: the cuts change nothing,
// each command reads as it is written, and what is held stays bounded.

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <variant>

#include "absl/time/time.h"
#include "base/check.h"
#include "tools/kyuud/admin/admin_connection.h"

namespace {

std::string Hear(absl::Span<const uint8_t> stream, size_t step) {
  using kyuu::tools::AdminConnection;
  const absl::Time now = absl::UnixEpoch();
  AdminConnection connection({.line_bytes_max = 64}, now);
  std::string heard;
  std::array<uint8_t, 4096> buffer;
  for (; !stream.empty(); stream.remove_prefix(std::min(step, stream.size()))) {
    connection.HandlePacket(now, stream.first(std::min(step, stream.size())));
    do {
      while (const auto event = connection.PollEvent()) {
        const auto* asked = std::get_if<AdminConnection::Asked>(&*event);
        if (asked == nullptr) return heard + "!";
        heard += asked->command.ToString() + "\n";
        KYUU_CHECK(*kyuu::tools::AdminCommand::Parse(
                       asked->command.ToString()) == asked->command);
        connection.Finish(now, "{}");
      }
      KYUU_CHECK(connection.held_bytes() <= 66'000 + step);
    } while (connection.PollTransmit(now, absl::MakeSpan(buffer)).has_value());
  }
  return heard;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto stream = absl::MakeConstSpan(data, size).subspan(1);
  KYUU_CHECK(Hear(stream, 1) == Hear(stream, data[0] + size_t{1}));
  return 0;
}

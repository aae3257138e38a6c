#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/check.h"
#include "nlohmann/json.hpp"
#include "signaling/internal/json.h"
#include "signaling/message.h"
#include "signaling/testing/plays.h"

namespace kyuu::signaling {
namespace {

// nlohmann-json's opinion; none about numbers beyond a double, which it does
// not read and RFC 8259 section 6 allows.
std::optional<bool> OracleAccepts(const std::string& text) {
  try {
    const nlohmann::json parsed = nlohmann::json::parse(text);
    return !parsed.is_discarded();
  } catch (const nlohmann::json::out_of_range&) {
    return std::nullopt;
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

}  // namespace

void PlayMessage(absl::Span<const uint8_t> input) {
  const std::string text(AsText(input));
  const auto value = internal::CheckJson(text, {});
  // nlohmann-json takes a NUL for the end, skips a byte order mark, and knows
  // none of our limits.
  if (text.find('\0') == std::string::npos &&
      text.substr(0, 3) != "\xef\xbb\xbf" &&
      value.status().code() != absl::StatusCode::kOutOfRange) {
    KYUU_CHECK(value.ok() == OracleAccepts(text).value_or(value.ok()));
  }
  const MessageLimits limits;
  const auto parsed = ParseClientMessage(text, limits);
  if (const auto* message = std::get_if<ClientMessage>(&parsed)) {
    const std::string once = WriteMessage(*message);
    if (once.size() <= limits.max_message_bytes) {
      const auto again = ParseClientMessage(once, limits);
      KYUU_CHECK(std::holds_alternative<ClientMessage>(again));
      KYUU_CHECK(WriteMessage(std::get<ClientMessage>(again)) == once);
    }
  }
  const auto from_server = ParseServerMessage(text, limits);
  if (from_server.ok()) {
    const std::string once = WriteMessage(*from_server);
    const auto again = ParseServerMessage(once, limits);
    KYUU_CHECK(again.ok());
    KYUU_CHECK(WriteMessage(*again) == once);
  }
}

}  // namespace kyuu::signaling

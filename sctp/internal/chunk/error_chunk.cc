#include "sctp/internal/chunk/error_chunk.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "sctp/internal/chunk/chunk.h"

namespace kyuu::sctp::internal {
namespace {

constexpr size_t kMaxDescribedCauses = 8;
constexpr size_t kMaxDescribedText = 128;

std::string CauseName(ErrorCause cause) {
  switch (cause) {
    case ErrorCause::kInvalidStreamIdentifier:
      return "invalid stream identifier";
    case ErrorCause::kMissingMandatoryParameter:
      return "missing mandatory parameter";
    case ErrorCause::kStaleCookie:
      return "stale cookie";
    case ErrorCause::kOutOfResource:
      return "out of resource";
    case ErrorCause::kUnresolvableAddress:
      return "unresolvable address";
    case ErrorCause::kUnrecognizedChunkType:
      return "unrecognized chunk type";
    case ErrorCause::kInvalidMandatoryParameter:
      return "invalid mandatory parameter";
    case ErrorCause::kUnrecognizedParameters:
      return "unrecognized parameters";
    case ErrorCause::kNoUserData:
      return "no user data";
    case ErrorCause::kCookieReceivedWhileShuttingDown:
      return "cookie received while shutting down";
    case ErrorCause::kRestartWithNewAddresses:
      return "restart with new addresses";
    case ErrorCause::kUserInitiatedAbort:
      return "user-initiated abort";
    case ErrorCause::kProtocolViolation:
      return "protocol violation";
  }
  return absl::StrCat("cause ", static_cast<uint16_t>(cause));
}

bool CarriesText(ErrorCause cause) {
  return cause == ErrorCause::kUserInitiatedAbort ||
         cause == ErrorCause::kProtocolViolation;
}

}  // namespace

void WriteCauseChunk(Writer& writer, ChunkType type, uint8_t flags,
                     ErrorCause cause, Bytes information) {
  ChunkWriter chunk(writer, type, flags);
  ParameterWriter parameter(writer, static_cast<uint16_t>(cause));
  writer.Bytes(information);
}

bool HasCause(const ChunkView& chunk, ErrorCause cause) {
  Reader reader(chunk.value);
  while (std::optional<ParameterView> view = NextParameter(reader)) {
    if (view->type == static_cast<uint16_t>(cause)) return true;
  }
  return false;
}

std::string DescribeCauses(const ChunkView& chunk) {
  std::string result;
  Reader reader(chunk.value);
  for (size_t i = 0; i < kMaxDescribedCauses; ++i) {
    const std::optional<ParameterView> view = NextParameter(reader);
    if (!view) break;
    const ErrorCause cause = static_cast<ErrorCause>(view->type);
    absl::StrAppend(&result, result.empty() ? "" : ", ", CauseName(cause));
    if (CarriesText(cause) && !view->value.empty()) {
      const size_t size = std::min(view->value.size(), kMaxDescribedText);
      absl::StrAppend(&result, " (",
                      absl::CHexEscape(AsText(view->value.first(size))), ")");
    }
  }
  return result.empty() ? "no cause given" : result;
}

}  // namespace kyuu::sctp::internal

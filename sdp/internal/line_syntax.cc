#include "sdp/internal/line_syntax.h"

#include "sdp/internal/scan.h"

namespace kyuu::sdp::internal {
namespace {

using Error = std::optional<SyntaxError>;

// o=<username> <sess-id> <sess-version> <nettype> <addrtype> <address>
Error CheckOrigin(absl::string_view rest) {
  constexpr absl::string_view kRule = "RFC 8866 section 5.2";
  const char* const begin = rest.data();
  const auto wrong = [&](absl::string_view token, absl::string_view message) {
    return SyntaxError{message, kRule,
                       static_cast<size_t>(token.data() - begin)};
  };
  if (TakeToken(rest).empty()) return SyntaxError{"username missing", kRule};
  const absl::string_view id = TakeToken(rest);
  if (!ParseDigits(id)) return wrong(id, "session id must be 0..2^64-1");
  const absl::string_view version = TakeToken(rest);
  if (!ParseDigits(version)) {
    return wrong(version, "session version must be 0..2^64-1");
  }
  for (int i = 0; i < 3; ++i) {
    const absl::string_view token = TakeToken(rest);
    if (token.empty()) return wrong(token, "origin has six parts");
  }
  if (!rest.empty()) return wrong(rest, "origin has six parts");
  return std::nullopt;
}

// t=<start-time> <stop-time>
Error CheckTiming(absl::string_view rest) {
  const absl::string_view start = TakeToken(rest);
  if (ParseDigits(start) && ParseDigits(rest)) return std::nullopt;
  return SyntaxError{"two times expected", "RFC 8866 section 5.9"};
}

}  // namespace

std::optional<SyntaxError> ParseMediaLine(absl::string_view rest,
                                          MediaLine& out) {
  constexpr absl::string_view kRule = "RFC 8866 section 5.14";
  const char* const begin = rest.data();
  const auto wrong = [&](absl::string_view token, absl::string_view message) {
    return SyntaxError{message, kRule,
                       static_cast<size_t>(token.data() - begin)};
  };
  out.media = TakeToken(rest);
  if (out.media.empty()) return wrong(out.media, "media missing");
  const absl::string_view ports = TakeToken(rest);
  const size_t slash = ports.find('/');
  const auto port = ParseDigits(ports.substr(0, slash), 65535);
  if (!port) return wrong(ports, "port must be 0..65535");
  out.port = static_cast<uint16_t>(*port);
  if (slash != absl::string_view::npos) {
    const auto count = ParseDigits(ports.substr(slash + 1), 65535);
    if (count.value_or(0) != 0) out.port_count = static_cast<uint32_t>(*count);
  }
  out.protocol = TakeToken(rest);
  if (out.protocol.empty()) return wrong(out.protocol, "protocol missing");
  out.formats = rest;
  if (rest.empty() || rest.front() == ' ') return wrong(rest, "format missing");
  return std::nullopt;
}

std::optional<SyntaxError> CheckMediaLine(absl::string_view value,
                                          const MediaLine& line) {
  constexpr absl::string_view kRule = "RFC 8866 section 5.14";
  if (!IsToken(line.media)) return SyntaxError{"media must be a token", kRule};
  const absl::string_view before_protocol =
      value.substr(0, static_cast<size_t>(line.protocol.data() - value.data()));
  const size_t slash = before_protocol.find('/', line.media.size());
  if (slash == absl::string_view::npos) return std::nullopt;
  absl::string_view rest = before_protocol.substr(slash + 1);
  const auto count = ParseDigits(TakeToken(rest), 65535);
  if (count.value_or(0) != 0) return std::nullopt;
  return SyntaxError{"port count must be 1..65535", kRule, slash + 1};
}

std::optional<SyntaxError> CheckLine(char type, absl::string_view value) {
  switch (type) {
    case 'v':
      if (value == "0") return std::nullopt;
      return SyntaxError{"version must be 0", "RFC 8866 section 5.1"};
    case 'o':
      return CheckOrigin(value);
    case 'c':
      return Connection::Parse(value).error();
    case 't':
      return CheckTiming(value);
    case 'b':
      return Bandwidth::Parse(value).error();
    default:
      return std::nullopt;
  }
}

}  // namespace kyuu::sdp::internal

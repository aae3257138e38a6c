#include "sdp/simulcast.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "sdp/internal/scan.h"

namespace kyuu::sdp {
namespace {

using internal::IsToken;
using internal::ParseDigits;
using internal::Words;

// RFC 8851 section 10, with '-' and '_', which RFC 8852 section 3.3 has RTP not
// carry.
bool IsRidId(absl::string_view id) {
  return !id.empty() && std::all_of(id.begin(), id.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' ||
           c == '_';
  });
}

// Whether each ';' and ',' stands between two ids.
bool IsStreamList(absl::string_view list) {
  while (true) {
    const size_t end = list.find_first_of(";,");
    if (!IsRidId(ParseSimulcastId(list.substr(0, end)).rid)) return false;
    if (end == absl::string_view::npos) return true;
    list.remove_prefix(end + 1);
  }
}

// The length of "[...]" at the begin of `text`, in which one more level of
// brackets may stand; 0 if there is no such thing.
size_t ImageSetSize(absl::string_view text) {
  if (text.empty() || text.front() != '[') return 0;
  int depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '[') ++depth;
    if (text[i] == ']') --depth;
    if (depth == 0) return i + 1;
    if (depth > 2 || text[i] == ' ') return 0;
  }
  return 0;
}

// Cuts "*" or sets, at least one, off `rest`; empty if it begins with neither.
absl::string_view TakeImageSets(absl::string_view& rest) {
  const absl::string_view begin = rest;
  if (absl::ConsumePrefix(&rest, "*")) return begin.substr(0, 1);
  size_t size = 0;
  while (true) {
    const size_t set = ImageSetSize(rest);
    if (set == 0) return begin.substr(0, size);
    rest.remove_prefix(set);
    size = begin.size() - rest.size();
    if (!absl::StartsWith(rest, " [")) return begin.substr(0, size);
    rest.remove_prefix(1);
  }
}

}  // namespace

Parsed<Rid> Rid::Parse(absl::string_view value) {
  Words words(value, "RFC 8851 section 10");
  Rid rid;
  rid.id = words.Take();
  if (!IsRidId(rid.id)) return words.Wrong("id must be letters and digits");
  const absl::string_view direction = words.Take();
  rid.send = direction == "send";
  if (!rid.send && direction != "recv") {
    return words.Wrong("send or recv expected");
  }
  if (words.done()) return rid;
  rid.restrictions = Parameters(words.TakeRest());
  for (const Parameters::Parameter restriction : rid.restrictions) {
    if (!IsToken(restriction.name)) {
      return words.Wrong("restriction must be a token");
    }
  }
  for (const absl::string_view format : rid.formats()) {
    if (!ParseDigits(format, 127)) {
      return words.Wrong("payload type must be 0..127");
    }
  }
  return rid;
}

SimulcastId ParseSimulcastId(absl::string_view alternative) {
  const bool paused = absl::ConsumePrefix(&alternative, "~");
  return {alternative, paused};
}

Parsed<Simulcast> Simulcast::Parse(absl::string_view value) {
  Words words(value, "RFC 8853 section 5.1");
  Simulcast simulcast;
  absl::string_view word = words.Take();
  if (word.empty() && !words.done()) {
    // The drafts' examples have a blank behind the colon.
    simulcast.draft = true;
    word = words.Take();
  }
  while (true) {
    Pieces* list = word == "send"   ? &simulcast.send
                   : word == "recv" ? &simulcast.recv
                                    : nullptr;
    if (list == nullptr) return words.Wrong("send or recv expected");
    if (!list->empty()) return words.Wrong("a direction is said twice");
    absl::string_view streams = words.Take();
    simulcast.draft |= absl::ConsumePrefix(&streams, "rid=");
    if (!IsStreamList(streams)) return words.Wrong("list of rids expected");
    *list = Pieces(streams, ';');
    if (words.done()) return simulcast;
    word = words.Take();
  }
}

Parsed<ImageAttribute> ImageAttribute::Parse(absl::string_view value) {
  constexpr absl::string_view kRule = "RFC 6236 section 3.1.1";
  ImageAttribute image;
  absl::string_view rest = value;
  const auto wrong = [&](absl::string_view message) {
    return SyntaxError{message, kRule, value.size() - rest.size()};
  };
  const absl::string_view format = internal::TakeToken(rest);
  if (format != "*") {
    const auto payload_type = ParseDigits(format, 127);
    if (!payload_type) {
      return SyntaxError{"payload type must be 0..127 or *", kRule};
    }
    image.payload_type = static_cast<uint8_t>(*payload_type);
  }
  while (true) {
    absl::string_view ahead = rest;
    const absl::string_view direction = internal::TakeToken(ahead);
    absl::string_view* sets = direction == "send"   ? &image.send
                              : direction == "recv" ? &image.recv
                                                    : nullptr;
    if (sets == nullptr) return wrong("send or recv expected");
    if (!sets->empty()) return wrong("a direction is said twice");
    rest = ahead;
    *sets = TakeImageSets(rest);
    if (sets->empty()) return wrong("sets of images, or *, expected");
    if (rest.empty()) return image;
    if (!absl::ConsumePrefix(&rest, " ")) return wrong("blank expected");
  }
}

std::optional<absl::string_view> TakeImageSet(absl::string_view& sets) {
  absl::ConsumePrefix(&sets, " ");
  const size_t size = ImageSetSize(sets);
  if (size == 0) return std::nullopt;
  const absl::string_view set = sets.substr(1, size - 2);
  sets.remove_prefix(size);
  return set;
}

std::optional<absl::string_view> ImageSetValue(absl::string_view set,
                                               absl::string_view key) {
  while (!set.empty()) {
    // A comma within brackets does not end a value.
    int depth = 0;
    size_t end = 0;
    while (end < set.size() && (depth > 0 || set[end] != ',')) {
      if (set[end] == '[') ++depth;
      if (set[end] == ']') --depth;
      ++end;
    }
    const absl::string_view pair = set.substr(0, end);
    const size_t equals = pair.find('=');
    if (equals != absl::string_view::npos && pair.substr(0, equals) == key) {
      return pair.substr(equals + 1);
    }
    set.remove_prefix(end == set.size() ? end : end + 1);
  }
  return std::nullopt;
}

}  // namespace kyuu::sdp

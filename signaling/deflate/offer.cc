#include "signaling/deflate/offer.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace kyuu::signaling {
namespace {

struct Parameter {
  std::string name;
  std::optional<std::string> value;
};
struct Extension {
  std::string name;
  std::vector<Parameter> parameters;
};

// Of RFC 9110 section 5.6.2.
bool IsTokenCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
         absl::string_view("!#$%&'*+-.^_`|~").find(c) !=
             absl::string_view::npos;
}

// ExtensionReader reads the list of RFC 6455 section 9.1:
//
//   extension-list  = 1#extension
//   extension       = token *( ";" extension-param )
//   extension-param = token [ "=" (token | quoted-string) ]
//
// where what is quoted is a token, too. What fails once stays failed.
class ExtensionReader {
 public:
  explicit ExtensionReader(absl::string_view text) : rest_(text) {}

  // The next one; nullopt at the end, and when it is none.
  std::optional<Extension> Next() {
    // Elements of a list may be empty (RFC 9110 section 5.6.1.2).
    do {
      SkipBlanks();
    } while (absl::ConsumePrefix(&rest_, ","));
    if (rest_.empty()) return std::nullopt;
    Extension extension{Token(), {}};
    while (Sign(';')) {
      Parameter parameter{Token(), std::nullopt};
      if (Sign('=')) parameter.value = Value();
      extension.parameters.push_back(std::move(parameter));
    }
    SkipBlanks();
    if (!rest_.empty() && rest_.front() != ',') ok_ = false;
    if (!ok_) return std::nullopt;
    return extension;
  }
  bool ok() const { return ok_; }

 private:
  void SkipBlanks() {
    const size_t size = rest_.find_first_not_of(" \t");
    rest_.remove_prefix(std::min(size, rest_.size()));
  }
  bool Sign(char sign) {
    SkipBlanks();
    return absl::ConsumePrefix(&rest_, absl::string_view(&sign, 1));
  }
  std::string Token() {
    SkipBlanks();
    size_t size = 0;
    while (size < rest_.size() && IsTokenCharacter(rest_[size])) ++size;
    if (size == 0) ok_ = false;
    const std::string token(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return token;
  }
  std::string Value() {
    if (!Sign('"')) return Token();
    std::string value;
    while (ok_ && !absl::ConsumePrefix(&rest_, "\"")) {
      absl::ConsumePrefix(&rest_, "\\");
      ok_ = !rest_.empty() && IsTokenCharacter(rest_.front());
      if (!ok_) break;
      value.push_back(rest_.front());
      rest_.remove_prefix(1);
    }
    if (value.empty()) ok_ = false;
    return value;
  }

  absl::string_view rest_;
  bool ok_ = true;
};

// "8" to "15", without zeros in front (RFC 7692 section 7.1.2.1).
std::optional<int> ReadWindowBits(absl::string_view text) {
  for (int bits = 8; bits <= 15; ++bits) {
    if (text == absl::StrCat(bits)) return bits;
  }
  return std::nullopt;
}

// The grant for `offer`, if there can be one.
std::optional<DeflateGrant> Grant(const Extension& offer) {
  DeflateGrant grant;
  for (size_t i = 0; i < offer.parameters.size(); ++i) {
    const auto& [name, value] = offer.parameters[i];
    for (size_t j = 0; j < i; ++j) {
      if (offer.parameters[j].name == name) return std::nullopt;
    }
    if (name == "server_max_window_bits") {
      // Only here a value must be.
      grant.server_max_window_bits = ReadWindowBits(value.value_or(""));
      if (!grant.server_max_window_bits) return std::nullopt;
    } else if (name == "client_max_window_bits") {
      if (value && !ReadWindowBits(*value)) return std::nullopt;
    } else if ((name != "server_no_context_takeover" &&
                name != "client_no_context_takeover") ||
               value.has_value()) {
      return std::nullopt;
    }
  }
  return grant;
}

}  // namespace

std::string DeflateGrant::ToString() const {
  std::string text =
      "permessage-deflate; server_no_context_takeover; "
      "client_no_context_takeover";
  if (server_max_window_bits.has_value()) {
    absl::StrAppend(&text,
                    "; server_max_window_bits=", *server_max_window_bits);
  }
  return text;
}

absl::StatusOr<std::optional<DeflateGrant>> AnswerDeflateOffers(
    absl::string_view offers) {
  std::optional<DeflateGrant> grant;
  ExtensionReader reader(offers);
  while (const std::optional<Extension> offer = reader.Next()) {
    if (!grant && offer->name == "permessage-deflate") grant = Grant(*offer);
  }
  if (!reader.ok()) {
    return absl::InvalidArgumentError("Sec-WebSocket-Extensions is malformed");
  }
  return grant;
}

}  // namespace kyuu::signaling

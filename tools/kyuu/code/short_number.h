// The six digits that two people compare to find who sits in the middle of
// their connection (docs/application_protocol.md, "The short number").
//
//   caller                            callee
//     | verify: commit (hash of a)      |
//     |-------------------------------->|
//     |                 verify: nonce b |
//     |<--------------------------------|
//     | verify: nonce a                 |
//     |-------------------------------->|
//
// The number is made of both certificates and both nonces. Of the fingerprints
// alone it would be worth nothing: who sits in the middle shows certificates of
// his own making, and a million of them take him no second. Here he has to say
// his nonce, or commit himself to it, before he knows the other side's: he has
// one guess in a million for each connection.

#ifndef KYUU_TOOLS_KYUU_CODE_SHORT_NUMBER_H_
#define KYUU_TOOLS_KYUU_CODE_SHORT_NUMBER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/random.h"
#include "dtls/fingerprint.h"
#include "nlohmann/json.hpp"

namespace kyuu::tools {

// Who made the call, and commits first.
enum class NumberRole : uint8_t { kCaller, kCallee };

// ShortNumber is one side of one connection. It has no I/O: messages of the
// peer go in, messages for it come out of PollMessage.
class ShortNumber {
 public:
  static constexpr size_t kNonceBytes = 16;

  // SHA-256 of the certificates that were shown; which is whose does not matter
  // to the number.
  ShortNumber(NumberRole role, const dtls::Fingerprint& own,
              const dtls::Fingerprint& peer, Random& random);

  // A message of type "verify". One that is out of turn, or none, is ignored;
  // a nonce that is not the one of the commitment leaves no number.
  void HandleMessage(const nlohmann::json& message);
  std::optional<nlohmann::json> PollMessage();

  // "123 456", when all three messages have passed.
  const std::optional<std::string>& number() const { return number_; }

 private:
  using Nonce = std::array<uint8_t, kNonceBytes>;

  void MakeNumber(const std::string& caller, const std::string& callee);

  const NumberRole role_;
  // In order.
  dtls::Fingerprint low_, high_;
  Nonce nonce_;
  // Of the caller, as the callee knows it.
  std::optional<std::string> commitment_;
  std::optional<nlohmann::json> message_;
  std::optional<std::string> number_;
  bool done_ = false;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_CODE_SHORT_NUMBER_H_

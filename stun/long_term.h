// The client's half of the long-term credential mechanism (RFC 8489 section
// 9.2): from a challenge to authenticated requests.

#ifndef KYUU_STUN_LONG_TERM_H_
#define KYUU_STUN_LONG_TERM_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "stun/integrity.h"
#include "stun/message.h"
#include "stun/nonce_cookie.h"

namespace kyuu::stun {

// LongTermCredential holds a user's name and password, and what the server last
// asked of them: realm, nonce, password algorithm.
class LongTermCredential {
 public:
  // Both must have passed OpaqueString (see stun/integrity.h).
  LongTermCredential(std::string username, std::string password);

  // HandleChallenge takes realm and nonce of a 401 or 438 response. OK: the
  // request should be made again, with a new transaction id. INVALID_ARGUMENT
  // if the response has no realm or nonce; UNAUTHENTICATED if the list of
  // algorithms was stripped from it or has none that we know (section 9.2.5:
  // do not retry).
  absl::Status HandleChallenge(const MessageView& response);

  // True once there is a challenge to answer.
  bool ready() const { return !nonce_.empty(); }
  // Forgets the challenge, to turn to another server.
  void Reset();

  // Authenticate appends USERNAME or USERHASH, REALM, NONCE, the password
  // algorithms if the server listed any, and integrity. Does nothing unless
  // ready().
  void Authenticate(MessageWriter& writer) const;

  // True if `response` has the integrity that the request had and it is made
  // with our key.
  bool Check(const MessageView& response) const;

  const std::string& realm() const { return realm_; }
  bool uses_sha256() const { return algorithm_.has_value(); }

 private:
  std::string username_;
  std::string password_;
  std::string realm_;
  std::string nonce_;
  // The server's PASSWORD-ALGORITHMS, byte for byte, and our choice from it.
  std::vector<uint8_t> algorithms_;
  std::optional<PasswordHash> algorithm_;
  bool userhash_ = false;
  IntegrityKey key_;
};

}  // namespace kyuu::stun

#endif  // KYUU_STUN_LONG_TERM_H_

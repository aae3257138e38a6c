// ClientCredential: who a turn::Client is to its server, a user with a password
// or the bearer of a token.

#ifndef KYUU_TURN_INTERNAL_CLIENT_CREDENTIAL_H_
#define KYUU_TURN_INTERNAL_CLIENT_CREDENTIAL_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "stun/integrity.h"
#include "stun/long_term.h"
#include "stun/message.h"
#include "turn/client_options.h"
#include "turn/client_stats.h"
#include "turn/client_token.h"
#include "turn/internal/client_records.h"

namespace kyuu::turn::internal {

// ClientCredential answers the challenges of one server. A password goes by
// the long-term mechanism (RFC 8489 section 9.2). A token (RFC 7635) goes in
// ACCESS-TOKEN, its key's name in USERNAME, and its mac_key makes the
// integrity; every request carries it, so that none depends on whether another
// has arrived when one token takes another's place.
class ClientCredential {
 public:
  explicit ClientCredential(const ClientOptions& options);

  // True once there is a challenge to answer, and what to answer it with.
  bool ready() const;
  // Forgets the challenge, to turn to another server. A token stays.
  void Reset();

  // Takes the token, in the place of the one that there was. It must be valid.
  void UseToken(ClientToken token);
  // Who gives tokens, and in which realm, as the last challenge says; empty
  // unless the server wants one.
  const std::string& authorization_server() const { return server_; }
  const std::string& token_realm() const { return realm_; }

  // Appends what authenticates, if ready(), and notes in `request` that it did.
  void Authenticate(stun::MessageWriter& writer, ClientRequest& request) const;

  // Judge decides what a response with the id of `request` is worth, and takes
  // challenges (RFC 8489 section 9.2.5). The request stays as it is but for
  // its hint. `failure` is set with kError, kTokenWanted.
  Verdict Judge(const stun::MessageView& response, ClientRequest& request,
                Failure& failure, ClientStats& stats);

 private:
  // A token as requests show it.
  struct Shown {
    ClientToken token;
    stun::IntegrityKey key;
  };

  Verdict Challenge(const stun::MessageView& response,
                    const ClientRequest& request, Failure& failure);
  absl::Status TakeChallenge(const stun::MessageView& response);
  bool Check(const stun::MessageView& response) const;

  const ClientOptions::Tokens tokens_;
  const std::string only_realm_;
  const int challenges_max_;
  const bool has_user_;
  stun::LongTermCredential long_term_;
  // The server's challenge, if it wants a token.
  std::string server_;
  std::string realm_;
  std::string nonce_;
  std::optional<Shown> shown_;
  // Of the token before: what it asked is still answered with it.
  std::optional<stun::IntegrityKey> former_;
  uint32_t token_number_ = 0;  // Of the token that is shown; 0: none.
};

// The status of an error response.
absl::Status StatusOf(stun::Error error);

}  // namespace kyuu::turn::internal

#endif  // KYUU_TURN_INTERNAL_CLIENT_CREDENTIAL_H_

#include "turn/internal/client_credential.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "stun/attributes.h"
#include "turn/internal/understood.h"

namespace kyuu::turn {

absl::Status ClientToken::Validate() const {
  if (kid.empty() || kid.size() > stun::Username::kSizeMax) {
    return absl::InvalidArgumentError("a token's key has a name (kid)");
  }
  if (token.empty() || token.size() > kTokenMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("a token has 1 to ", kTokenMax, " bytes"));
  }
  if (mac_key.size() < kMacKeyMin || mac_key.size() > kMacKeyMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a token's mac_key has ", kMacKeyMin, " to ", kMacKeyMax, " bytes"));
  }
  if (lifetime <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("the token is over");
  }
  return absl::OkStatus();
}

namespace internal {

using stun::Error;
using stun::MessageView;

absl::Status StatusOf(Error error) {
  const std::string text =
      absl::StrCat("server answered ", static_cast<int>(error), " ",
                   stun::ReasonPhrase(error));
  switch (error) {
    case Error::kUnauthenticated:
    case Error::kWrongCredentials:
      return absl::UnauthenticatedError(text);
    case Error::kForbidden:
      return absl::PermissionDeniedError(text);
    case Error::kAllocationQuotaReached:
    case Error::kInsufficientCapacity:
      return absl::ResourceExhaustedError(text);
    case Error::kAddressFamilyNotSupported:
    case Error::kUnsupportedTransport:
    case Error::kPeerAddressFamilyMismatch:
      return absl::UnimplementedError(text);
    case Error::kAllocationMismatch:
      return absl::AbortedError(text);
    default:
      return absl::UnavailableError(text);
  }
}

ClientCredential::ClientCredential(const ClientOptions& options)
    : tokens_(options.tokens),
      only_realm_(options.realm),
      challenges_max_(options.challenges_max),
      has_user_(!options.username.empty()),
      long_term_(options.username, options.password) {}

bool ClientCredential::ready() const {
  return server_.empty() ? long_term_.ready() : shown_.has_value();
}

void ClientCredential::Reset() {
  long_term_.Reset();
  server_.clear();
  realm_.clear();
  nonce_.clear();
}

void ClientCredential::UseToken(ClientToken token) {
  if (shown_.has_value()) former_ = shown_->key;
  const stun::IntegrityKey key(AsBytes(token.mac_key));
  shown_.emplace(Shown{std::move(token), key});
  ++token_number_;
}

void ClientCredential::Authenticate(stun::MessageWriter& writer,
                                    ClientRequest& request) const {
  request.authenticated = ready();
  request.token_number = 0;
  if (server_.empty()) return long_term_.Authenticate(writer);
  if (!shown_.has_value()) return;
  request.token_number = token_number_;
  writer.Add(stun::AccessToken{AsBytes(shown_->token.token)});
  writer.Add(stun::Username{shown_->token.kid});
  writer.Add(stun::Realm{realm_});
  writer.Add(stun::Nonce{nonce_});
  writer.AddIntegrity(shown_->key);
}

bool ClientCredential::Check(const MessageView& response) const {
  if (server_.empty()) return long_term_.Check(response);
  return response.CheckIntegrity(shown_->key) ||
         (former_.has_value() && response.CheckIntegrity(*former_));
}

Verdict ClientCredential::Judge(const MessageView& response,
                                ClientRequest& request, Failure& failure,
                                ClientStats& stats) {
  std::optional<Error> error;
  if (response.cls() == stun::MessageClass::kError) {
    const auto code = response.Get<stun::ErrorCode>();
    if (!code) {
      ++stats.malformed;
      return Verdict::kDrop;
    }
    error = code->code;
  }
  const bool challenge =
      error == Error::kUnauthenticated || error == Error::kStaleNonce;
  // The server cannot sign a challenge if it does not know who asks. All else
  // must carry our integrity if the request did, or counts as never received.
  const bool may_be_bare =
      challenge && !response.HasIntegrity() && !response.HasIntegritySha256();
  if (request.authenticated && !may_be_bare && !Check(response)) {
    ++stats.unauthenticated;
    request.unverified = error;
    return Verdict::kDrop;
  }
  if (challenge) return Challenge(response, request, failure);
  if (error) {
    failure = {StatusOf(*error), error, {}};
    return Verdict::kError;
  }
  if (!response.UnknownComprehensionRequired(kTurnAttributes).empty()) {
    failure = {absl::InternalError("response with unknown attributes"), {}, {}};
    return Verdict::kError;
  }
  return Verdict::kSuccess;
}

Verdict ClientCredential::Challenge(const MessageView& response,
                                    const ClientRequest& request,
                                    Failure& failure) {
  const Error error = response.Get<stun::ErrorCode>()->code;
  failure = {StatusOf(error), error, {}};
  // 401 to a request with our password: it is wrong, and stays so. A token may
  // be over by the server's clock, or its key withdrawn, and another be good.
  const bool refused =
      error == Error::kUnauthenticated && request.authenticated;
  if (refused && request.token_number == 0) return Verdict::kError;
  if (request.challenges >= challenges_max_) return Verdict::kError;
  const auto realm = response.Get<stun::Realm>();
  if (!only_realm_.empty() && realm && realm->value != only_realm_) {
    failure.status = absl::UnauthenticatedError("server of another realm");
    return Verdict::kError;
  }
  if (absl::Status status = TakeChallenge(response); !status.ok()) {
    failure.status = std::move(status);
    return Verdict::kError;
  }
  if (server_.empty()) return Verdict::kRetry;
  const bool stays_refused = refused && request.token_number == token_number_;
  return !shown_.has_value() || stays_refused ? Verdict::kTokenWanted
                                              : Verdict::kRetry;
}

// RFC 7635 section 4: THIRD-PARTY-AUTHORIZATION of a 401 says that the server
// takes tokens, and whose. A nonce is replaced (438) for what is in use.
absl::Status ClientCredential::TakeChallenge(const MessageView& response) {
  const auto server = response.Get<stun::ThirdPartyAuthorization>();
  const bool offered = server.has_value() && !server->value.empty();
  if (tokens_ == ClientOptions::Tokens::kIgnore ||
      (!offered && server_.empty())) {
    if (tokens_ == ClientOptions::Tokens::kAsk && !has_user_) {
      return absl::UnauthenticatedError("the server takes no tokens");
    }
    return long_term_.HandleChallenge(response);
  }
  const auto realm = response.Get<stun::Realm>();
  const auto nonce = response.Get<stun::Nonce>();
  if (!realm || !nonce || nonce->value.empty()) {
    return absl::InvalidArgumentError("challenge without realm or nonce");
  }
  if (offered) server_ = std::string(server->value);
  realm_ = std::string(realm->value);
  nonce_ = std::string(nonce->value);
  return absl::OkStatus();
}

}  // namespace internal
}  // namespace kyuu::turn

#include "tools/kyuud/admission/token_command.h"

#include <algorithm>
#include <optional>
#include <sstream>
#include <utility>
#include <variant>

#include "CLI/CLI.hpp"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"
#include "signaling/token/signing_key.h"
#include "signaling/token/token.h"
#include "tools/kyuud/admission/settings.h"

namespace kyuu::tools {
namespace {

// What is asked for, as text.
struct Wish {
  std::string key_file;
  std::string key_id;
  std::string subject;
  std::string name;
  std::optional<std::string> rooms;
  std::string issuer;
  std::string audience;
  std::string lifetime = "1h";
};

absl::StatusOr<absl::Duration> ReadLifetime(absl::string_view text) {
  absl::Duration lifetime;
  int64_t seconds = 0;
  if (absl::SimpleAtoi(text, &seconds)) {
    lifetime = absl::Seconds(seconds);
  } else if (!absl::ParseDuration(text, &lifetime)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--expires: \"", text, "\" is not a time like \"1h30m\", or seconds"));
  }
  if (lifetime < absl::Seconds(1) || lifetime > absl::Hours(24 * 3660)) {
    return absl::InvalidArgumentError(
        "--expires: less than a second, or more than ten years");
  }
  return lifetime;
}

absl::StatusOr<std::string> Make(const Wish& wish, absl::Time utc) {
  const auto text = ReadSmallFile(wish.key_file);
  if (!text.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--key: ", wish.key_file, " ", text.status().message()));
  }
  const auto key = signaling::SigningKey::FromText(*text);
  if (!key.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--key: ", wish.key_file, ": ", key.status().message()));
  }
  signaling::NewToken token;
  token.subject = wish.subject;
  token.name = wish.name;
  if (wish.rooms) {
    token.rooms = absl::StrSplit(*wish.rooms, ',', absl::SkipEmpty());
  }
  token.issuer = wish.issuer;
  token.audience = wish.audience;
  token.issued = utc;
  KYUU_ASSIGN_OR_RETURN(const absl::Duration lifetime,
                        ReadLifetime(wish.lifetime));
  token.expires = utc + lifetime;
  KYUU_ASSIGN_OR_RETURN(std::string made, key->MakeToken(wish.key_id, token));
  // What no server would take is not made.
  signaling::KeySet keys;
  KYUU_ASSIGN_OR_RETURN(signaling::TokenKey verifying,
                        key->VerifyingKey(wish.key_id));
  KYUU_RETURN_IF_ERROR(keys.Add(std::move(verifying)));
  const auto verdict = signaling::VerifyToken(
      made, keys, {.issuer = wish.issuer, .audience = wish.audience}, utc);
  if (const auto* refused = std::get_if<signaling::TokenRefused>(&verdict)) {
    return absl::InvalidArgumentError(
        absl::StrCat("no server would take it: ", refused->reason));
  }
  return made;
}

}  // namespace

TokenAnswer CreateToken(const std::vector<std::string>& arguments,
                        absl::Time utc) {
  CLI::App app{"Makes a token that lets somebody in, and prints it",
               "kyuud token create"};
  Wish wish;
  std::string rooms;
  app.add_option("--key", wish.key_file,
                 "A private key in PEM (RSA, P-256, Ed25519), or a secret")
      ->type_name("FILE")
      ->required();
  app.add_option("--kid", wish.key_id, "The id by which servers know the key")
      ->type_name("ID");
  app.add_option("--sub", wish.subject, "Who it is for; in PeerJS, his id")
      ->type_name("ID")
      ->required();
  app.add_option("--name", wish.name, "What he is called in rooms")
      ->type_name("NAME");
  CLI::Option* rooms_option =
      app.add_option("--rooms", rooms,
                     "Rooms that he may join, with commas between; \"team-*\" "
                     "for all that begin so. All unless said")
          ->type_name("ROOM,...");
  app.add_option("--expires", wish.lifetime, "How long it is good; 1h")
      ->type_name("TIME");
  app.add_option("--issuer", wish.issuer, "Who it is of (iss)")
      ->type_name("TEXT");
  app.add_option("--audience", wish.audience, "Whom it is for (aud)")
      ->type_name("TEXT");
  // CLI11 takes arguments from the back.
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out, problems;
    if (app.exit(error, out, problems) == 0) return {0, out.str()};
    return {2, absl::StrCat("kyuud: ", error.what(), "\n", TokenUsage())};
  }
  if (rooms_option->count() > 0) wish.rooms = rooms;
  const absl::StatusOr<std::string> token = Make(wish, utc);
  if (token.ok()) return {0, absl::StrCat(*token, "\n")};
  return {2, absl::StrCat("kyuud: ", token.status().message(), "\n")};
}

TokenAnswer VerifyToken(absl::string_view token,
                        const signaling::AdmissionOptions& options,
                        absl::Time utc) {
  const auto verdict = signaling::VerifyToken(absl::StripAsciiWhitespace(token),
                                              options.keys, options.rules, utc);
  if (const auto* refused = std::get_if<signaling::TokenRefused>(&verdict)) {
    return {1, absl::StrCat("kyuud: the token is refused: ", refused->reason,
                            "\n")};
  }
  const auto& claims = std::get<signaling::TokenClaims>(verdict);
  nlohmann::json said = {
      {"sub", claims.subject},
      {"expires", absl::FormatTime(claims.expires, absl::UTCTimeZone())}};
  if (!claims.name.empty()) said["name"] = claims.name;
  if (!claims.rooms.allows_all()) said["rooms"] = claims.rooms.patterns();
  // Letters that a terminal would act on are escaped.
  return {0, absl::StrCat(said.dump(-1, ' ', true), "\n")};
}

absl::string_view TokenUsage() {
  return "kyuud token create --key FILE --sub ID [--name NAME] [--rooms A,B] "
         "[--expires 1h] [--kid ID] [--issuer TEXT] [--audience TEXT]\n"
         "kyuud token verify [--config FILE] [flags of kyuud] < TOKEN\n";
}

}  // namespace kyuu::tools

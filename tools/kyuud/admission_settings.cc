// The rows of [admission]: who may come.

#include "tools/kyuud/setting_rows.h"
#include "tools/kyuud/settings.h"

namespace kyuu::tools {
namespace {

using Change = Setting::Change;
using Admission = AdmissionSettings;

constexpr Setting kRows[] = {
    Row<&Config::admission, &Admission::anonymous>(
        "admission", "anonymous", "anonymous", "forbid|allow", Change::kReload,
        "Whether those may come who show neither a token nor an API key"),
    Row<&Config::admission, &Admission::keys>(
        "admission", "keys", "admission-key", "KID:ALGORITHM:FILE",
        Change::kReload,
        "Keys that tokens (JWT) are verified with, by the id that tokens name "
        "or none: a public key in PEM for RS256, ES256 or EdDSA, a secret of "
        "32 bytes or more for HS256; read again on each reload"),
    Row<&Config::admission, &Admission::jwks_files>(
        "admission", "jwks-files", "admission-jwks", "FILE", Change::kReload,
        "Files of such keys as JWK Sets"),
    Row<&Config::admission, &Admission::issuer>(
        "admission", "issuer", "admission-issuer", "TEXT", Change::kReload,
        "Who tokens have to be of (iss), if set"),
    Row<&Config::admission, &Admission::audience>(
        "admission", "audience", "admission-audience", "TEXT", Change::kReload,
        "Whom tokens have to be for (aud); unless set, they may name nobody"),
    Row<&Config::admission, &Admission::api_keys>(
        "admission", "api-keys", "api-key", "KEY", Change::kReload,
        "Texts of 16 to 256 bytes that let in whoever shows one"),
    Row<&Config::admission, &Admission::api_key_files>(
        "admission", "api-key-files", "api-key-file", "FILE", Change::kReload,
        "Files with one in each line"),
};

}  // namespace

absl::Span<const Setting> AdmissionRows() { return kRows; }

}  // namespace kyuu::tools

// CPace: two who share a short password make a strong key of it, and a stranger
// between them learns nothing to try passwords on (draft-irtf-cfrg-cpace, the
// suite CPACE-RISTR255-SHA512 with initiator and responder), by libsodium's
// ristretto255.
//
//   Cpace a(CpaceRole::kInitiator, {.password = "..."}, "a", random);
//   KYUU_RETURN_IF_ERROR(a.HandleShare(share_of_b, "b"));
//   if (!a.IsPeerTag(tag_of_b)) return absl::PermissionDeniedError("...");

#ifndef KYUU_TOOLS_KYUU_CODE_CPACE_H_
#define KYUU_TOOLS_KYUU_CODE_CPACE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/random.h"
#include "tools/kyuu/code/secret.h"

namespace kyuu::tools {

// Who speaks first. The order of the transcript depends on it (section
// "transcript_ir").
enum class CpaceRole : uint8_t { kInitiator, kResponder };

// What both sides must know alike before they begin; the names in brackets are
// the draft's. Any may be empty.
struct CpaceInputs {
  absl::string_view password;    // [PRS]
  absl::string_view channel;     // [CI] Who talks to whom, and over what.
  absl::string_view session_id;  // [sid] Never used twice.
};

// PrependLength puts the length of `text` in LEB128 in front of it, and LvCat
// does so with each of `texts` and joins them (appendix "prepend_len",
// "lv_cat").
std::string PrependLength(absl::string_view text);
std::string LvCat(absl::Span<const absl::string_view> texts);

// Cpace is one side of one run. It has no I/O, and asks `random` once, when it
// is made. What is secret in it is wiped when it goes, and what is not needed
// any more before.
class Cpace {
 public:
  static constexpr size_t kShareBytes = 32;
  static constexpr size_t kMacBytes = 64;
  using Share = std::array<uint8_t, kShareBytes>;
  using Mac = std::array<uint8_t, kMacBytes>;

  // `data` goes to the other side in clear with the share, and is authenticated
  // ([ADa] or [ADb]). The two sides must not have the same, or a share could be
  // sent back to whom it came from. Of `inputs` nothing is kept but the session
  // id.
  Cpace(CpaceRole role, const CpaceInputs& inputs, absl::string_view data,
        Random& random);
  Cpace(const Cpace&) = delete;
  Cpace& operator=(const Cpace&) = delete;

  // What is sent to the other side: [Ya] or [Yb].
  const Share& share() const { return share_; }

  // Takes the other side's share and data, and makes the key. INVALID_ARGUMENT:
  // no point of the group, or the neutral element, on which the run must be
  // given up; FAILED_PRECONDITION: there was one before.
  absl::Status HandleShare(absl::Span<const uint8_t> share,
                           absl::string_view data);
  bool has_key() const { return has_key_; }

  // The following need a key.

  // Proves to the other side that we have the same key (section "Key
  // confirmation"), and so the same password.
  Mac Tag() const;
  // Whether `tag` is the other side's Tag, in constant time. If it is not, that
  // one does not know the password, and has had its one guess.
  bool IsPeerTag(absl::Span<const uint8_t> tag) const;

  // A MAC over `text` by a key of its own for each `purpose`, for what is to be
  // bound to this run. `purpose` is a constant of the caller, and none of the
  // draft's.
  Mac MacOf(absl::string_view purpose, absl::string_view text) const;
  bool IsMacOf(absl::string_view purpose, absl::string_view text,
               absl::Span<const uint8_t> mac) const;

  // The key itself, [ISK]: 64 bytes.
  absl::Span<const uint8_t> key() const { return key_.view(); }

 private:
  const CpaceRole role_;
  const std::string session_id_;
  const std::string data_;
  std::string peer_data_;
  Secret<32> scalar_;  // Until there is a key.
  Share share_{};
  Share peer_share_{};
  Secret<64> key_;
  bool has_key_ = false;
};

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_CODE_CPACE_H_

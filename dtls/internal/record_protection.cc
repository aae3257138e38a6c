#include "dtls/internal/record_protection.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"

namespace kyuu::dtls::internal {
namespace {

// RFC 5288 section 3 and RFC 7905 section 2.
struct Suite {
  const char* cipher;
  size_t key_bytes;
  size_t fixed_iv_bytes;
  size_t explicit_nonce_bytes;
};

const Suite& SuiteOf(Aead aead) {
  static constexpr Suite kSuites[] = {
      {"AES-128-GCM", 16, 4, 8},
      {"AES-256-GCM", 32, 4, 8},
      {"ChaCha20-Poly1305", 32, 12, 0},
  };
  return kSuites[static_cast<size_t>(aead)];
}

// Looked up once in a process: it costs more than sealing a record.
const EVP_CIPHER* CipherOf(Aead aead) {
  static const std::array<const EVP_CIPHER*, 3> all = [] {
    std::array<const EVP_CIPHER*, 3> ciphers;
    for (size_t i = 0; i < ciphers.size(); ++i) {
      ciphers[i] = EVP_CIPHER_fetch(
          nullptr, SuiteOf(static_cast<Aead>(i)).cipher, nullptr);
      KYUU_CHECK(ciphers[i] != nullptr);
    }
    return ciphers;
  }();
  return all[static_cast<size_t>(aead)];
}

// OpenSSL's AEADs know TLS's records: given the 13 bytes of additional data,
// one call on explicit nonce, text and tag makes or checks all three. That is
// a fifth faster than to give nonce, data, text and tag one by one.
enum class Direction : int { kOpen = 0, kSeal = 1 };

// The fixed part of the nonce; the sealer's AES-GCM counts on from `nonce`.
CipherContextPtr MakeContext(const WriteKeys& keys, Direction direction,
                             uint64_t nonce) {
  const Suite& suite = SuiteOf(keys.aead);
  CipherContextPtr context(EVP_CIPHER_CTX_new());
  KYUU_CHECK(context != nullptr);
  KYUU_CHECK(EVP_CipherInit_ex2(context.get(), CipherOf(keys.aead),
                                keys.key.data(), nullptr,
                                static_cast<int>(direction), nullptr) == 1);
  std::array<uint8_t, 12> iv = keys.iv;
  int size = static_cast<int>(suite.fixed_iv_bytes);
  if (suite.explicit_nonce_bytes != 0 && direction == Direction::kSeal) {
    Writer w(absl::MakeSpan(iv).subspan(suite.fixed_iv_bytes));
    w.U64(nonce);
    size = -1;  // All of it, and no random start.
  }
  KYUU_CHECK(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_IV_FIXED,
                                 size, iv.data()) == 1);
  OPENSSL_cleanse(iv.data(), iv.size());
  return context;
}

// seq_num, type, version, length (RFC 5246 section 6.2.3.3), where seq_num is
// epoch and sequence number, as in the header. `length` is what OpenSSL
// expects here: of all but the tag to seal, with it to open.
using AdditionalData = std::array<uint8_t, 13>;

bool Crypt(EVP_CIPHER_CTX* context, AdditionalData& data,
           absl::Span<uint8_t> fragment) {
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TLS1_AAD,
                                        data.data(), data.size()),
      OSSL_PARAM_construct_end(),
  };
  return EVP_CIPHER_CTX_set_params(context, params) == 1 &&
         EVP_Cipher(context, fragment.data(), fragment.data(),
                    static_cast<unsigned>(fragment.size())) >= 0;
}

}  // namespace

WriteKeys::~WriteKeys() {
  OPENSSL_cleanse(key.data(), key.size());
  OPENSSL_cleanse(iv.data(), iv.size());
}

std::optional<KeyBlock> DeriveKeys(Aead aead, const char* hash,
                                   absl::Span<const uint8_t> master_secret,
                                   absl::Span<const uint8_t> randoms) {
  static EVP_KDF* const kdf = EVP_KDF_fetch(nullptr, "TLS1-PRF", nullptr);
  EVP_KDF_CTX* context = EVP_KDF_CTX_new(kdf);
  if (context == nullptr) return std::nullopt;
  const auto octets = [](const char* name, absl::Span<const uint8_t> bytes) {
    return OSSL_PARAM_construct_octet_string(
        name, const_cast<uint8_t*>(bytes.data()), bytes.size());
  };
  // OpenSSL joins the seeds.
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
                                       const_cast<char*>(hash), 0),
      octets(OSSL_KDF_PARAM_SECRET, master_secret),
      octets(OSSL_KDF_PARAM_SEED, AsBytes("key expansion")),
      octets(OSSL_KDF_PARAM_SEED, randoms),
      OSSL_PARAM_construct_end(),
  };
  const Suite& suite = SuiteOf(aead);
  std::array<uint8_t, 2 * (32 + 12)> block;
  const size_t size = 2 * (suite.key_bytes + suite.fixed_iv_bytes);
  const bool derived = EVP_KDF_derive(context, block.data(), size, params) == 1;
  EVP_KDF_CTX_free(context);
  if (!derived) return std::nullopt;
  KeyBlock keys;
  Reader r(absl::MakeConstSpan(block).first(size));
  const auto take = [&r](absl::Span<uint8_t> to, size_t count) {
    const absl::Span<const uint8_t> bytes = r.Bytes(count);
    std::copy(bytes.begin(), bytes.end(), to.begin());
  };
  keys.client.aead = keys.server.aead = aead;
  take(absl::MakeSpan(keys.client.key), suite.key_bytes);
  take(absl::MakeSpan(keys.server.key), suite.key_bytes);
  take(absl::MakeSpan(keys.client.iv), suite.fixed_iv_bytes);
  take(absl::MakeSpan(keys.server.iv), suite.fixed_iv_bytes);
  OPENSSL_cleanse(block.data(), block.size());
  return keys;
}

Sealer::Sealer(const WriteKeys& keys, const Start& start)
    : context_(MakeContext(keys, Direction::kSeal, start.nonce)),
      header_bytes_(Record::kHeaderBytes +
                    SuiteOf(keys.aead).explicit_nonce_bytes),
      sequence_(start.sequence) {}

std::optional<absl::Span<const uint8_t>> Sealer::Seal(ContentType type,
                                                      absl::Span<uint8_t> place,
                                                      size_t size) {
  const uint64_t end = type == ContentType::kApplicationData
                           ? kSequenceEnd - kReserved
                           : kSequenceEnd;
  const size_t nonce_bytes = header_bytes_ - Record::kHeaderBytes;
  const size_t total = header_bytes_ + size + kRecordTagBytes;
  KYUU_CHECK(size <= kPlaintextMax && total <= place.size());
  if (sequence_ >= end) return std::nullopt;
  Writer header(place);
  header.U8(static_cast<uint8_t>(type));
  header.U16(kDtls12);
  header.U16(kProtectedEpoch);
  header.U48(sequence_);
  header.U16(static_cast<uint16_t>(total - Record::kHeaderBytes));
  AdditionalData data;
  Writer w(absl::MakeSpan(data));
  w.U16(kProtectedEpoch);
  w.U48(sequence_);
  w.U8(static_cast<uint8_t>(type));
  w.U16(kDtls12);
  w.U16(static_cast<uint16_t>(nonce_bytes + size));
  const absl::Span<uint8_t> record = place.first(total);
  // Never again with this number, whatever becomes of it.
  ++sequence_;
  KYUU_CHECK(Crypt(context_.get(), data, record.subspan(Record::kHeaderBytes)));
  return record;
}

Opener::Opener(const WriteKeys& keys)
    : context_(MakeContext(keys, Direction::kOpen, 0)),
      header_bytes_(Record::kHeaderBytes +
                    SuiteOf(keys.aead).explicit_nonce_bytes) {}

Opened Opener::Open(const Record& record, absl::Span<uint8_t> place) {
  using Outcome = Opened::Outcome;
  if (record.epoch != kProtectedEpoch) return {Outcome::kWrongEpoch, {}};
  const ReplayWindow::Verdict verdict = window_.Check(record.sequence);
  if (record.type != ContentType::kHandshake) {
    if (verdict == ReplayWindow::Verdict::kSeen) {
      return {Outcome::kReplayed, {}};
    }
    if (verdict == ReplayWindow::Verdict::kOld) return {Outcome::kOld, {}};
  }
  const size_t overhead = header_bytes_ + kRecordTagBytes;
  if (place.size() < overhead || place.size() > overhead + kPlaintextMax) {
    return {Outcome::kForged, {}};
  }
  AdditionalData data;
  Writer w(absl::MakeSpan(data));
  w.U16(record.epoch);
  w.U48(record.sequence);
  w.Bytes(place.first(3));  // Type and version.
  w.U16(static_cast<uint16_t>(place.size() - Record::kHeaderBytes));
  if (!Crypt(context_.get(), data, place.subspan(Record::kHeaderBytes))) {
    return {Outcome::kForged, {}};
  }
  if (verdict == ReplayWindow::Verdict::kNew) window_.Add(record.sequence);
  return {Outcome::kOpened,
          place.subspan(header_bytes_, place.size() - overhead)};
}

}  // namespace kyuu::dtls::internal

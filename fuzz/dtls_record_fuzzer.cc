// Records, bent, repeated and made up, into the record layer: what opens was
// sealed so, and opens once.

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "dtls/internal/record_protection.h"

using kyuu::Reader;
using namespace kyuu::dtls::internal;  // NOLINT: it is all about these.
using Bytes = std::vector<uint8_t>;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  Reader r(absl::MakeConstSpan(data, size));
  // Of the whole input: it cannot hold a record that another run has sealed.
  const auto keys = DeriveKeys(static_cast<Aead>(r.U8() % 3), "SHA2-256",
                               absl::MakeConstSpan(data, size), Bytes(64));
  Sealer sealer(keys->client, {r.U48(), r.U64()});
  Opener opener(keys->client);
  std::vector<Bytes> sealed, opened;
  while (!r.empty()) {
    const uint8_t op = r.U8();
    Bytes bytes;
    if (op < 64) {
      const size_t header = sealer.header_bytes(), length = r.U8();
      bytes.assign(header + length + kyuu::dtls::kRecordTagBytes, op);
      if (!sealer.Seal(static_cast<ContentType>(20 + op % 4),
                       absl::MakeSpan(bytes), length)) {
        continue;
      }
      sealed.push_back(bytes);
    } else if (op < 192 && !sealed.empty()) {
      bytes = sealed[r.U8() % sealed.size()];
      if (op >= 128) bytes[r.U16() % bytes.size()] ^= r.U8();
    } else {
      const auto raw = r.Bytes(std::min<size_t>(r.U16(), r.remaining()));
      bytes.assign(raw.begin(), raw.end());
    }
    const Bytes before = bytes;
    absl::Span<const uint8_t> rest = before;
    const auto record = TakeRecord(rest);
    if (!record) continue;
    const size_t length = record->bytes.size();
    if (opener.Open(*record, absl::MakeSpan(bytes).first(length)).outcome !=
        Opened::Outcome::kOpened) {
      continue;
    }
    const Bytes seen(before.begin(), before.end() - rest.size());
    KYUU_CHECK(std::find(sealed.begin(), sealed.end(), seen) != sealed.end());
    if (record->type == ContentType::kHandshake) continue;
    KYUU_CHECK(std::find(opened.begin(), opened.end(), seen) == opened.end());
    opened.push_back(seen);
  }
  return 0;
}

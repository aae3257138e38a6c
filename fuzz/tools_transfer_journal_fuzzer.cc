// The journal of a part, which anybody may have written: what is taken keeps
// its limits, and is the same after it was written and read again.

#include <cstdint>

#include "base/bytes.h"
#include "base/check.h"
#include "tools/kyuu/transfer/journal.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace kyuu::tools;
  const auto journal = ParseJournal(kyuu::AsText({data, size}));
  if (!journal.ok()) return 0;
  KYUU_CHECK(journal->size <= kFileBytesMax);
  KYUU_CHECK(journal->prefixes.size() <=
             journal->size / JournalChunkBytes(journal->size));
  KYUU_CHECK(journal->prefixes.size() <= kJournalChunksMax);
  const auto again = ParseJournal(WriteJournal(*journal));
  KYUU_CHECK(again.ok() && again->name == journal->name &&
             again->size == journal->size && again->file == journal->file &&
             again->prefixes == journal->prefixes);
  return 0;
}

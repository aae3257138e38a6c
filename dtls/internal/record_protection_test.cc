// The record layer against itself: what it opens, what it refuses, where it
// ends. Against OpenSSL's: openssl_peer_test.cc.

#include "dtls/internal/record_protection.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/random.h"
#include "gtest/gtest.h"

namespace kyuu::dtls::internal {
namespace {

using Bytes = std::vector<uint8_t>;
using Outcome = Opened::Outcome;

constexpr Aead kAeads[] = {Aead::kAes128Gcm, Aead::kAes256Gcm,
                           Aead::kChaCha20Poly1305};

KeyBlock KeysOf(Aead aead) {
  return *DeriveKeys(aead, aead == Aead::kAes256Gcm ? "SHA2-384" : "SHA2-256",
                     Bytes(48, 1), Bytes(64, 2));
}

// The two ends of one direction.
struct Ends {
  explicit Ends(Aead aead, const Sealer::Start& start = {})
      : sealer(KeysOf(aead).client, start), opener(KeysOf(aead).client) {}

  Bytes Seal(absl::string_view plaintext,
             ContentType type = ContentType::kApplicationData) {
    Bytes place(sealer.header_bytes());
    place.insert(place.end(), plaintext.begin(), plaintext.end());
    place.resize(place.size() + kRecordTagBytes);
    const auto record =
        sealer.Seal(type, absl::MakeSpan(place), plaintext.size());
    if (!record) return {};
    EXPECT_EQ(record->data(), place.data());
    EXPECT_EQ(record->size(), place.size());
    return place;
  }

  Outcome Open(Bytes bytes) {
    absl::Span<const uint8_t> rest = bytes;
    const auto record = TakeRecord(rest);
    if (!record) {
      ADD_FAILURE() << "no record";
      return Outcome::kForged;
    }
    const Opened opened =
        opener.Open(*record, absl::MakeSpan(bytes).first(record->bytes.size()));
    text = std::string(AsText(opened.plaintext));
    return opened.outcome;
  }

  Sealer sealer;
  Opener opener;
  std::string text;  // Of the last one opened.
};

TEST(RecordProtection, SealsInPlaceWhatTheOtherEndOpensInPlace) {
  for (const Aead aead : kAeads) {
    Ends ends(aead);
    EXPECT_EQ(ends.sealer.header_bytes(),
              aead == Aead::kChaCha20Poly1305 ? 13u : kRecordHeaderMax);
    for (const size_t size : {0u, 1u, 15u, 16u, 17u, 1200u, 16384u}) {
      const std::string text(size, 'x');
      EXPECT_EQ(ends.Open(ends.Seal(text)), Outcome::kOpened) << size;
      EXPECT_EQ(ends.text, text);
    }
  }
}

// RFC 6347 section 4.1: type, version, epoch, sequence number, length.
TEST(RecordProtection, HeaderIsTheRfcs) {
  Ends ends(Aead::kAes128Gcm, {.sequence = 0x0102030405, .nonce = 7});
  const Bytes record = ends.Seal("abc", ContentType::kAlert);
  const Bytes header(record.begin(), record.begin() + 21);
  EXPECT_EQ(header, (Bytes{21, 0xfe, 0xfd, 0, 1, 0, 1, 2, 3, 4, 5, 0, 27,  //
                           0,  0,    0,    0, 0, 0, 0, 7}));
}

// The nonces of one key never repeat (RFC 5288 section 3): they count on from
// where the other record layer stopped, around the end of their 64 bits.
TEST(RecordProtection, H31NoncesCountOn) {
  Ends ends(Aead::kAes256Gcm, {.nonce = ~uint64_t{0} - 1});
  std::vector<uint64_t> nonces;
  for (int i = 0; i < 4; ++i) {
    const Bytes record = ends.Seal("x");
    Reader r(record);
    r.Skip(Record::kHeaderBytes);
    nonces.push_back(r.U64());
  }
  EXPECT_EQ(nonces,
            (std::vector<uint64_t>{~uint64_t{0} - 1, ~uint64_t{0}, 0, 1}));
}

TEST(RecordProtection, H31SequenceNumbersEnd) {
  Ends ends(Aead::kAes128Gcm,
            {.sequence = kSequenceEnd - Sealer::kReserved - 1});
  EXPECT_EQ(ends.Open(ends.Seal("last")), Outcome::kOpened);
  EXPECT_TRUE(ends.Seal("one more").empty());
  // What is reserved is for whom has to say so, until that is used up too.
  for (uint64_t i = 0; i < Sealer::kReserved; ++i) {
    EXPECT_EQ(ends.Open(ends.Seal("!!", ContentType::kAlert)),
              Outcome::kOpened);
  }
  EXPECT_TRUE(ends.Seal("!!", ContentType::kAlert).empty());
}

// Any byte changed, any length cut: nothing opens, and the record itself, which
// comes last, was not marked as seen by its forgeries.
TEST(RecordProtection, ForgeriesAreRefusedAndMoveNothing) {
  for (const Aead aead : kAeads) {
    Ends ends(aead);
    const Bytes record = ends.Seal("genuine");
    for (size_t i = 0; i < record.size(); ++i) {
      if (i >= 11 && i < 13) continue;  // The length: below.
      Bytes forged = record;
      forged[i] ^= i == 0 ? 1 : i < 3 ? 0x02 : 0x80;
      absl::Span<const uint8_t> rest = forged;
      if (!TakeRecord(rest)) continue;
      EXPECT_NE(ends.Open(forged), Outcome::kOpened) << i;
    }
    for (size_t size = Record::kHeaderBytes; size < record.size(); ++size) {
      Bytes cut(record.begin(),
                record.begin() + static_cast<std::ptrdiff_t>(size));
      cut[11] = 0;
      cut[12] = static_cast<uint8_t>(size - Record::kHeaderBytes);
      EXPECT_EQ(ends.Open(cut), Outcome::kForged) << size;
    }
    EXPECT_EQ(ends.Open(record), Outcome::kOpened);
  }
}

TEST(RecordProtection, OtherEpochsAreRefused) {
  Ends ends(Aead::kAes128Gcm);
  Bytes record = ends.Seal("x");
  for (const uint8_t epoch : Bytes{0, 2, 255}) {
    record[4] = epoch;
    EXPECT_EQ(ends.Open(record), Outcome::kWrongEpoch);
  }
}

TEST(RecordProtection, EachRecordOpensOnceWithinTheWindow) {
  Ends ends(Aead::kAes128Gcm);
  std::vector<Bytes> records;
  for (uint64_t i = 0; i < ReplayWindow::kRecords + 1; ++i) {
    records.push_back(ends.Seal(absl::StrCat(i)));
  }
  EXPECT_EQ(ends.Open(records.back()), Outcome::kOpened);
  EXPECT_EQ(ends.Open(records.back()), Outcome::kReplayed);
  EXPECT_EQ(ends.Open(records[0]), Outcome::kOld);
  EXPECT_EQ(ends.Open(records[1]), Outcome::kOpened) << "the oldest of them";
  EXPECT_EQ(ends.Open(records[1]), Outcome::kReplayed);
  // Backwards, which is the worst order there is.
  for (size_t i = records.size() - 2; i > 1; --i) {
    ASSERT_EQ(ends.Open(records[i]), Outcome::kOpened) << i;
    ASSERT_EQ(ends.Open(records[i]), Outcome::kReplayed) << i;
  }
}

// A peer that goes on far ahead may do so; what lies behind is old.
TEST(RecordProtection, FarAheadLeavesAllElseBehind) {
  Ends ends(Aead::kChaCha20Poly1305);
  const Bytes old = ends.Seal("old");
  Ends ahead(Aead::kChaCha20Poly1305, {.sequence = kSequenceEnd - 20});
  EXPECT_EQ(ends.Open(ahead.Seal("ahead")), Outcome::kOpened);
  EXPECT_EQ(ends.Open(old), Outcome::kOld);
  EXPECT_EQ(ends.Open(ahead.Seal("next")), Outcome::kOpened);
}

// It asks for the last flight, and may come as it came first.
TEST(RecordProtection, RepeatedHandshakeMessageOpensAgain) {
  Ends ends(Aead::kAes128Gcm);
  const Bytes finished = ends.Seal("finished", ContentType::kHandshake);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ends.Open(finished), Outcome::kOpened);
    EXPECT_EQ(ends.text, "finished");
  }
  Ends ahead(Aead::kAes128Gcm, {.sequence = 100'000});
  EXPECT_EQ(ends.Open(ahead.Seal("x")), Outcome::kOpened);
  EXPECT_EQ(ends.Open(finished), Outcome::kOpened);
  EXPECT_EQ(ends.Open(ahead.Seal("y")), Outcome::kOpened);
}

// The window against a list of all that was received.
TEST(ReplayWindow, SaysWhatAListWouldSay) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SeededRandom random(seed);
    ReplayWindow window;
    std::vector<uint64_t> seen;
    uint64_t newest = random.Below(100'000);
    for (int i = 0; i < 400; ++i) {
      const uint64_t back = random.Below(3 * ReplayWindow::kRecords);
      const uint64_t sequence = random.Below(3) == 0
                                    ? newest + random.Below(5000)
                                    : newest - std::min(newest, back);
      const bool first = seen.empty();
      const bool old = !first && sequence + ReplayWindow::kRecords <= newest;
      const bool known =
          std::find(seen.begin(), seen.end(), sequence) != seen.end();
      const ReplayWindow::Verdict verdict = window.Check(sequence);
      if (old) {
        ASSERT_EQ(verdict, ReplayWindow::Verdict::kOld) << seed << " " << i;
        continue;
      }
      ASSERT_EQ(verdict, known ? ReplayWindow::Verdict::kSeen
                               : ReplayWindow::Verdict::kNew)
          << seed << " " << i;
      if (known) continue;
      window.Add(sequence);
      seen.push_back(sequence);
      newest = first ? sequence : std::max(newest, sequence);
    }
  }
}

}  // namespace
}  // namespace kyuu::dtls::internal

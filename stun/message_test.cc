#include "stun/message.h"

#include <array>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "stun/internal/rfc_vectors.h"

namespace kyuu::stun {
namespace {

constexpr AttributeSet kIce =
    kStunAttributes | AttributeSet::Of<Priority, UseCandidate>();

const IntegrityKey kKey = IntegrityKey::ShortTerm(kRfc5769Password);

TransactionId Rfc5769Id() {
  return {
      {0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae}};
}

TEST(MessageTypeTest, InterleavesClassAndMethod) {
  EXPECT_EQ(EncodeType(MessageClass::kRequest, Method::kBinding), 0x0001);
  EXPECT_EQ(EncodeType(MessageClass::kSuccess, Method::kBinding), 0x0101);
  EXPECT_EQ(EncodeType(MessageClass::kError, Method::kAllocate), 0x0113);
  EXPECT_EQ(EncodeType(MessageClass::kIndication, Method::kSend), 0x0016);
  EXPECT_EQ(EncodeType(MessageClass::kIndication, Method::kData), 0x0017);
  for (uint16_t type = 0; type < 0x4000; ++type) {
    EXPECT_EQ(EncodeType(ClassOf(type), MethodOf(type)), type);
  }
}

TEST(MessageVectorTest, Rfc5769Section21Request) {
  const std::vector<uint8_t> bytes = FromHex(kRfc5769Request);
  const auto view = MessageView::Parse(bytes);
  ASSERT_OK(view);
  EXPECT_TRUE(view->Is(MessageClass::kRequest, Method::kBinding));
  EXPECT_EQ(view->transaction_id(), Rfc5769Id());
  EXPECT_EQ(view->Get<Software>(), Software{"STUN test client"});
  EXPECT_EQ(view->Get<Priority>(), Priority{0x6e0001ff});
  EXPECT_EQ(view->Get<IceControlled>(), IceControlled{0x932ff9b151263b36});
  EXPECT_EQ(view->Get<Username>(), Username{"evtj:h6vY"});
  EXPECT_EQ(view->Get<UseCandidate>(), std::nullopt);
  EXPECT_TRUE(view->CheckIntegrity(kKey));
  EXPECT_TRUE(view->CheckFingerprint());
  EXPECT_FALSE(view->CheckIntegrity(IntegrityKey::ShortTerm("wrong")));
  EXPECT_TRUE(view->UnknownComprehensionRequired(kIce).empty());
}

TEST(MessageVectorTest, Rfc5769Section22Ipv4Response) {
  const std::vector<uint8_t> bytes = FromHex(kRfc5769ResponseV4);
  const auto view = MessageView::Parse(bytes);
  ASSERT_OK(view);
  EXPECT_TRUE(view->Is(MessageClass::kSuccess, Method::kBinding));
  EXPECT_EQ(view->Get<Software>(), Software{"test vector"});
  EXPECT_EQ(view->Get<XorMappedAddress>()->address.ToString(),
            "192.0.2.1:32853");
  EXPECT_TRUE(view->CheckIntegrity(kKey));
  EXPECT_TRUE(view->CheckFingerprint());
}

TEST(MessageVectorTest, Rfc5769Section23Ipv6Response) {
  const std::vector<uint8_t> bytes = FromHex(kRfc5769ResponseV6);
  const auto view = MessageView::Parse(bytes);
  ASSERT_OK(view);
  EXPECT_EQ(view->Get<XorMappedAddress>()->address.ToString(),
            "[2001:db8:1234:5678:11:2233:4455:6677]:32853");
  EXPECT_TRUE(view->CheckIntegrity(kKey));
  EXPECT_TRUE(view->CheckFingerprint());
}

TEST(MessageVectorTest, Rfc5769Section24LongTermRequest) {
  const std::vector<uint8_t> bytes = FromHex(kRfc5769LongTermRequest);
  const auto view = MessageView::Parse(bytes);
  ASSERT_OK(view);
  EXPECT_EQ(view->Get<Username>(), Username{kLongTermUsername});
  EXPECT_EQ(view->Get<Realm>(), Realm{kLongTermRealm});
  EXPECT_EQ(view->Get<Nonce>(), Nonce{"f//499k954d6OL34oL9FSTvy64sA"});
  EXPECT_TRUE(view->CheckIntegrity(IntegrityKey::LongTerm(
      kLongTermUsername, kLongTermRealm, kLongTermPassword)));
  EXPECT_FALSE(view->HasFingerprint());
  EXPECT_FALSE(view->CheckFingerprint());
}

TEST(MessageVectorTest, Rfc8489AppendixB1Sha256) {
  const std::vector<uint8_t> bytes = FromHex(kRfc8489Sha256Request);
  const auto view = MessageView::Parse(bytes);
  ASSERT_OK(view);
  EXPECT_EQ(view->Get<Userhash>(),
            UserhashOf(kLongTermUsername, kLongTermRealm));
  EXPECT_EQ(view->Get<Nonce>(),
            Nonce{"obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA"});
  EXPECT_EQ(view->Get<PasswordAlgorithm>()->algorithm, PasswordHash::kSha256);
  const IntegrityKey key =
      IntegrityKey::LongTerm(kLongTermUsername, kLongTermRealm,
                             kLongTermPassword, PasswordHash::kSha256);
  EXPECT_TRUE(view->CheckIntegritySha256(key));
  EXPECT_FALSE(view->CheckIntegrity(key));
}

// The writer makes the RFCs' messages byte for byte, except that it pads with
// zeros where RFC 5769 chose blanks.
TEST(MessageWriterTest, WritesTheLongTermRequestOfRfc5769) {
  const std::vector<uint8_t> expected = FromHex(kRfc5769LongTermRequest);
  const auto view = MessageView::Parse(expected);
  ASSERT_OK(view);
  std::array<uint8_t, 200> buffer;
  buffer.fill(0xee);
  MessageWriter w(absl::MakeSpan(buffer), MessageClass::kRequest,
                  Method::kBinding, view->transaction_id());
  w.Add(Username{kLongTermUsername});
  w.Add(*view->Get<Nonce>());
  w.Add(Realm{kLongTermRealm});
  w.AddIntegrity(IntegrityKey::LongTerm(kLongTermUsername, kLongTermRealm,
                                        kLongTermPassword));
  EXPECT_EQ(ToHex(w.Finish()), ToHex(expected));
}

TEST(MessageWriterTest, WritesTheSha256RequestOfRfc8489) {
  const std::vector<uint8_t> expected = FromHex(kRfc8489Sha256Request);
  const auto view = MessageView::Parse(expected);
  ASSERT_OK(view);
  std::array<uint8_t, 200> buffer;
  buffer.fill(0xee);
  MessageWriter w(absl::MakeSpan(buffer), MessageClass::kRequest,
                  Method::kBinding, view->transaction_id());
  w.Add(UserhashOf(kLongTermUsername, kLongTermRealm));
  w.Add(*view->Get<Nonce>());
  w.Add(Realm{kLongTermRealm});
  w.Add(PasswordAlgorithm{PasswordHash::kSha256, {}});
  w.AddIntegritySha256(IntegrityKey::LongTerm(kLongTermUsername, kLongTermRealm,
                                              kLongTermPassword,
                                              PasswordHash::kSha256));
  EXPECT_EQ(ToHex(w.Finish()), ToHex(expected));
}

TEST(MessageWriterTest, PadsWithZerosWhateverTheBufferHeld) {
  for (size_t size = 0; size < 9; ++size) {
    std::array<uint8_t, 64> buffer;
    buffer.fill(0xee);
    MessageWriter w(absl::MakeSpan(buffer), MessageClass::kRequest,
                    Method::kBinding, {});
    w.Add(Software{absl::string_view("abcdefghi").substr(0, size)});
    const auto bytes = w.Finish();
    ASSERT_EQ(bytes.size(), 24 + (size + 3) / 4 * 4);
    for (size_t i = 24 + size; i < bytes.size(); ++i) EXPECT_EQ(bytes[i], 0);
  }
}

TEST(MessageWriterTest, FailsForEveryBufferThatIsTooSmall) {
  const auto write = [](absl::Span<uint8_t> out) {
    MessageWriter w(out, MessageClass::kRequest, Method::kBinding, {});
    w.Add(Username{"a:b"});
    w.AddIntegrity(kKey);
    w.AddIntegritySha256(kKey);
    w.AddFingerprint();
    return w.Finish();
  };
  constexpr size_t kSize = 20 + 8 + 24 + 36 + 8;
  for (size_t size = 0; size <= kSize; ++size) {
    std::vector<uint8_t> buffer(size);
    EXPECT_EQ(write(absl::MakeSpan(buffer)).size(), size < kSize ? 0 : kSize);
  }
}

TEST(MessageWriterTest, RefusesAttributesOutOfOrder) {
  std::array<uint8_t, 200> buffer;
  const auto writer = [&buffer] {
    return MessageWriter(absl::MakeSpan(buffer), MessageClass::kRequest,
                         Method::kBinding, {});
  };
  MessageWriter after_integrity = writer();
  after_integrity.AddIntegrity(kKey);
  after_integrity.Add(Priority{1});
  EXPECT_TRUE(after_integrity.Finish().empty());
  MessageWriter sha1_after_sha256 = writer();
  sha1_after_sha256.AddIntegritySha256(kKey);
  sha1_after_sha256.AddIntegrity(kKey);
  EXPECT_TRUE(sha1_after_sha256.Finish().empty());
  MessageWriter after_fingerprint = writer();
  after_fingerprint.AddFingerprint();
  after_fingerprint.AddIntegrity(kKey);
  EXPECT_TRUE(after_fingerprint.Finish().empty());
  MessageWriter twice = writer();
  twice.AddFingerprint();
  twice.AddFingerprint();
  EXPECT_TRUE(twice.Finish().empty());
}

TEST(MessageWriterTest, ReservedValueIsLeftAlone) {
  std::array<uint8_t, 32> buffer;
  buffer.fill(0xee);
  MessageWriter w(absl::MakeSpan(buffer), MessageClass::kIndication,
                  Method::kSend, {});
  EXPECT_EQ(w.Reserve(Data::kType, 5).size(), 5);
  const auto bytes = w.Finish();
  EXPECT_EQ(ToHex(bytes.subspan(20)), "00130005eeeeeeeeee000000");
}

TEST(MessageWriterTest, FailsBeyondWhatLengthFieldsHold) {
  std::vector<uint8_t> buffer(200000);
  const std::vector<uint8_t> big(65536);
  MessageWriter one(absl::MakeSpan(buffer), MessageClass::kRequest,
                    Method::kBinding, {});
  one.Add(Data{big});
  EXPECT_TRUE(one.Finish().empty());
  MessageWriter two(absl::MakeSpan(buffer), MessageClass::kRequest,
                    Method::kBinding, {});
  two.Add(Data{absl::MakeConstSpan(big).first(40000)});
  two.Add(Data{absl::MakeConstSpan(big).first(40000)});
  EXPECT_TRUE(two.Finish().empty());
}

// The example of README.md.
TEST(ReadmeTest, ExampleWorks) {
  const TransactionId id = Rfc5769Id();
  const IntegrityKey key = kKey;
  std::array<uint8_t, 256> buffer;
  MessageWriter w(absl::MakeSpan(buffer), MessageClass::kRequest,
                  Method::kBinding, id);
  w.Add(Username{"remote:local"});
  w.Add(Priority{0x6e0001ff});
  w.AddIntegrity(key);
  w.AddFingerprint();
  absl::Span<const uint8_t> packet = w.Finish();

  absl::StatusOr<MessageView> view = MessageView::Parse(packet);
  ASSERT_TRUE(view.ok() && view->CheckIntegrity(key));
  EXPECT_EQ(view->Get<XorMappedAddress>(), std::nullopt);
}

// A message of both integrities and a fingerprint, with room for more.
struct Sample {
  std::vector<uint8_t> bytes;
  explicit Sample(bool sha1 = true, bool sha256 = true,
                  bool fingerprint = true) {
    std::array<uint8_t, 200> buffer;
    MessageWriter w(absl::MakeSpan(buffer), MessageClass::kRequest,
                    Method::kBinding, Rfc5769Id());
    w.Add(Username{"u"});
    if (sha1) w.AddIntegrity(kKey);
    if (sha256) w.AddIntegritySha256(kKey);
    if (fingerprint) w.AddFingerprint();
    const auto written = w.Finish();
    bytes.assign(written.begin(), written.end());
  }
  // Appends an attribute as an attacker would, and corrects the length.
  Sample& Append(absl::string_view hex) {
    const std::vector<uint8_t> more = FromHex(hex);
    bytes.insert(bytes.end(), more.begin(), more.end());
    bytes[3] = static_cast<uint8_t>(bytes.size() - 20);
    return *this;
  }
};

TEST(MessageOrderTest, BothIntegritiesAndFingerprintVerifyTogether) {
  const Sample sample;
  const auto view = MessageView::Parse(sample.bytes);
  ASSERT_OK(view);
  EXPECT_TRUE(view->CheckIntegrity(kKey));
  EXPECT_TRUE(view->CheckIntegritySha256(kKey));
  EXPECT_TRUE(view->CheckFingerprint());
}

// RFC 8489 section 14.5: whatever follows integrity is ignored.
TEST(MessageOrderTest, AttributesAfterIntegrityAreIgnored) {
  for (const bool sha256 : {false, true}) {
    Sample sample(!sha256, sha256, false);
    sample.Append("00 24 00 04 00 00 00 01").Append("7f ff 00 00");
    const auto view = MessageView::Parse(sample.bytes);
    ASSERT_OK(view);
    EXPECT_EQ(view->Get<Priority>(), std::nullopt);
    EXPECT_FALSE(view->Has<Priority>());
    EXPECT_TRUE(view->UnknownComprehensionRequired(kIce).empty());
    EXPECT_EQ(view->Get<Username>(), Username{"u"});
    EXPECT_EQ(view->CheckIntegrity(kKey), !sha256);
    EXPECT_EQ(view->CheckIntegritySha256(kKey), sha256);
  }
}

TEST(MessageOrderTest, Sha1IntegrityAfterSha256IsIgnored) {
  Sample sample(false, true, false);
  sample.Append("00 08 00 14" + std::string(40, '0'));
  const auto view = MessageView::Parse(sample.bytes);
  ASSERT_OK(view);
  EXPECT_FALSE(view->HasIntegrity());
  EXPECT_TRUE(view->CheckIntegritySha256(kKey));
}

TEST(MessageOrderTest, NothingMayFollowTheFingerprint) {
  Sample sample;
  sample.Append("00 24 00 04 00 00 00 01");
  EXPECT_THAT(MessageView::Parse(sample.bytes),
              StatusIs(absl::StatusCode::kInvalidArgument));
  Sample integrity_last(false, false, true);
  integrity_last.Append("00 08 00 14" + std::string(40, '0'));
  EXPECT_THAT(MessageView::Parse(integrity_last.bytes),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(MessageOrderTest, TheFirstOfTwoCounts) {
  std::array<uint8_t, 200> buffer;
  MessageWriter w(absl::MakeSpan(buffer), MessageClass::kRequest,
                  Method::kCreatePermission, {});
  w.Add(XorPeerAddress{{IpAddress::V4(192, 0, 2, 1), 1}});
  w.Add(Lifetime{1});
  w.Add(XorPeerAddress{{IpAddress::V4(192, 0, 2, 2), 2}});
  w.Add(Lifetime{2});
  const auto view = MessageView::Parse(w.Finish());
  ASSERT_OK(view);
  EXPECT_EQ(view->Get<Lifetime>(), Lifetime{1});
  EXPECT_EQ(view->Get<XorPeerAddress>()->address.port, 1);
  int peers = 0;
  for (AttributeCursor c = view->attributes(); c.Next();) {
    if (c.As<XorPeerAddress>()) ++peers;
  }
  EXPECT_EQ(peers, 2);
}

TEST(MessageOrderTest, ImpossibleSizesOfIntegrityAreRefused) {
  for (const char* hex :
       {"00 08 00 10"
        "00000000000000000000000000000000",
        "00 1c 00 0c"
        "000000000000000000000000",
        "00 1c 00 24"
        "0000000000000000000000000000000000000000000000000000"
        "00000000000000000000",
        "80 28 00 00", "80 28 00 08 00 00 00 00 00 00 00 00"}) {
    Sample sample(false, false, false);
    sample.Append(hex);
    EXPECT_FALSE(MessageView::Parse(sample.bytes).ok()) << hex;
  }
}

TEST(MessageOrderTest, TruncatedSha256IntegrityNeverVerifies) {
  Sample sample(false, false, false);
  sample.Append("00 1c 00 10" + std::string(32, '0'));
  const auto head = absl::MakeConstSpan(sample.bytes).first(20 + 8);
  const auto mac = kKey.HmacSha256({}, head);
  std::copy(mac.begin(), mac.begin() + 16, sample.bytes.end() - 16);
  const auto view = MessageView::Parse(sample.bytes);
  ASSERT_OK(view);
  EXPECT_TRUE(view->HasIntegritySha256());
  EXPECT_FALSE(view->CheckIntegritySha256(kKey));
}

TEST(MessageUnknownTest, ListsWhatMustBeUnderstoodOnceAndBounded) {
  std::vector<uint8_t> buffer(400);
  MessageWriter w(absl::MakeSpan(buffer), MessageClass::kRequest,
                  Method::kBinding, {});
  w.AddRaw(0x7f00, {});
  w.AddRaw(0x7f00, {});
  w.AddRaw(0xff00, {});  // Comprehension-optional.
  w.Add(DontFragment{});
  for (uint16_t i = 0; i < 40; ++i) w.AddRaw(0x7000 + i, {});
  const auto view = MessageView::Parse(w.Finish());
  ASSERT_OK(view);
  UnknownAttributes unknown = view->UnknownComprehensionRequired(
      kStunAttributes | AttributeSet::Of<DontFragment>());
  EXPECT_EQ(unknown.count, UnknownAttributes::kMax);
  EXPECT_EQ(unknown.types[0], 0x7f00);
  EXPECT_EQ(unknown.types[1], 0x7000);
  // Known to the codec, but not to this engine.
  unknown = view->UnknownComprehensionRequired(kStunAttributes);
  EXPECT_EQ(unknown.types[1], DontFragment::kType);
}

// Parse() notes where attributes are: what Find() and Get() say must be what a
// walk over the message says, for types of every range.
TEST(MessageFindTest, FindsTheFirstOfEachTypeWithoutAWalk) {
  std::vector<uint8_t> buffer(2000);
  MessageWriter w(absl::MakeSpan(buffer), MessageClass::kRequest,
                  Method::kBinding, {});
  const uint16_t types[] = {0x0000, 0x0024, 0x003f, 0x0040, 0x7fff,
                            0x8000, 0x8022, 0x803f, 0x8040, 0xffff};
  uint8_t value = 0;
  for (int round = 0; round < 2; ++round) {
    for (const uint16_t type : types) w.AddRaw(type, {{++value, 0, 0, 0}});
  }
  const auto view = MessageView::Parse(w.Finish());
  ASSERT_OK(view);
  value = 0;
  for (const uint16_t type : types) {
    const auto found = view->Find(type);
    ASSERT_TRUE(found) << type;
    EXPECT_EQ(found->size(), 4);
    EXPECT_EQ(found->front(), ++value) << type;
  }
  for (const int type : {0x0001, 0x003e, 0x0041, 0x8001, 0x8041}) {
    EXPECT_FALSE(view->Find(static_cast<uint16_t>(type))) << type;
  }
  EXPECT_EQ(view->Get<Priority>()->value, uint32_t{2} << 24);
}

class MessageNoiseTest : public testing::TestWithParam<absl::string_view> {};

TEST_P(MessageNoiseTest, NoTruncationParses) {
  const std::vector<uint8_t> bytes = FromHex(GetParam());
  for (size_t size = 0; size < bytes.size(); ++size) {
    // Copied, so that a sanitizer sees reads past the end.
    std::vector<uint8_t> cut(bytes.begin(), bytes.begin() + size);
    EXPECT_FALSE(IsStun(cut)) << size;
    EXPECT_FALSE(MessageView::Parse(cut).ok()) << size;
    // Nor with a length field that fits the cut.
    if (size < 20) continue;
    cut[3] = static_cast<uint8_t>(size - 20);
    const auto view = MessageView::Parse(cut);
    EXPECT_FALSE(view.ok() && view->CheckFingerprint());
    EXPECT_FALSE(view.ok() && view->CheckIntegrity(kKey) &&
                 view->CheckFingerprint());
  }
}

TEST_P(MessageNoiseTest, EveryFlippedBitIsNoticed) {
  const std::vector<uint8_t> bytes = FromHex(GetParam());
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::vector<uint8_t> flipped = bytes;
    flipped[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    const auto view = MessageView::Parse(flipped);
    if (!view.ok()) continue;
    EXPECT_FALSE(view->CheckFingerprint()) << bit;
    // FINGERPRINT (8 bytes) is not covered by the integrity in front of it.
    if (bit / 8 < bytes.size() - 8) {
      EXPECT_FALSE(view->CheckIntegrity(kKey)) << bit;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Rfc5769, MessageNoiseTest,
                         testing::Values(kRfc5769Request, kRfc5769ResponseV4,
                                         kRfc5769ResponseV6));

TEST(MessageNoiseTest, RandomAttributesNeverCrash) {
  constexpr uint64_t kSeed = 5769;
  SCOPED_TRACE(kSeed);
  SeededRandom random(kSeed);
  for (int round = 0; round < 20000; ++round) {
    std::vector<uint8_t> bytes(20 + 4 * random.Below(16));
    random.Fill(absl::MakeSpan(bytes));
    Writer w(absl::MakeSpan(bytes));
    w.U16(static_cast<uint16_t>(random.Below(0x4000)));
    w.U16(static_cast<uint16_t>(bytes.size() - 20));
    w.U32(kMagicCookie);
    // Plausible lengths let more attributes through.
    for (size_t at = 20; at + 4 <= bytes.size(); at += 8) {
      bytes[at + 2] = 0;
      bytes[at + 3] &= 7;
    }
    ASSERT_TRUE(IsStun(bytes));
    const auto view = MessageView::Parse(bytes);
    if (!view.ok()) continue;
    view->Get<XorMappedAddress>();
    view->Get<ErrorCode>();
    EXPECT_FALSE(view->CheckIntegrity(kKey));
    EXPECT_FALSE(view->CheckIntegritySha256(kKey));
  }
}

TEST(IsStunTest, TellsOtherProtocolsApart) {
  EXPECT_FALSE(IsStun({}));
  EXPECT_FALSE(IsStun(FromHex("16 fe fd 00 00")));  // DTLS
  EXPECT_FALSE(IsStun(FromHex("40 00 00 01 aa")));  // ChannelData
  // RFC 3489, without the cookie.
  EXPECT_FALSE(IsStun(std::vector<uint8_t>(20)));
  EXPECT_TRUE(IsStun(
      FromHex("00 01 00 00 21 12 a4 42 00 00 00 00 00 00 00 00 00 00 00 00")));
}

}  // namespace
}  // namespace kyuu::stun

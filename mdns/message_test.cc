#include "mdns/message.h"

#include <array>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace kyuu::mdns {
namespace {

constexpr absl::string_view kName = "printer-1.local";

template <typename Write>
std::vector<uint8_t> Written(Write write) {
  std::array<uint8_t, 600> out;
  Writer w(absl::MakeSpan(out));
  write(w);
  EXPECT_TRUE(w.ok());
  return {w.written().begin(), w.written().end()};
}

// Hex of a name of the labels, and of a header with these counts.
std::string Name(const std::vector<std::string>& labels) {
  std::string text;
  for (const std::string& label : labels) {
    absl::StrAppend(&text, absl::Hex(label.size(), absl::kZeroPad2),
                    absl::BytesToHexString(label));
  }
  return text + "00";
}
std::string Header(absl::string_view flags, int questions, int answers,
                   int authorities = 0, int additional = 0) {
  return absl::StrCat("0000", flags, absl::Hex(questions, absl::kZeroPad4),
                      absl::Hex(answers, absl::kZeroPad4),
                      absl::Hex(authorities, absl::kZeroPad4),
                      absl::Hex(additional, absl::kZeroPad4));
}

TEST(MessageTest, AQueryIsWrittenAsRfc6762Says) {
  const Question question{.name = std::string(kName), .type = QueryType::kA};
  const std::vector<uint8_t> bytes =
      Written([&](Writer& w) { WriteQuery(w, question); });
  EXPECT_EQ(bytes, FromHex(Header("0000", 1, 0) + Name({"printer-1", "local"}) +
                           "00010001"));
  const auto message = Parse(bytes);
  ASSERT_OK(message);
  EXPECT_EQ(*message, (Message{.questions = {question}}));
}

TEST(MessageTest, AnAnswerIsReadAsItWasWritten) {
  for (const char* text : {"192.0.2.7", "2001:db8::7"}) {
    const AddressRecord record{.name = std::string(kName),
                               .ip = *IpAddress::Parse(text),
                               .ttl = absl::Seconds(120)};
    const std::vector<uint8_t> bytes =
        Written([&](Writer& w) { WriteAnswer(w, record); });
    const auto message = Parse(bytes);
    ASSERT_OK(message);
    EXPECT_EQ(*message, (Message{.response = true, .records = {record}}));
  }
}

TEST(MessageTest, ALegacyAnswerRepeatsIdAndQuestionAndFlushesNothing) {
  const Question question{.name = std::string(kName), .type = QueryType::kA};
  const AddressRecord record{.name = std::string(kName),
                             .ip = IpAddress::V4(192, 0, 2, 7),
                             .ttl = absl::Seconds(10)};
  const std::vector<uint8_t> bytes = Written(
      [&](Writer& w) { WriteLegacyAnswer(w, 0x1234, question, record); });
  const auto message = Parse(bytes);
  ASSERT_OK(message);
  EXPECT_EQ(*message, (Message{.id = 0x1234,
                               .response = true,
                               .questions = {question},
                               .records = {record}}));
  EXPECT_TRUE(absl::EndsWith(ToHex(bytes), "000100010000000a0004c0000207"));
}

// RFC 6762 section 6.1: the bit of A is the second of the first octet, that of
// AAAA (28) the fifth of the fourth.
TEST(MessageTest, ADenialNamesWhatThereIs) {
  const std::string name = Name({"a", "local"});
  const auto denial = [&](QueryType type) {
    return Written([&](Writer& w) {
      WriteDenial(w, "a.local", type, absl::Seconds(120));
    });
  };
  const std::string head = Header("8400", 0, 1) + name + "002f800100000078";
  EXPECT_EQ(denial(QueryType::kA), FromHex(head + "000c" + name + "000140"));
  EXPECT_EQ(denial(QueryType::kAaaa),
            FromHex(head + "000f" + name + "000400000008"));
  // For a reader it is a message without addresses.
  EXPECT_EQ(*Parse(denial(QueryType::kA)), (Message{.response = true}));
}

TEST(MessageTest, NamesMayGoOnAtAnEarlierPlace) {
  // As avahi writes two records of one name.
  const auto message =
      Parse(FromHex(Header("8400", 0, 1, 0, 1) + Name({"Box", "local"}) +
                    "0001800100000078000401020304" + "c00c" +
                    "001c80010000007800100102030405060708090a0b0c0d0e0f10"));
  ASSERT_OK(message);
  ASSERT_EQ(message->records.size(), 2u);
  EXPECT_EQ(message->records[0].name, "box.local");
  EXPECT_EQ(message->records[1].name, "box.local");
  EXPECT_EQ(message->records[1].ip.ToString(),
            "102:304:506:708:90a:b0c:d0e:f10");
}

TEST(MessageTest, WhatIsMalformedIsRefused) {
  const std::string question = "00010001";
  for (const std::string& text : {
           std::string(""),
           std::string("000000000001"),
           Header("0000", 1, 0),                      // Nothing follows.
           Header("0000", 1, 0) + "0161",             // The name has no end.
           Header("0000", 1, 0) + "c00c" + question,  // Points at itself,
           Header("0000", 1, 0) + "c0ff" + question,  // beyond the end,
           Header("0000", 2, 0) + "c00e0000" + "c00c" + question,  // forward.
           Header("0000", 1, 0) + "4161" + question,  // Neither 00 nor 11.
           Header("8400", 0, 1) + "016100" + "0001000100000078" + "0005c0",
       }) {
    EXPECT_THAT(Parse(FromHex(text)),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
  EXPECT_THAT(Parse(std::vector<uint8_t>(kMaxMessageBytes + 1)),
              StatusIs(absl::StatusCode::kInvalidArgument));
  // A name of 254 characters; one less is read.
  const std::string label(63, 'a');
  const auto long_name = [&](size_t last) {
    return Parse(FromHex(Header("0000", 1, 0) +
                         Name({label, label, label, std::string(last, 'b')}) +
                         question));
  };
  EXPECT_THAT(long_name(62), StatusIs(absl::StatusCode::kInvalidArgument));
  ASSERT_OK(long_name(61));
  EXPECT_EQ(long_name(61)->questions[0].name.size(), kMaxNameBytes);
}

TEST(MessageTest, OpcodesAndCodesOtherThan0AreNotForUs) {
  for (const char* flags : {"0800", "7800", "8403", "840f"}) {
    EXPECT_THAT(Parse(FromHex(Header(flags, 0, 0))),
                StatusIs(absl::StatusCode::kUnimplemented))
        << flags;
  }
}

TEST(MessageTest, WhatIsNotAboutAddressesOfHostsIsLeftOut) {
  const auto message = Parse(FromHex(
      Header("8400", 4, 3) + Name({"a b", "local"}) +
      "00010001" +                         // No name of a host,
      Name({"a", "local"}) + "000c0001" +  // PTR,
      Name({"a", "local"}) + "00010003" +  // another class;
      Name({"a", "local"}) + "00ff8001" +  // ANY, QU.
      Name({"a", "local"}) + "0010000100000078000401020304" +   // TXT,
      Name({"a", "local"}) + "00010001000000780003010203" +     // a short A,
      Name({"a", "local"}) + "00010001ffffffff000401020304"));  // no TTL.
  ASSERT_OK(message);
  EXPECT_THAT(
      message->questions,
      testing::ElementsAre(Question{
          .name = "a.local", .type = QueryType::kAny, .unicast = true}));
  EXPECT_THAT(message->records, testing::ElementsAre(AddressRecord{
                                    .name = "a.local",
                                    .ip = IpAddress::V4(1, 2, 3, 4),
                                    .ttl = absl::ZeroDuration()}));
}

TEST(MessageTest, ManyEntriesAreReadInPart) {
  std::string text =
      Header("0000", 1000, 0) + Name({"a", "local"}) + "00010001";
  for (int i = 1; i < 1000; ++i) text += "c00c00010001";
  const auto message = Parse(FromHex(text));
  ASSERT_OK(message);
  EXPECT_EQ(message->questions.size(), kMaxEntries);
}

TEST(MessageTest, NamesHaveOneForm) {
  EXPECT_EQ(Normalize("ABC.Local."), "abc.local");
  EXPECT_EQ(Normalize("_x._tcp.local"), "_x._tcp.local");
  for (const std::string& text :
       {std::string(), std::string("."), std::string(".local"),
        std::string("a..local"), std::string("a b.local"),
        std::string("a\n.local"), std::string("\xc3\xa9.local"),
        std::string(64, 'a') + ".local",
        std::string(63, 'a') + "." + std::string(63, 'a') + "." +
            std::string(63, 'a') + "." + std::string(62, 'a')}) {
    EXPECT_EQ(Normalize(text), std::nullopt) << text;
  }
  EXPECT_TRUE(IsLocal("a.local"));
  EXPECT_FALSE(IsLocal("local"));
  EXPECT_FALSE(IsLocal("a.local.example"));
  EXPECT_FALSE(IsLocal("alocal"));
}

TEST(MessageTest, MadeNamesAreUuidsOfVersion4) {
  SeededRandom random(1);
  const std::string one = MakeName(random), other = MakeName(random);
  EXPECT_THAT(one, testing::MatchesRegex(
                       "[0-9a-f]+-[0-9a-f]+-4[0-9a-f]+-[89ab][0-9a-f]+-"
                       "[0-9a-f]+\\.local"));
  EXPECT_EQ(one.size(), 36u + 6u);
  EXPECT_NE(one, other);
  EXPECT_EQ(Normalize(one), one);
}

TEST(MessageTest, WritersFailOnWhatIsNoName) {
  std::array<uint8_t, 600> out;
  for (const std::string& name :
       {std::string(), std::string("a..local"), std::string(64, 'a')}) {
    Writer w(absl::MakeSpan(out));
    WriteQuery(w, {.name = name});
    EXPECT_FALSE(w.ok()) << name;
  }
  Writer w(absl::MakeSpan(out).first(20));
  WriteQuery(w, {.name = std::string(kName)});
  EXPECT_FALSE(w.ok());
}

}  // namespace
}  // namespace kyuu::mdns

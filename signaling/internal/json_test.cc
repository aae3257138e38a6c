#include "signaling/internal/json.h"

#include <string>
#include <vector>

#include "base/random.h"
#include "base/testing.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace kyuu::signaling::internal {
namespace {

// What nlohmann-json, the oracle, thinks of a text. It takes a NUL for the end
// of the text; RFC 8259 does not.
bool Accepted(const std::string& text) {
  return nlohmann::json::accept(text) && text.find('\0') == std::string::npos;
}

const std::vector<std::string>& Samples() {
  static const auto* const samples = new std::vector<std::string>{
      R"({"type":"join","name":"J\u00fcrgen \"x\"","meta":{"a":[1,-2.5e+3]}})",
      R"({"a":null,"b":true,"c":false,"d":"\ud83d\ude00","e":[]})",
      R"( { "x" : [ { } , [ 0 ] , "" , -0.0 , 1E5 ] } )",
      "{\"s\":\"\xc3\xbc\\b\\f\\n\\r\\t\\/\\\\\"}",
  };
  return *samples;
}

// What ends a string, or does not belong into one, at each place of the eight
// bytes that are looked at together, among others that look nearly like it.
TEST(JsonTest, AgreesWithAnotherParserWhereverInAStringAByteIs) {
  for (size_t size = 0; size < 20; ++size) {
    for (size_t at = 0; at < size; ++at) {
      for (int byte = 0; byte < 256; ++byte) {
        for (const char* filling : {"a", "!", "#", "[", "]", "\x20", "\x7f"}) {
          std::string text = "\"";
          for (size_t i = 0; i < size; ++i) text += filling;
          text[1 + at] = static_cast<char>(byte);
          text += '"';
          ASSERT_EQ(CheckJson(text, {}).ok(), Accepted(text))
              << at << " of " << size << ", " << byte << " in " << filling;
        }
      }
    }
  }
}

TEST(JsonTest, AgreesWithAnotherParserOnHandPickedTexts) {
  for (const char* text : {"{}",
                           "[]",
                           "null",
                           "true",
                           "false",
                           "0",
                           "-0",
                           "1.5",
                           "1e9",
                           "\"\"",
                           "",
                           " ",
                           "{",
                           "}",
                           "[",
                           "]",
                           "{]",
                           "[}",
                           "{\"a\"}",
                           "{\"a\":}",
                           "{\"a\":1,}",
                           "{,}",
                           "[1,]",
                           "[,1]",
                           "[1 2]",
                           "{\"a\":1 \"b\":2}",
                           "{a:1}",
                           "{'a':1}",
                           "tru",
                           "truex",
                           "nul",
                           "01",
                           "-",
                           "-a",
                           "1.",
                           ".5",
                           "1e",
                           "1e+",
                           "+1",
                           "0x1",
                           "NaN",
                           "\"\t\"",
                           "\"\n\"",
                           "\"\\x\"",
                           "\"\\u12\"",
                           "\"\\ud800\"",
                           "\"\\udc00\"",
                           "\"\\ud800\\u0041\"",
                           "\"\\ud83d\\ude00\"",
                           "\"\xff\"",
                           "\"\xc3\"",
                           "\"abc",
                           "1 1",
                           "{} {}",
                           "// x\n1",
                           "/**/1",
                           "\"\x7f\"",
                           "[[[[]]]]"}) {
    EXPECT_EQ(CheckJson(text, {}).ok(), Accepted(text)) << text;
  }
}

TEST(JsonTest, AgreesWithAnotherParserOnDamagedTexts) {
  for (const std::string& sample : Samples()) {
    ASSERT_TRUE(Accepted(sample)) << sample;
    for (size_t size = 0; size <= sample.size(); ++size) {
      const std::string cut = sample.substr(0, size);
      EXPECT_EQ(CheckJson(cut, {}).ok(), Accepted(cut)) << cut;
    }
    for (size_t bit = 0; bit < sample.size() * 8; ++bit) {
      std::string flipped = sample;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
      EXPECT_EQ(CheckJson(flipped, {}).ok(), Accepted(flipped)) << flipped;
    }
  }
  const uint64_t seed = 42;
  SCOPED_TRACE(seed);
  SeededRandom random(seed);
  const std::string alphabet = "{}[]\",:\\u0d8e1-. tfn";
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (uint64_t n = random.Below(12); n > 0; --n) {
      text.push_back(alphabet[random.Below(alphabet.size())]);
    }
    ASSERT_EQ(CheckJson(text, {}).ok(), Accepted(text)) << text;
  }
}

TEST(JsonTest, ValuesAreViewsIntoTheText) {
  const std::string text = R"( {"sdp":"v=0\r\n","n": [1, 2] ,"m":{"x" : 1}} )";
  const auto object = JsonObject::Parse(text, {});
  ASSERT_OK(object);
  EXPECT_EQ(object->Find("sdp")->raw, R"("v=0\r\n")");
  EXPECT_EQ(object->Find("sdp")->raw.data(), text.data() + 8);
  EXPECT_EQ(*JsonText(*object->Find("sdp")), "v=0\r\n");
  EXPECT_EQ(object->Find("m")->raw, R"({"x" : 1})");
  EXPECT_EQ(JsonElements(*object->Find("n"), 16).size(), 2u);
  EXPECT_FALSE(object->Find("none").has_value());
}

TEST(JsonTest, EscapesAreUndoneAsAnotherParserDoes) {
  for (const char* text :
       {R"("\"\\\/\b\f\n\r\t")", R"("\u0041\u00fc\u20ac\ud83d\ude00")",
        "\"\xf0\x9f\x98\x80\"", R"("\u0000")"}) {
    const auto value = CheckJson(text, {});
    ASSERT_OK(value) << text;
    EXPECT_EQ(*JsonText(*value),
              nlohmann::json::parse(text).get<std::string>());
  }
}

TEST(JsonTest, WrittenTextIsReadAgain) {
  std::string all;
  for (int c = 0; c < 128; ++c) all.push_back(static_cast<char>(c));
  all += "\xc3\xbc\xf0\x9f\x98\x80";
  std::string json;
  AppendJsonText(all, json);
  EXPECT_EQ(nlohmann::json::parse(json).get<std::string>(), all);
  EXPECT_EQ(*JsonText(*CheckJson(json, {})), all);
}

TEST(JsonTest, DepthAndMembersAreBounded) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_OK(CheckJson(nested(16), {}));
  EXPECT_THAT(CheckJson(nested(17), {}),
              StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(CheckJson(nested(1000000), {}),
              StatusIs(absl::StatusCode::kOutOfRange));
  const auto wide = [](int members) {
    std::string text = "{";
    for (int i = 0; i < members; ++i) {
      absl::StrAppend(&text, i > 0 ? "," : "", "\"", i, "\":0");
    }
    return text + "}";
  };
  EXPECT_OK(JsonObject::Parse(wide(64), {}));
  EXPECT_THAT(JsonObject::Parse(wide(65), {}),
              StatusIs(absl::StatusCode::kOutOfRange));
  const JsonLimits wider_inside = {.max_inner_members = 65};
  EXPECT_OK(CheckJson(absl::StrCat("[", wide(65), "]"), wider_inside));
  EXPECT_THAT(CheckJson(absl::StrCat("[", wide(66), "]"), wider_inside),
              StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(CheckJson(wide(65), wider_inside),
              StatusIs(absl::StatusCode::kOutOfRange));
  const std::string text = absl::StrCat("[1,", wide(65), "]");
  const auto array = CheckJson(text, wider_inside);
  ASSERT_OK(array.status());
  EXPECT_EQ(JsonElements(*array, 16).size(), 2u);
}

TEST(JsonTest, ANameThatOccursTwiceIsRefused) {
  EXPECT_FALSE(JsonObject::Parse(R"({"a":1,"a":2})", {}).ok());
  EXPECT_FALSE(JsonObject::Parse(R"({"a":1,"\u0061":2})", {}).ok());
}

TEST(JsonTest, IntegersAreWholeAndFit) {
  const auto integer = [](const char* text) {
    return JsonInteger(*CheckJson(text, {}));
  };
  EXPECT_EQ(integer("-12"), -12);
  EXPECT_EQ(integer("9223372036854775807"), 9223372036854775807);
  EXPECT_EQ(integer("9223372036854775808"), std::nullopt);
  EXPECT_EQ(integer("1.0"), std::nullopt);
  EXPECT_EQ(integer("1e2"), std::nullopt);
  EXPECT_EQ(integer("\"1\""), std::nullopt);
}

}  // namespace
}  // namespace kyuu::signaling::internal

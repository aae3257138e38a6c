#include "sdp/description.h"

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/testing.h"
#include "sdp/testing/testdata.h"

namespace kyuu::sdp {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::string_view kSession =
    "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";
constexpr absl::string_view kData =
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=sctp-port:5000\r\n";

std::string WithLine(absl::string_view line) {
  return absl::StrCat(kSession, kData, line, "\r\n");
}

// The letter of the RFCs, in one status.
absl::Status Strictly(absl::string_view text, const Limits& limits = {}) {
  const auto description = Description::Parse(text, limits);
  return description.ok() ? description->Strict() : description.status();
}

std::vector<absl::string_view> AllTestdata() {
  std::vector<absl::string_view> names(kBrowserOffers.begin(),
                                       kBrowserOffers.end());
  names.insert(names.end(), kJsepExamples.begin(), kJsepExamples.end());
  return names;
}

TEST(DescriptionTest, RoundTripIsByteExact) {
  for (const absl::string_view name : AllTestdata()) {
    const std::string text = ReadTestdata(name);
    const auto description = Description::Parse(text);
    ASSERT_OK(description) << name;
    EXPECT_EQ(description->ToString(), text) << name;
    // The lines alone give the same bytes: nothing hides in the fast path.
    std::string rebuilt;
    for (size_t i = 0; i < description->line_count(); ++i) {
      const Line line = description->line(i);
      absl::StrAppend(&rebuilt, absl::string_view(&line.type, 1), "=",
                      line.value, "\r\n");
    }
    EXPECT_EQ(rebuilt, text) << name;
  }
}

// More lines than the parser keeps beside itself, which are counted sixteen
// bytes at a time: ends of lines at every place of a block.
TEST(DescriptionTest, LinesAndSectionsAreFoundWhereverTheyStand) {
  for (const absl::string_view end : {"\r\n", "\n"}) {
    std::string text = absl::StrReplaceAll(kSession, {{"\r\n", end}});
    size_t lines = 4;
    for (size_t size = 1; size < 400; ++size) {
      absl::StrAppend(&text, "m=audio 9 RTP/AVP 0", end,
                      "a=", std::string(size % 50 + 1, 'x'), end);
      lines += 2;
    }
    const auto description = Description::Parse(text);
    ASSERT_OK(description);
    EXPECT_EQ(description->line_count(), lines);
    ASSERT_EQ(description->media_count(), 399u);
    for (size_t i = 0; i < 399; ++i) {
      const MediaSection section = description->media(i);
      ASSERT_EQ(section.line_count(), 2u);
      EXPECT_EQ(section.line(1).attribute_name.size(), (i + 1) % 50 + 1);
    }
  }
}

TEST(DescriptionTest, ReadsChromiumsOffer) {
  const auto offer =
      Description::Parse(ReadTestdata("chromium-156-offer-audio-video-data"));
  ASSERT_OK(offer);
  EXPECT_EQ(offer->origin().session_id, 5004748406021572429u);
  EXPECT_EQ(offer->origin().session_version, 2u);
  EXPECT_EQ(offer->origin().address, "127.0.0.1");
  ASSERT_EQ(offer->BundleGroups().size(), 1u);
  EXPECT_THAT(offer->BundleGroups()[0], ElementsAre("0", "1", "2"));
  EXPECT_TRUE(offer->session().Has(AttributeType::kExtmapAllowMixed));
  ASSERT_EQ(offer->media_count(), 3u);

  const MediaSection audio = offer->media(0);
  EXPECT_EQ(audio.media(), "audio");
  EXPECT_EQ(audio.port(), 60419);
  EXPECT_EQ(audio.protocol(), "UDP/TLS/RTP/SAVPF");
  EXPECT_EQ(audio.formats(), "111 63 9 0 8 13 110 126");
  EXPECT_EQ(audio.direction(), Direction::kSendrecv);
  EXPECT_TRUE(audio.Has(AttributeType::kRtcpMux));
  EXPECT_FALSE(audio.is_data_channel());

  const MediaSection data = offer->media(2);
  EXPECT_TRUE(data.is_data_channel());
  EXPECT_FALSE(data.is_legacy_data_channel());
  EXPECT_FALSE(data.rejected());
  EXPECT_EQ(data.port(), 33088);
  EXPECT_EQ(data.port_count(), 1u);
  EXPECT_EQ(data.mid(), "2");
  EXPECT_EQ(data.ice_ufrag(), "QXyC");
  EXPECT_EQ(data.ice_pwd(), "WqCE+ufgh0mZnkdzbetxoFrK");
  EXPECT_TRUE(data.HasIceOption("trickle"));
  EXPECT_FALSE(data.HasIceOption("ice2"));
  EXPECT_EQ(data.setup(), sdp::Setup::kActpass);
  EXPECT_EQ(data.sctp_port(), 5000);
  EXPECT_EQ(data.max_message_size(), 262144u);
  EXPECT_EQ(data.Values(AttributeType::kCandidate).size(), 4u);
  EXPECT_EQ(data.tls_id(), std::nullopt);
}

TEST(DescriptionTest, ReadsFirefoxsOffer) {
  const auto offer =
      Description::Parse(ReadTestdata("firefox-153-offer-data-plain"));
  ASSERT_OK(offer);
  EXPECT_EQ(offer->origin().username, "mozilla...THIS_IS_SDPARTA-99.0");
  const MediaSection data = offer->media(0);
  EXPECT_FALSE(data.Has(AttributeType::kFingerprint));
  EXPECT_TRUE(absl::StartsWith(
      offer->Inherited(0, AttributeType::kFingerprint).value_or(""),
      "sha-256 8F:C6"));
  EXPECT_TRUE(offer->session().HasIceOption("trickle"));
  EXPECT_TRUE(data.Has(AttributeType::kEndOfCandidates));
  EXPECT_EQ(data.max_message_size(), 1073741823u);
}

TEST(DescriptionTest, BundleOnlyIsNotRejected) {
  const auto offer = Description::Parse(ReadTestdata("rfc9429-offer-B1"));
  ASSERT_OK(offer);
  const MediaSection data = offer->media(1);
  EXPECT_EQ(data.port(), 0);
  EXPECT_TRUE(data.bundle_only());
  EXPECT_FALSE(data.rejected());
}

TEST(DescriptionTest, ReadsTheFormFromBeforeTheRfc) {
  const auto offer = Description::Parse(
      absl::StrCat(kSession, "m=application 9 DTLS/SCTP 5001\r\n",
                   "a=sctpmap:5001 webrtc-datachannel 1024\r\n"));
  ASSERT_OK(offer);
  const MediaSection data = offer->media(0);
  EXPECT_TRUE(data.is_data_channel());
  EXPECT_TRUE(data.is_legacy_data_channel());
  EXPECT_EQ(data.sctp_port(), 5001);
  EXPECT_EQ(data.sctpmap_streams(), 1024);
}

TEST(DescriptionTest, UnknownLinesKeepTheirPlaces) {
  const std::string text =
      absl::StrCat(kSession, "y=0100000001\r\na=x-new:one\r\na=x-flag\r\n",
                   kData, "a=mid:0\r\na=x-new:two words\r\nf=v/2\r\n");
  const auto description = Description::Parse(text);
  ASSERT_OK(description);
  EXPECT_EQ(description->ToString(), text);
  EXPECT_EQ(description->line(4).type, 'y');
  EXPECT_EQ(description->line(5).attribute, AttributeType::kUnknown);
  EXPECT_EQ(description->line(5).attribute_name, "x-new");
  EXPECT_EQ(description->line(5).attribute_value, "one");
  EXPECT_EQ(description->line(6).attribute_name, "x-flag");
  EXPECT_EQ(description->line(6).attribute_value, "");
  EXPECT_EQ(description->media(0).line(3).attribute_value, "two words");
  EXPECT_EQ(description->media(0).line(3).number, 11u);
}

TEST(DescriptionTest, LineFeedsAloneAreReadAndWrittenAsCrlf) {
  const std::string text = ReadTestdata("firefox-153-offer-data-plain");
  const std::string bare = absl::StrReplaceAll(text, {{"\r\n", "\n"}});
  const std::string cut = text.substr(0, text.size() - 2);
  const std::string mixed = absl::StrCat(cut, "\n");
  const std::string blank = absl::StrCat(text, "\r\n\n");
  for (const std::string& variant : {bare, cut, mixed, blank}) {
    const auto description = Description::Parse(variant);
    ASSERT_OK(description);
    EXPECT_EQ(description->ToString(), text);
  }
}

TEST(DescriptionTest, MovedAndCopiedDescriptionsKeepTheirViewsRight) {
  auto parsed =
      Description::Parse(ReadTestdata("chromium-156-offer-data-mdns"));
  ASSERT_OK(parsed);
  const Description copy = parsed->Copy();
  const Description moved = *std::move(parsed);
  EXPECT_EQ(copy.media(0).ice_ufrag(), "c/Tc");
  EXPECT_EQ(moved.media(0).ice_ufrag(), "c/Tc");
}

struct WrongRow {
  const char* name;
  std::string text;
  size_t line;
  size_t column;
  const char* rule;
};

TEST(DescriptionTest, ErrorsSayWhereAndByWhichRule) {
  const std::string session(kSession);
  const WrongRow rows[] = {
      {"empty", "", 1, 1, "RFC 8866 section 9"},
      {"version one", "v=1\r\n", 1, 3, "RFC 8866 section 5.1"},
      {"origin before version", "o=- 1 1 IN IP4 0.0.0.0\r\nv=0\r\n", 1, 1,
       "RFC 8866 section 9"},
      {"no timing", "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\n", 4, 1,
       "RFC 8866 section 9"},
      {"no timing before media",
       absl::StrCat("v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\n", kData), 4, 1,
       "RFC 8866 section 9"},
      {"short origin", "v=0\r\no=- 1 2 IN IP4\r\ns=-\r\nt=0 0\r\n", 2, 15,
       "RFC 8866 section 5.2"},
      {"session id in letters",
       "v=0\r\no=- x 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", 2, 5,
       "RFC 8866 section 5.2"},
      {"no equals sign", session + "a:b\r\n", 5, 1, "RFC 8866 section 5"},
      {"blank line inside", session + "\r\na=b\r\n", 5, 1,
       "RFC 8866 section 5"},
      {"second connection", session + "c=IN IP4 0.0.0.0\r\n", 5, 1,
       "RFC 8866 section 9"},
      {"NUL", session + std::string("a=x\0y\r\n", 7), 5, 4,
       "RFC 8866 section 9"},
      {"stray CR", session + "a=x\ry\r\n", 5, 4, "RFC 8866 section 9"},
      {"bandwidth without number", session + "m=audio 9 RTP 0\r\nb=AS:\r\n", 6,
       3, "RFC 8866 section 5.8"},
      {"media without format", session + "m=audio 9 RTP\r\n", 5, 14,
       "RFC 8866 section 5.14"},
      {"version inside media", session + "m=audio 9 RTP 0\r\nv=0\r\n", 6, 1,
       "RFC 8866 section 9"},
      {"short ufrag", WithLine("a=ice-ufrag:abc"), 7, 13,
       "RFC 8839 section 5.4"},
      {"blank in the password", WithLine("a=ice-pwd:0123456789 123456789012"),
       7, 21, "RFC 8839 section 5.4"},
      {"unknown setup", WithLine("a=setup:both"), 7, 9, "RFC 4145 section 4"},
      {"mid with a blank", WithLine("a=mid:a b"), 7, 7, "RFC 5888 section 4"},
      {"odd digest", WithLine("a=fingerprint:sha-256 AA:B"), 7, 23,
       "RFC 8122 section 5"},
      {"digest of letters", WithLine("a=fingerprint:sha-256 AA:BG"), 7, 27,
       "RFC 8122 section 5"},
      {"candidate cut short", WithLine("a=candidate:1 1 udp 1 1.2.3.4"), 7, 13,
       "RFC 8839 section 5.1"},
      {"candidate port",
       WithLine("a=candidate:1 1 udp 1 1.2.3.4 65536 typ host"), 7, 13,
       "RFC 8839 section 5.1"},
      {"flag with a value", WithLine("a=bundle-only:1"), 7, 15,
       "RFC 8866 section 5.13"},
      {"value missing", WithLine("a=mid"), 7, 6, "RFC 8866 section 5.13"},
      {"name missing", WithLine("a=:x"), 7, 3, "RFC 8866 section 5.13"},
  };
  for (const WrongRow& row : rows) {
    const absl::Status status = Strictly(row.text);
    ASSERT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument))
        << row.name;
    const auto position = PositionOf(status);
    ASSERT_TRUE(position) << row.name;
    EXPECT_EQ(position->line, row.line) << row.name;
    EXPECT_EQ(position->column, row.column) << row.name;
    EXPECT_EQ(position->rule, row.rule) << row.name;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr(absl::StrCat("SDP line ", row.line, " column ")))
        << row.name;
  }
  EXPECT_EQ(PositionOf(absl::OkStatus()), std::nullopt);
}

// S14: integer edges in every numeric field, with the greatest value allowed.
TEST(DescriptionTest, NumbersAreCheckedAtTheirEdges) {
  constexpr uint64_t k64 = std::numeric_limits<uint64_t>::max();
  struct Field {
    const char* name;
    std::string prefix;
    std::string suffix;
    uint64_t min;
    uint64_t max;
  };
  const std::string media = absl::StrCat(kSession, "m=audio ");
  const std::string data = absl::StrCat(kSession, kData);
  const Field fields[] = {
      {"session id", "v=0\r\no=- ", " 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", 0,
       k64},
      {"session version", "v=0\r\no=- 1 ",
       " IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", 0, k64},
      {"start time", "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=", " 0\r\n", 0,
       k64},
      {"port", media, " RTP/AVP 0\r\n", 0, 65535},
      {"port count", media + "9/", " RTP/AVP 0\r\n", 1, 65535},
      {"bandwidth", data + "b=AS:", "\r\n", 0, k64},
      {"sctp-port", data + "a=sctp-port:", "\r\n", 0, 65535},
      {"max-message-size", data + "a=max-message-size:", "\r\n", 0, k64},
      {"sctpmap port", data + "a=sctpmap:", " webrtc-datachannel 1\r\n", 0,
       65535},
      {"sctpmap streams", data + "a=sctpmap:5000 webrtc-datachannel ", "\r\n",
       0, 65535},
      {"ice-pacing", data + "a=ice-pacing:", "\r\n", 0, 0xffffffff},
  };
  for (const Field& field : fields) {
    for (const uint64_t value :
         {uint64_t{0}, uint64_t{1}, uint64_t{256}, uint64_t{257},
          uint64_t{65535}, uint64_t{65536}, uint64_t{1} << 31,
          (uint64_t{1} << 31) - 1, (uint64_t{1} << 32) - 1, uint64_t{1} << 32,
          (uint64_t{1} << 63) - 1, uint64_t{1} << 63, k64}) {
      const absl::Status status =
          Strictly(absl::StrCat(field.prefix, value, field.suffix));
      EXPECT_EQ(status.ok(), value >= field.min && value <= field.max)
          << field.name << " = " << value << ": " << status;
    }
    for (const char* value : {"18446744073709551616", "36893488147419103232",
                              "-1", "+1", "0x1", "1 ", "", " ", "1e3", "1.0"}) {
      EXPECT_FALSE(
          Strictly(absl::StrCat(field.prefix, value, field.suffix)).ok())
          << field.name << " = '" << value << "'";
    }
  }
}

TEST(DescriptionTest, S14KnownCrashersOfOthersAreHarmless) {
  // pjproject#2092, pjproject#2093, pion/sdp#13.
  EXPECT_FALSE(Description::Parse(WithLine(std::string("a=fmtp\0", 7))).ok());
  EXPECT_FALSE(
      Description::Parse(absl::StrCat(kSession, "m=.. 4294967296\r\n")).ok());
  EXPECT_FALSE(Description::Parse("v=0\r\no=\r\ns=\r\n").ok());
  EXPECT_FALSE(Description::Parse("m").ok());
  EXPECT_FALSE(Description::Parse("=").ok());
  EXPECT_FALSE(Description::Parse("\r").ok());
  EXPECT_FALSE(Description::Parse("\r\n\r\n").ok());
}

// S15.
TEST(DescriptionTest, S15LimitsAreReported) {
  const auto exhausted = StatusIs(absl::StatusCode::kResourceExhausted);
  const Limits limits;
  EXPECT_THAT(Description::Parse(std::string(limits.bytes_max + 1, 'a')),
              exhausted);
  EXPECT_THAT(Description::Parse(WithLine("a=" + std::string(99, 'x')),
                                 {.line_bytes_max = 100}),
              exhausted);
  EXPECT_OK(Description::Parse(WithLine("a=" + std::string(98, 'x')),
                               {.line_bytes_max = 100}));
  EXPECT_OK(Description::Parse(WithLine("a=" + std::string(100'000, 'x'))));

  std::string media(kSession);
  for (size_t i = 0; i < limits.media_sections_max; ++i) {
    media += "m=audio 9 RTP/AVP 0\r\n";
  }
  EXPECT_OK(Description::Parse(media));
  EXPECT_THAT(Description::Parse(media + "m=audio 9 RTP/AVP 0\r\n"), exhausted);

  std::string lines(kSession);
  for (size_t i = 4; i < limits.lines_max; ++i) lines += "a=x\r\n";
  EXPECT_OK(Description::Parse(lines));
  EXPECT_THAT(Description::Parse(lines + "a=x\r\n"), exhausted);

  EXPECT_THAT(Description::Parse(std::string(kSession), {.lines_max = 3}),
              exhausted);
}

// Each line is odd, none of them is needed: they are kept where they stand, and
// found.
TEST(DescriptionTest, OddLinesThatNobodyNeedsAreFindings) {
  struct OddRow {
    const char* line;
    Finding::Code code;
    size_t column;
  };
  using Code = Finding::Code;
  const OddRow rows[] = {
      {"b=AS:-1", Code::kLine, 3},
      {"b=AS:99999999999999999999", Code::kLine, 3},
      {"c=IN IP4", Code::kLine, 3},
      {"t=0 0", Code::kPlace, 1},
      {"e=a@b.example", Code::kPlace, 1},
      {"a=:x", Code::kAttributeName, 3},
      {"a=ice-pacing:fast", Code::kAttributeValue, 14},
      {"a=ice-options:", Code::kAttributeValue, 15},
      {"a=max-message-size:99999999999999999999", Code::kAttributeValue, 20},
      {"a=tls-id:short", Code::kAttributeValue, 10},
      {"a=rtcp-mux:1", Code::kAttributeValue, 12},
      {"a=setup", Code::kAttributeValue, 8},
      {"a=fingerprint:sha-256 A", Code::kAttributeValue, 23},
  };
  for (const OddRow& row : rows) {
    const std::string text = WithLine(row.line);
    const auto description = Description::Parse(text);
    ASSERT_OK(description) << row.line;
    EXPECT_EQ(description->ToString(), text);
    const Findings findings = description->Judge();
    ASSERT_EQ(findings.kept.size(), 1u) << row.line;
    const Finding& finding = findings.kept[0];
    EXPECT_EQ(finding.code, row.code) << row.line;
    EXPECT_EQ(finding.line, 7u) << row.line;
    EXPECT_EQ(finding.column, row.column) << row.line;
    EXPECT_THAT(std::string(finding.rule), HasSubstr("RFC ")) << row.line;
    EXPECT_FALSE(FindingCodeName(finding.code).empty());
    EXPECT_FALSE(description->Strict().ok());
  }
}

TEST(DescriptionTest, ARejectedSectionIsNotJudged) {
  for (const char* line : {"a=ice-ufrag:x", "a=ice-pwd:short", "a=mid:a b",
                           "a=sctpmap:5000 web/rtc 1"}) {
    EXPECT_FALSE(Description::Parse(WithLine(line)).ok()) << line;
    const auto rejected = Description::Parse(absl::StrReplaceAll(
        WithLine(line), {{"application 9", "application 0"}}));
    ASSERT_OK(rejected) << line;
    EXPECT_EQ(rejected->Judge().kept.size(), 1u) << line;
  }
}

TEST(DescriptionTest, FindingsAreBounded) {
  std::string text = WithLine("b=x");
  for (int i = 0; i < 9; ++i) text += "b=x\r\n";
  const auto description = Description::Parse(text);
  ASSERT_OK(description);
  const Findings findings = description->Judge({.findings_max = 3});
  EXPECT_EQ(findings.kept.size(), 3u);
  EXPECT_EQ(findings.dropped, 7u);
}

TEST(DescriptionTest, EveryTruncationParsesOrFailsAndNeverMore) {
  const std::string text = ReadTestdata("chromium-156-offer-data-mdns");
  for (size_t size = 0; size < text.size(); ++size) {
    const auto description = Description::Parse(text.substr(0, size));
    if (!description.ok()) continue;
    const std::string written = description->ToString();
    const auto again = Description::Parse(written);
    ASSERT_OK(again) << size;
    EXPECT_EQ(again->ToString(), written) << size;
  }
}

TEST(DescriptionTest, EveryFlippedBitParsesOrFailsAndNeverMore) {
  const std::string text = ReadTestdata("firefox-153-offer-data-plain");
  for (size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string flipped = text;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    const auto description = Description::Parse(flipped);
    if (!description.ok()) continue;
    const std::string written = description->ToString();
    const auto again = Description::Parse(written);
    ASSERT_OK(again) << bit;
    EXPECT_EQ(again->ToString(), written) << bit;
  }
}

}  // namespace
}  // namespace kyuu::sdp

#include "sdp/rtp.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing.h"

namespace kyuu::sdp {
namespace {

using ::testing::ElementsAre;

// Where a value is wrong; npos for one that is right.
template <typename T>
size_t OffsetOf(absl::string_view value) {
  const auto error = T::Parse(value).error();
  return error ? error->offset : absl::string_view::npos;
}
constexpr size_t kRight = absl::string_view::npos;

TEST(RtpTest, Rtpmap) {
  const auto opus = Rtpmap::Parse("111 opus/48000/2");
  ASSERT_TRUE(opus.ok());
  EXPECT_EQ(opus->payload_type, 111);
  EXPECT_EQ(opus->encoding, "opus");
  EXPECT_EQ(opus->clock_rate, 48000u);
  EXPECT_EQ(opus->channels(), 2u);
  EXPECT_EQ(Rtpmap::Parse("0 PCMU/8000")->channels(), 1u);
  EXPECT_EQ(OffsetOf<Rtpmap>("127 telephone-event/4294967295"), kRight);
  EXPECT_EQ(OffsetOf<Rtpmap>("128 opus/48000"), 0u);
  EXPECT_EQ(OffsetOf<Rtpmap>("x opus/48000"), 0u);
  EXPECT_EQ(OffsetOf<Rtpmap>(""), 0u);
  EXPECT_EQ(OffsetOf<Rtpmap>("111"), 3u);
  EXPECT_EQ(OffsetOf<Rtpmap>("111 opus"), 8u);
  EXPECT_EQ(OffsetOf<Rtpmap>("111 opus/"), 9u);
  EXPECT_EQ(OffsetOf<Rtpmap>("111 opus/0"), 9u);
  EXPECT_EQ(OffsetOf<Rtpmap>("111 opus/4294967296"), 9u);
  EXPECT_EQ(OffsetOf<Rtpmap>("111 opus/48000/"), 15u);
  EXPECT_EQ(OffsetOf<Rtpmap>("111 /48000"), 4u);
}

TEST(RtpTest, FmtpHasParametersOfAnyForm) {
  const auto h264 = Fmtp::Parse(
      "102 level-asymmetry-allowed=1; packetization-mode=1;"
      "Profile-Level-Id=42001f");
  ASSERT_TRUE(h264.ok());
  EXPECT_EQ(h264->format, "102");
  EXPECT_EQ(h264->parameters.Get("packetization-mode"), "1");
  EXPECT_EQ(h264->parameters.Get("profile-level-id"), "42001f");
  EXPECT_EQ(h264->parameters.Get("profile"), std::nullopt);
  std::vector<std::string> names;
  for (const Parameters::Parameter parameter : h264->parameters) {
    names.emplace_back(parameter.name);
  }
  EXPECT_THAT(names, ElementsAre("level-asymmetry-allowed",
                                 "packetization-mode", "Profile-Level-Id"));
  const auto red = Fmtp::Parse("63 111/111");
  ASSERT_TRUE(red.ok());
  EXPECT_EQ((*red->parameters.begin()).name, "111/111");
  EXPECT_EQ((*red->parameters.begin()).value, "");
  EXPECT_EQ(Fmtp::Parse("96 a==b;;")->parameters.Get("a"), "=b");
  EXPECT_EQ(OffsetOf<Fmtp>("96"), 2u);
  EXPECT_EQ(OffsetOf<Fmtp>("96 "), 3u);
  EXPECT_EQ(OffsetOf<Fmtp>(" x"), 0u);
}

TEST(RtpTest, RtcpFeedback) {
  const auto nack = RtcpFeedback::Parse("96 nack pli");
  ASSERT_TRUE(nack.ok());
  EXPECT_EQ(nack->payload_type, 96);
  EXPECT_EQ(nack->kind, "nack");
  EXPECT_EQ(nack->parameters, "pli");
  const auto all = RtcpFeedback::Parse("* transport-cc");
  ASSERT_TRUE(all.ok());
  EXPECT_EQ(all->payload_type, std::nullopt);
  EXPECT_EQ(RtcpFeedback::Parse("96 trr-int 100")->parameters, "100");
  EXPECT_EQ(OffsetOf<RtcpFeedback>("128 nack"), 0u);
  EXPECT_EQ(OffsetOf<RtcpFeedback>("96"), 2u);
  EXPECT_EQ(OffsetOf<RtcpFeedback>("96  nack"), 3u);
}

TEST(RtpTest, Extmap) {
  const auto mid =
      Extmap::Parse("4/sendonly urn:ietf:params:rtp-hdrext:sdes:mid a b");
  ASSERT_TRUE(mid.ok());
  EXPECT_EQ(mid->id, 4);
  EXPECT_EQ(mid->direction, Direction::kSendonly);
  EXPECT_EQ(mid->uri, "urn:ietf:params:rtp-hdrext:sdes:mid");
  EXPECT_EQ(mid->attributes, "a b");
  EXPECT_EQ(Extmap::Parse("256 urn:x")->direction, std::nullopt);
  for (const int id : {1, 14, 15, 256, 4096, 4351}) {
    EXPECT_EQ(OffsetOf<Extmap>(absl::StrCat(id, " urn:x")), kRight) << id;
  }
  for (const int id : {0, 257, 4095, 4352, 99999, 100000}) {
    EXPECT_EQ(OffsetOf<Extmap>(absl::StrCat(id, " urn:x")), 0u) << id;
  }
  EXPECT_EQ(OffsetOf<Extmap>("1/both urn:x"), 2u);
  EXPECT_EQ(OffsetOf<Extmap>("1"), 1u);
}

TEST(RtpTest, Sources) {
  const auto cname = Ssrc::Parse("4294967295 cname:a:b c");
  ASSERT_TRUE(cname.ok());
  EXPECT_EQ(cname->ssrc, 4294967295u);
  EXPECT_EQ(cname->attribute, "cname");
  EXPECT_EQ(cname->value, "a:b c");
  EXPECT_EQ(Ssrc::Parse("1 flag")->value, "");
  EXPECT_EQ(OffsetOf<Ssrc>("4294967296 cname:x"), 0u);
  EXPECT_EQ(OffsetOf<Ssrc>("1"), 1u);
  EXPECT_EQ(OffsetOf<Ssrc>("1 :x"), 2u);

  const auto fid = SsrcGroup::Parse("FID 1 4294967295");
  ASSERT_TRUE(fid.ok());
  EXPECT_EQ(fid->semantics, "FID");
  EXPECT_THAT(
      std::vector<absl::string_view>(fid->ssrcs.begin(), fid->ssrcs.end()),
      ElementsAre("1", "4294967295"));
  EXPECT_EQ(OffsetOf<SsrcGroup>("FID"), kRight);
  EXPECT_EQ(OffsetOf<SsrcGroup>("FID 1 x 2"), 6u);
  EXPECT_EQ(OffsetOf<SsrcGroup>(""), 0u);
}

TEST(RtpTest, Msid) {
  const auto msid = Msid::Parse("stream {track}");
  ASSERT_TRUE(msid.ok());
  EXPECT_EQ(msid->stream, "stream");
  EXPECT_EQ(msid->track, "{track}");
  EXPECT_EQ(Msid::Parse("-")->track, "");
  EXPECT_EQ(OffsetOf<Msid>(std::string(64, 'a')), kRight);
  EXPECT_EQ(OffsetOf<Msid>(std::string(65, 'a')), 0u);
  EXPECT_EQ(OffsetOf<Msid>("a b c"), 2u);
  EXPECT_EQ(OffsetOf<Msid>(""), 0u);

  const auto semantic = MsidSemantic::Parse(" WMS *");
  ASSERT_TRUE(semantic.ok());
  EXPECT_EQ(semantic->semantics, "WMS");
  EXPECT_TRUE(semantic->streams.Contains("*"));
  EXPECT_TRUE(MsidSemantic::Parse("WMS")->streams.empty());
  EXPECT_EQ(OffsetOf<MsidSemantic>("  WMS"), 1u);
}

TEST(RtpTest, Rtcp) {
  const auto rtcp = Rtcp::Parse("9 IN IP6 ::");
  ASSERT_TRUE(rtcp.ok());
  EXPECT_EQ(rtcp->port, 9);
  EXPECT_EQ(rtcp->address_type, "IP6");
  EXPECT_EQ(rtcp->address, "::");
  EXPECT_EQ(Rtcp::Parse("65535")->address, "");
  EXPECT_EQ(OffsetOf<Rtcp>("65536"), 0u);
  EXPECT_EQ(OffsetOf<Rtcp>("9 IN IP4"), 8u);
  EXPECT_EQ(OffsetOf<Rtcp>("9 IN IP4 0.0.0.0 x"), 9u);
}

TEST(RtpTest, Numbers) {
  EXPECT_EQ(Ptime::Parse("20")->milliseconds, 20);
  EXPECT_EQ(Maxptime::Parse("2.5")->milliseconds, 2.5);
  EXPECT_EQ(Framerate::Parse("29.97")->frames_per_second, 29.97);
  EXPECT_EQ(OffsetOf<Ptime>("1000000000"), kRight);
  for (const char* wrong : {"", "0", "0.0", "-1", "1.", ".5", "1e3", "nan",
                            "1000000001", "20 ", "18446744073709551616"}) {
    EXPECT_EQ(OffsetOf<Ptime>(wrong), 0u) << wrong;
  }
}

TEST(RtpTest, LinesOfOtherTypes) {
  const auto tias = Bandwidth::Parse("TIAS:18446744073709551615");
  ASSERT_TRUE(tias.ok());
  EXPECT_EQ(tias->type, "TIAS");
  EXPECT_EQ(tias->value, 18446744073709551615u);
  EXPECT_EQ(OffsetOf<Bandwidth>("AS"), 0u);
  EXPECT_EQ(OffsetOf<Bandwidth>("AS:-1"), 0u);

  const auto connection = Connection::Parse("IN IP4 192.0.2.1/127");
  ASSERT_TRUE(connection.ok());
  EXPECT_EQ(connection->address, "192.0.2.1/127");
  EXPECT_EQ(OffsetOf<Connection>("IN IP4"), 0u);
  EXPECT_EQ(OffsetOf<Connection>("IN  192.0.2.1"), 0u);
  EXPECT_EQ(OffsetOf<Connection>("IN IP4 a b"), 0u);
}

TEST(RtpTest, DirectionsByName) {
  for (const Direction direction :
       {Direction::kSendrecv, Direction::kSendonly, Direction::kRecvonly,
        Direction::kInactive}) {
    EXPECT_EQ(ParseDirection(DirectionName(direction)), direction);
  }
  EXPECT_EQ(ParseDirection("Sendrecv"), std::nullopt);
}

}  // namespace
}  // namespace kyuu::sdp

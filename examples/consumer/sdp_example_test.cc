// A program that takes nothing of kyuu but //sdp: reads an offer and gives it
// back byte for byte.

#include <string>

#include "gtest/gtest.h"
#include "sdp/description.h"

TEST(SdpExample, ReadsAnOfferWithoutLosingALine) {
  const std::string text =
      "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
      "a=group:BUNDLE 0\r\na=x-unknown:kept\r\n"
      "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"
      "c=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\n"
      "a=ice-pwd:0123456789012345678901\r\na=setup:actpass\r\n"
      "a=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n";
  const auto offer = kyuu::sdp::Description::Parse(text);
  ASSERT_TRUE(offer.ok()) << offer.status();
  ASSERT_EQ(offer->media_count(), 1u);
  EXPECT_EQ(offer->media(0).ice_ufrag(), "abcd");
  EXPECT_EQ(offer->media(0).max_message_size(), 262144u);
  EXPECT_EQ(offer->ToString(), text);
}

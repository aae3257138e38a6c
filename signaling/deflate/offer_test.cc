#include "signaling/deflate/offer.h"

#include <string>

#include "base/testing.h"
#include "gtest/gtest.h"

namespace kyuu::signaling {
namespace {

constexpr char kPlain[] =
    "permessage-deflate; server_no_context_takeover; "
    "client_no_context_takeover";

TEST(DeflateOfferTest, WhatIsGranted) {
  const std::string ours = kPlain;
  const struct {
    const char* name;
    const char* offers;
    std::string answer;  // Empty: none.
  } kRows[] = {
      {"nothing", "", ""},
      {"the plain offer", "permessage-deflate", ours},
      {"Chromium's", "permessage-deflate; client_max_window_bits", ours},
      {"all four",
       "permessage-deflate; server_no_context_takeover; "
       "client_no_context_takeover; server_max_window_bits=10; "
       "client_max_window_bits=12",
       ours + "; server_max_window_bits=10"},
      {"without blanks",
       "permessage-deflate;server_max_window_bits=8;client_max_window_bits",
       ours + "; server_max_window_bits=8"},
      {"with many", " permessage-deflate\t ; server_max_window_bits\t= 15 ",
       ours + "; server_max_window_bits=15"},
      {"quoted", "permessage-deflate; server_max_window_bits=\"12\"",
       ours + "; server_max_window_bits=12"},
      {"quoted with a backslash",
       "permessage-deflate; server_max_window_bits=\"\\1\\2\"",
       ours + "; server_max_window_bits=12"},
      {"others only", "x-webkit-deflate-frame, permessage-bzip2; level=9", ""},
      {"among others",
       "foo; bar=\"b\", permessage-deflate; client_max_window_bits, baz", ours},
      {"empty elements", ",, permessage-deflate ,,", ours},
      {"the first that can be granted",
       "permessage-deflate; server_max_window_bits=7, "
       "permessage-deflate; server_max_window_bits=9, permessage-deflate",
       ours + "; server_max_window_bits=9"},
      {"case matters", "Permessage-Deflate", ""},
      // RFC 7692 section 7.1: each of these is declined.
      {"an unknown parameter", "permessage-deflate; foo", ""},
      {"twice",
       "permessage-deflate; client_max_window_bits; "
       "client_max_window_bits=9",
       ""},
      {"a value where none may be",
       "permessage-deflate; server_no_context_takeover=1", ""},
      {"the same of the client",
       "permessage-deflate; client_no_context_takeover=true", ""},
      {"no value where one must be",
       "permessage-deflate; server_max_window_bits", ""},
      {"7", "permessage-deflate; server_max_window_bits=7", ""},
      {"16", "permessage-deflate; server_max_window_bits=16", ""},
      {"a zero in front", "permessage-deflate; server_max_window_bits=09", ""},
      {"a sign", "permessage-deflate; server_max_window_bits=+9", ""},
      {"the client's 16", "permessage-deflate; client_max_window_bits=16", ""},
      {"the client's 08", "permessage-deflate; client_max_window_bits=08", ""},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.name);
    const auto grant = AnswerDeflateOffers(row.offers);
    ASSERT_OK(grant.status());
    EXPECT_EQ(grant->has_value() ? (*grant)->ToString() : "", row.answer);
  }
}

TEST(DeflateOfferTest, WhatIsNoListOfExtensions) {
  for (const char* offers :
       {";", "permessage-deflate;", "permessage-deflate; ;",
        "permessage-deflate; =9",
        "permessage-deflate; a=", "permessage-deflate; a=\"\"",
        "permessage-deflate; a=\"b", "permessage-deflate; a=\"b c\"",
        "permessage-deflate; a=\"b\\", "permessage-deflate foo",
        "permessage-deflate; a=b c", "permessage-deflate, foo; a=\"b\"c",
        "permessage-deflate, \x01", "a/b", "permessage-deflate, (foo)"}) {
    EXPECT_THAT(AnswerDeflateOffers(offers).status(),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << offers;
  }
}

}  // namespace
}  // namespace kyuu::signaling

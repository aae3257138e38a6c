// The descriptions in testdata/, for tests and benchmarks: offers as Chromium
// 156 and Firefox ESR 153 wrote them, and the examples of RFC 9429 section 7.2
// that have a data channel.

#ifndef KYUU_SDP_TESTING_TESTDATA_H_
#define KYUU_SDP_TESTING_TESTDATA_H_

#include <array>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/check.h"

namespace kyuu::sdp {

inline constexpr std::array<absl::string_view, 6> kBrowserOffers = {
    "chromium-156-offer-audio-video-data", "chromium-156-offer-data-mdns",
    "firefox-153-offer-audio-video-data",  "firefox-153-offer-data-plain",
    "chromium-156-offer-max-bundle",       "firefox-153-offer-max-bundle",
};

inline constexpr std::array<absl::string_view, 4> kJsepExamples = {
    "rfc9429-offer-B1",
    "rfc9429-answer-B1",
    "rfc9429-offer-B2",
    "rfc9429-answer-B2",
};

// ReadTestdata returns the bytes of testdata/<name>.sdp; it aborts if there is
// no such file.
inline std::string ReadTestdata(absl::string_view name) {
  std::ifstream file(absl::StrCat("sdp/testdata/", name, ".sdp"),
                     std::ios::binary);
  KYUU_CHECK(file.good());
  return std::string(std::istreambuf_iterator<char>(file), {});
}

}  // namespace kyuu::sdp

#endif  // KYUU_SDP_TESTING_TESTDATA_H_

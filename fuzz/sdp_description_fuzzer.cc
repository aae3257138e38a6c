// Description: what parses is written so that it parses to the same lines, and
// every accessor holds on every description that parses.

#include <cstdint>
#include <string>

#include "base/check.h"
#include "sdp/builder.h"
#include "sdp/description.h"

namespace {

using kyuu::sdp::AttributeType;
using kyuu::sdp::Description;

void ReadAll(const Description& description) {
  KYUU_CHECK(description.line_count() >= 4);
  const kyuu::sdp::Findings findings = description.Judge({.findings_max = 9});
  const bool strict = findings.empty();
  KYUU_CHECK(strict == description.Strict().ok());
  for (const kyuu::sdp::Finding& finding : findings.kept) {
    KYUU_CHECK(finding.line >= 1 && finding.line <= description.line_count());
    const size_t size = description.line(finding.line - 1).value.size() + 2;
    KYUU_CHECK(finding.column >= 1 && finding.column <= size + 1);
  }
  KYUU_CHECK(!strict || !description.origin().username.empty());
  description.BundleGroups();
  for (size_t i = 0; i < description.media_count(); ++i) {
    const auto media = description.media(i);
    KYUU_CHECK(!media.media().empty() && !media.formats().empty());
    KYUU_CHECK(media.port_count() > 0 && !media.protocol().empty());
    const auto holds = [&](AttributeType attribute, bool value) {
      KYUU_CHECK(!strict || !media.Has(attribute) || value);
    };
    holds(AttributeType::kSctpPort, media.sctp_port().has_value());
    holds(AttributeType::kSetup, media.setup().has_value());
    holds(AttributeType::kIcePacing, media.ice_pacing_ms().has_value());
    KYUU_CHECK(media.port() == 0 || !media.mid() || !media.mid()->empty());
    KYUU_CHECK(!media.is_legacy_data_channel() ||
               media.Has(AttributeType::kSctpPort) || media.sctp_port());
    media.max_message_size();
    media.sctpmap_streams();
    media.direction();
    media.HasIceOption("ice2");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  const auto first = Description::Parse(text);
  if (!first.ok()) return 0;
  ReadAll(*first);
  const std::string written = first->ToString();
  const auto second = Description::Parse(written);
  KYUU_CHECK(second.ok() && second->ToString() == written);
  KYUU_CHECK(second->line_count() == first->line_count());
  kyuu::sdp::Builder builder;
  for (size_t i = 0; i < first->line_count(); ++i) {
    KYUU_CHECK(first->line(i).value == second->line(i).value);
    builder.Copy(first->line(i));
  }
  KYUU_CHECK(*builder.Finish() == written);
  return 0;
}

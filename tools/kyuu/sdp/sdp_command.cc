#include "tools/kyuu/sdp/sdp_command.h"

#include <cerrno>
#include <cstdio>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "sdp/description.h"
#include "tools/kyuu/printable.h"
#include "tools/kyuu/sdp/sdp_summary.h"

namespace kyuu::tools {
namespace {

// People look at files that no peer would take: ten times what a peer may send.
sdp::Limits FileLimits() {
  sdp::Limits limits;
  limits.bytes_max *= 10;
  limits.line_bytes_max *= 10;
  limits.lines_max *= 10;
  limits.findings_max = 1000;
  return limits;
}

std::string FindingLine(absl::string_view file, const sdp::Finding& finding) {
  const absl::string_view name = sdp::AttributeName(finding.attribute);
  return absl::StrCat(file, ":", finding.line, ":", finding.column, ": ",
                      sdp::FindingCodeName(finding.code), ": ", name,
                      name.empty() ? "" : ": ", finding.message, " (",
                      finding.rule, ")");
}

// The status without the words that say the position.
std::string RefusalLine(absl::string_view file, const absl::Status& status) {
  absl::string_view message = status.message();
  const auto position = sdp::PositionOf(status);
  if (!position) return absl::StrCat(file, ": error: ", message);
  absl::ConsumePrefix(&message,
                      absl::StrCat("SDP line ", position->line, " column ",
                                   position->column, ": "));
  return absl::StrCat(file, ":", position->line, ":", position->column,
                      ": error: ", message);
}

}  // namespace

SdpReport ReportSdp(const SdpOptions& options, absl::string_view text) {
  SdpReport report;
  const sdp::Limits limits = FileLimits();
  const std::string file = options.file == "-" ? "stdin" : options.file;
  const auto description = sdp::Description::Parse(text, limits);
  if (!description.ok()) {
    report.error = PrintableLine(RefusalLine(file, description.status()));
    report.status = 1;
    return report;
  }
  const sdp::Findings findings = description->Judge(limits);
  if (options.json) {
    report.out = absl::StrCat(SdpJson(*description, findings), "\n");
  } else {
    report.out = SdpSummary(*description);
    for (const sdp::Finding& finding : findings.kept) {
      absl::StrAppend(&report.out, PrintableLine(FindingLine(file, finding)),
                      "\n");
    }
    if (findings.dropped > 0) {
      absl::StrAppend(&report.out, PrintableLine(file), ": and ",
                      findings.dropped, " more\n");
    }
  }
  if (options.strict && !findings.empty()) {
    const size_t count = findings.kept.size() + findings.dropped;
    report.error = absl::StrCat(PrintableLine(file), ": ", count,
                                count == 1 ? " finding" : " findings");
    report.status = 1;
  }
  return report;
}

absl::StatusOr<std::string> ReadSdp(const std::string& file) {
  const auto close = [](std::FILE* stream) {
    if (stream != stdin) std::fclose(stream);
  };
  const std::unique_ptr<std::FILE, decltype(close)> stream(
      file == "-" ? stdin : std::fopen(file.c_str(), "rb"), close);
  if (stream == nullptr) return absl::ErrnoToStatus(errno, file);
  // One byte more than Parse() takes, which tells the limit.
  const size_t bytes_max = FileLimits().bytes_max + 1;
  std::string text;
  char buffer[64 * 1024];
  while (text.size() < bytes_max) {
    const size_t size = std::fread(buffer, 1, sizeof buffer, stream.get());
    if (size == 0) break;
    text.append(buffer, size);
  }
  if (std::ferror(stream.get()) != 0) return absl::ErrnoToStatus(errno, file);
  return text;
}

int RunSdp(const SdpOptions& options) {
  const auto text = ReadSdp(options.file);
  SdpReport report;
  if (text.ok()) {
    report = ReportSdp(options, *text);
  } else {
    report.error = PrintableLine(text.status().message());
    report.status = 1;
  }
  std::fputs(report.out.c_str(), stdout);
  if (!report.error.empty()) {
    std::fprintf(stderr, "kyuu: %s\n", report.error.c_str());
  }
  return report.status;
}

}  // namespace kyuu::tools

// `kyuu sdp`: what a session description says, and what is wrong with it.

#ifndef KYUU_TOOLS_KYUU_SDP_SDP_COMMAND_H_
#define KYUU_TOOLS_KYUU_SDP_SDP_COMMAND_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace kyuu::tools {

struct SdpOptions {
  std::string file;     // "-" is stdin.
  bool strict = false;  // Findings are a failure.
  bool json = false;
};

// What is to be printed, and the exit status.
struct SdpReport {
  std::string out;    // For stdout.
  std::string error;  // For stderr, without a line end; empty if all is well.
  int status = 0;     // 0 fine; 1 refused, or findings that are a failure.
};

// ReportSdp reads the text of `options.file` (which is named only) and says
// what it says.
SdpReport ReportSdp(const SdpOptions& options, absl::string_view text);

// ReadSdp returns the bytes of the file, at most a few more than a description
// may have; NOT_FOUND or another status if they cannot be read.
absl::StatusOr<std::string> ReadSdp(const std::string& file);

// RunSdp reads, prints, and returns the exit status.
int RunSdp(const SdpOptions& options);

}  // namespace kyuu::tools

#endif  // KYUU_TOOLS_KYUU_SDP_SDP_COMMAND_H_

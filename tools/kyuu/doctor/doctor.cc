#include "tools/kyuu/doctor/doctor.h"

#include <cstdio>
#include <fstream>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "tools/findings/finding.h"
#include "tools/kyuu/doctor/gather.h"
#include "tools/kyuu/doctor/proxy_lines.h"
#include "tools/kyuu/doctor/verdicts.h"
#include "tools/kyuu/printable.h"

namespace kyuu::tools {
namespace {

absl::Status PrintProxy(const DoctorOptions& options) {
  KYUU_ASSIGN_OR_RETURN(const ProxyKind kind, ParseProxyKind(options.proxy));
  ProxySetup setup;
  KYUU_ASSIGN_OR_RETURN(setup.backend, Site::Parse(options.url));
  KYUU_ASSIGN_OR_RETURN(setup.site, Site::Parse(options.public_url));
  if (setup.backend.secure) {
    return absl::InvalidArgumentError(
        "the proxy is to speak plain HTTP to kyuud: http://HOST:PORT");
  }
  if (options.certificate.empty() != options.key.empty()) {
    return absl::InvalidArgumentError(
        "--tls-certificate and --tls-key go together");
  }
  setup.certificate = options.certificate;
  setup.key = options.key;
  std::fputs(ProxyLines(kind, setup).c_str(), stdout);
  std::fputs("# kyuud's file of settings:\n", stderr);
  std::fputs(KyuudLines(setup).c_str(), stderr);
  return absl::OkStatus();
}

absl::StatusOr<GatherOptions> Read(const DoctorOptions& options) {
  GatherOptions gather;
  KYUU_ASSIGN_OR_RETURN(gather.site, Site::Parse(options.url));
  KYUU_ASSIGN_OR_RETURN(gather.backend, Site::Parse(options.backend));
  if (options.slow_s > 0) gather.idle = absl::Seconds(options.slow_s);
  if (options.token_file.empty()) return gather;
  std::ifstream file(options.token_file);
  if (!std::getline(file, gather.token)) {
    return absl::InvalidArgumentError(
        absl::StrCat("no token can be read from ", options.token_file));
  }
  gather.token = std::string(absl::StripAsciiWhitespace(gather.token));
  return gather;
}

int Misused(const absl::Status& status) {
  std::fprintf(stderr, "kyuu: %s\n", PrintableLine(status.message()).c_str());
  return 2;
}

}  // namespace

int RunDoctor(const DoctorOptions& options) {
  if (!options.proxy.empty()) {
    const absl::Status status = PrintProxy(options);
    return status.ok() ? 0 : Misused(status);
  }
  const absl::StatusOr<GatherOptions> gather = Read(options);
  if (!gather.ok()) return Misused(gather.status());
  const std::vector<Finding> findings = Judge(Gather(*gather), absl::Now());
  std::fputs((options.json ? ToJson(findings) : ToText(findings)).c_str(),
             stdout);
  return StatusOf(findings);
}

}  // namespace kyuu::tools

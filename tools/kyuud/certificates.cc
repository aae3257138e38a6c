#include "tools/kyuud/certificates.h"

#include <sys/stat.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "spdlog/spdlog.h"

namespace kyuu::tools {

Certificates::Certificates(net::Loop& loop,
                           net::TlsContext::ServerOptions options,
                           absl::AnyInvocable<void(ServerIdentity)> on_change)
    : options_(std::move(options)),
      on_change_(std::move(on_change)),
      alarm_(loop, [this] {
        Check();
        alarm_.Set(net::Loop::Now() + kInterval);
      }) {
  alarm_.Set(net::Loop::Now() + kInterval);
}

absl::StatusOr<ServerIdentity> Certificates::Load() {
  // Before the files are read: what is written meanwhile is seen next time.
  std::string stamp = Stamp();
  KYUU_ASSIGN_OR_RETURN(net::TlsContext tls, net::TlsContext::Server(options_));
  std::vector<dtls::ServerContext::Files> pairs;
  for (const net::TlsContext::Certificate& pair : options_.certificates) {
    pairs.push_back({pair.certificate_file, pair.key_file});
  }
  KYUU_ASSIGN_OR_RETURN(dtls::ServerContext dtls,
                        dtls::ServerContext::FromFiles(pairs));
  loaded_ = std::move(stamp);
  return ServerIdentity{std::move(tls), dtls};
}

void Certificates::Check() {
  const std::string stamp = Stamp();
  if (stamp == loaded_) return;
  absl::StatusOr<ServerIdentity> identity = Load();
  if (identity.ok()) {
    failed_.clear();
    spdlog::info(
        "tls: the certificates have changed; new connections get them");
    return on_change_(*std::move(identity));
  }
  if (stamp == failed_) return;
  failed_ = stamp;
  spdlog::warn("tls: the certificates stay as they were: {}",
               std::string(identity.status().message()));
}

std::string Certificates::Stamp() const {
  std::string all;
  for (const net::TlsContext::Certificate& pair : options_.certificates) {
    for (const std::string* file : {&pair.certificate_file, &pair.key_file}) {
      struct stat found = {};
      if (stat(file->c_str(), &found) != 0) {
        absl::StrAppend(&all, "none;");
        continue;
      }
      absl::StrAppend(&all, found.st_dev, ":", found.st_ino, ":", found.st_size,
                      ":", found.st_mtim.tv_sec, ".", found.st_mtim.tv_nsec,
                      ";");
    }
  }
  return all;
}

}  // namespace kyuu::tools

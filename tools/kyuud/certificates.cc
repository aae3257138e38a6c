#include "tools/kyuud/certificates.h"

#include <sys/stat.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "spdlog/spdlog.h"

namespace kyuu::tools {

Certificates::Certificates(net::Loop& loop,
                           net::TlsContext::ServerOptions options,
                           absl::AnyInvocable<void(net::TlsContext)> on_change)
    : options_(std::move(options)),
      on_change_(std::move(on_change)),
      alarm_(loop, [this] {
        Check();
        alarm_.Set(net::Loop::Now() + kInterval);
      }) {
  alarm_.Set(net::Loop::Now() + kInterval);
}

absl::StatusOr<net::TlsContext> Certificates::Load() {
  // Before the files are read: what is written meanwhile is seen next time.
  std::string stamp = Stamp();
  absl::StatusOr<net::TlsContext> context = net::TlsContext::Server(options_);
  if (context.ok()) loaded_ = std::move(stamp);
  return context;
}

void Certificates::Check() {
  const std::string stamp = Stamp();
  if (stamp == loaded_) return;
  absl::StatusOr<net::TlsContext> context = Load();
  if (context.ok()) {
    failed_.clear();
    spdlog::info(
        "tls: the certificates have changed; new connections get them");
    return on_change_(*std::move(context));
  }
  if (stamp == failed_) return;
  failed_ = stamp;
  spdlog::warn("tls: the certificates stay as they were: {}",
               std::string(context.status().message()));
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

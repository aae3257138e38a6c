#include "tools/kyuud/kernel/open.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "spdlog/spdlog.h"

namespace kyuu::tools {

using relay::kernel::KernelPath;
using relay::kernel::ProgramOptions;

std::vector<IpAddress> AddressesOf(const relay::Cluster& cluster) {
  std::vector<IpAddress> addresses;
  for (const auto& relay : cluster.relay_addresses()) {
    addresses.push_back(relay.bind);
  }
  for (const TransportAddress& listener : cluster.listeners()) {
    addresses.push_back(listener.ip);
  }
  return addresses;
}

ProgramOptions KernelProgram(const KernelSettings& settings,
                             absl::Span<const TransportAddress> listeners) {
  ProgramOptions options;
  options.flows_max = static_cast<uint32_t>(settings.flows);
  if (settings.stun == KernelSettings::Stun::kOn) {
    options.binding_per_s = static_cast<uint32_t>(settings.stun_per_s);
    options.binding_burst = options.binding_per_s * 10;
  }
  std::vector<uint16_t>& ports = options.listeners;
  for (const TransportAddress& listener : listeners) {
    if (std::find(ports.begin(), ports.end(), listener.port) == ports.end()) {
      ports.push_back(listener.port);
    }
  }
  return options;
}

absl::StatusOr<std::unique_ptr<KernelOpening>> KernelOpening::Begin(
    const KernelSettings& settings, const relay::Cluster& cluster,
    std::vector<relay::kernel::Attachment> kept, net::Loop& loop, Done done) {
  std::unique_ptr<KernelOpening> opening(
      new KernelOpening(loop, std::move(done)));
  if (settings.path == KernelSettings::Path::kOff) return opening;
  KernelPath::Options options;
  options.addresses = AddressesOf(cluster);
  options.program = KernelProgram(settings, cluster.listeners());
  options.kept = std::move(kept);
  options.on_change = [](const std::string& where, const absl::Status& status) {
    spdlog::info("turn: relaying in the kernel at {}", where);
    if (!status.ok()) {
      spdlog::warn("turn: no relaying in the kernel at {}",
                   std::string(status.message()));
    }
  };
  if (settings.path == KernelSettings::Path::kRequired) {
    const absl::Status status =
        opening->Finish(KernelPath::Prepare(std::move(options)));
    if (status.ok()) return opening;
    return absl::Status(status.code(), absl::StrCat("--kernel-path=required: ",
                                                    status.message()));
  }
  opening->thread_ = std::thread([o = opening.get(),
                                  alive = std::weak_ptr<bool>(opening->alive_),
                                  options = std::move(options)]() mutable {
    Prepared prepared = KernelPath::Prepare(std::move(options));
    o->loop_.Post([o, alive, prepared = std::move(prepared)]() mutable {
      if (alive.expired()) return;
      const absl::Status status = o->Finish(std::move(prepared));
      if (status.ok()) return;
      spdlog::warn("turn: no relaying in the kernel: {}",
                   std::string(status.message()));
    });
  });
  return opening;
}

KernelOpening::~KernelOpening() {
  if (thread_.joinable()) thread_.join();
}

absl::Status KernelOpening::Finish(Prepared prepared) {
  KYUU_RETURN_IF_ERROR(prepared.status());
  KYUU_ASSIGN_OR_RETURN(path_, KernelPath::Open(loop_, *std::move(prepared)));
  spdlog::info("turn: relaying in the kernel at {}", path_->Where());
  done_(*path_);
  return absl::OkStatus();
}

}  // namespace kyuu::tools

#include "relay/kernel/program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "relay/kernel/image.h"

namespace kyuu::relay::kernel {
namespace {

// Room for a frame that has grown: IPv4 to IPv6 and a channel's header.
constexpr size_t kGrowth = 64;

// What libbpf says last is the reason; it has no other way to tell.
std::mutex said_mutex;
std::string& Said() {
  static std::string& said = *new std::string;
  return said;
}

[[gnu::format(printf, 2, 0)]] int Hear(libbpf_print_level level,
                                       const char* format, va_list arguments) {
  if (level != LIBBPF_WARN) return 0;
  std::array<char, 512> line{};
  const int size = vsnprintf(line.data(), line.size(), format, arguments);
  const std::lock_guard lock(said_mutex);
  Said() = std::string(absl::StripSuffix(line.data(), "\n"));
  return size;
}

absl::Status Failed(int error, absl::string_view what) {
  std::string reason = absl::StrCat(what, ": ", strerror(error));
  switch (error) {
    case EPERM:
    case EACCES:
      return absl::PermissionDeniedError(absl::StrCat(
          reason, "; CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are needed"));
    case EBUSY:
    case EEXIST:
      return absl::AlreadyExistsError(absl::StrCat(
          reason, "; the interface has a program of somebody else"));
    case E2BIG:
    case ENOMEM:
    case ENOSPC:
      return absl::ResourceExhaustedError(reason);
    case EOPNOTSUPP:
    case EINVAL:
    case ERANGE:
      return absl::FailedPreconditionError(reason);
    default:
      return absl::UnimplementedError(reason);
  }
}

absl::Status SetSize(bpf_object* object, const char* map, uint32_t entries) {
  if (const int error = bpf_map__set_max_entries(
          bpf_object__find_map_by_name(object, map), entries)) {
    return Failed(-error, map);
  }
  return absl::OkStatus();
}

kyuu_config ConfigOf(const ProgramOptions& options) {
  kyuu_config config{};
  std::copy(options.listeners.begin(), options.listeners.end(),
            config.listeners);
  config.binding_per_s = options.binding_per_s;
  config.binding_burst = options.binding_burst;
  return config;
}

int MapOf(const bpf_object* object, const char* name) {
  return bpf_map__fd(bpf_object__find_map_by_name(object, name));
}

}  // namespace

std::optional<uint32_t> InterfaceOf(const Attachment& attachment) {
  bpf_link_info info{};
  uint32_t size = sizeof info;
  if (bpf_obj_get_info_by_fd(attachment.get(), &info, &size) != 0 ||
      info.type != BPF_LINK_TYPE_XDP || info.xdp.ifindex == 0) {
    return std::nullopt;
  }
  return info.xdp.ifindex;
}

void Program::CloseObject::operator()(bpf_object* object) const {
  bpf_object__close(object);
}

Program::Mapping::~Mapping() {
  if (counts_.empty()) return;
  munmap(counts_.data(), counts_.size() * sizeof(kyuu_count));
}

absl::StatusOr<Program> Program::Load(const ProgramOptions& options) {
  if (options.listeners.empty() ||
      options.listeners.size() > KYUU_LISTENERS_MAX) {
    return absl::InvalidArgumentError(absl::StrCat(
        "from 1 to ", KYUU_LISTENERS_MAX, " ports of clients are possible"));
  }
  libbpf_set_print(Hear);
  Program program;
  program.object_.reset(
      bpf_object__open_mem(Image().data(), Image().size(), nullptr));
  bpf_object* object = program.object_.get();
  if (object == nullptr) return Failed(errno, "the program");

  // The section of constants is the one map that is not of our making.
  const kyuu_config config = ConfigOf(options);
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object) {
    if (!bpf_map__is_internal(map)) continue;
    if (const int error =
            bpf_map__set_initial_value(map, &config, sizeof config)) {
      return Failed(-error, "its constants");
    }
  }
  for (const char* name : {"flows", "ways", "counts"}) {
    if (auto status = SetSize(object, name, options.flows_max); !status.ok())
      return status;
  }
  if (auto status = SetSize(object, "sources", options.sources_max);
      !status.ok()) {
    return status;
  }
  if (const int error = bpf_object__load(object)) {
    const std::lock_guard lock(said_mutex);
    return Failed(-error, absl::StrCat("the kernel refuses (", Said(), ")"));
  }
  program.program_ =
      bpf_program__fd(bpf_object__find_program_by_name(object, "kyuu_turn"));
  program.probe_ =
      bpf_program__fd(bpf_object__find_program_by_name(object, "kyuu_probe"));
  program.flows_ = MapOf(object, "flows");
  program.ways_ = MapOf(object, "ways");
  program.totals_ = MapOf(object, "totals");

  void* counts =
      mmap(nullptr, options.flows_max * sizeof(kyuu_count),
           PROT_READ | PROT_WRITE, MAP_SHARED, MapOf(object, "counts"), 0);
  if (counts == MAP_FAILED) return Failed(errno, "mmap of counts");
  program.mapping_ =
      Mapping(static_cast<kyuu_count*>(counts), options.flows_max);
  return program;
}

absl::StatusOr<Attachment> Program::Attach(uint32_t ifindex, Mode mode) const {
  LIBBPF_OPTS(bpf_link_create_opts, options);
  options.flags =
      mode == Mode::kNative ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
  const int link =
      bpf_link_create(program_, static_cast<int>(ifindex), BPF_XDP, &options);
  if (link < 0) return Failed(-link, "attaching");
  return Attachment(link);
}

absl::Status Program::Replace(const Attachment& attachment) const {
  if (const int error = bpf_link_update(attachment.get(), program_, nullptr)) {
    return Failed(-error, "replacing");
  }
  return absl::OkStatus();
}

absl::Status Program::Put(const kyuu_flow_key& key,
                          const kyuu_flow& flow) const {
  if (const int error = bpf_map_update_elem(flows_, &key, &flow, BPF_ANY)) {
    return Failed(-error, "a flow");
  }
  return absl::OkStatus();
}

void Program::Erase(const kyuu_flow_key& key) const {
  // One that is not there is as good as erased.
  bpf_map_delete_elem(flows_, &key);
}

void Program::Put(uint32_t index, const kyuu_way& way) const {
  // Entries of an array are always there.
  bpf_map_update_elem(ways_, &index, &way, BPF_ANY);
}

std::array<uint64_t, KYUU_TOTALS> Program::Totals() const {
  std::array<uint64_t, KYUU_TOTALS> totals{};
  const int cores = libbpf_num_possible_cpus();
  if (cores <= 0) return totals;
  std::vector<uint64_t> of_cores(static_cast<size_t>(cores));
  for (uint32_t i = 0; i < KYUU_TOTALS; ++i) {
    if (bpf_map_lookup_elem(totals_, &i, of_cores.data()) != 0) continue;
    for (const uint64_t count : of_cores) totals[i] += count;
  }
  return totals;
}

absl::Status Program::Emit(absl::Span<const uint8_t> frame,
                           uint32_t count) const {
  LIBBPF_OPTS(bpf_test_run_opts, run);
  run.data_in = frame.data();
  run.data_size_in = static_cast<uint32_t>(frame.size());
  run.repeat = static_cast<int>(count);
  run.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
  run.batch_size = count;
  if (const int error = bpf_prog_test_run_opts(probe_, &run)) {
    return Failed(-error, "sending");
  }
  return absl::OkStatus();
}

absl::StatusOr<Program::Outcome> Program::Try(
    absl::Span<const uint8_t> frame) const {
  Outcome outcome;
  outcome.frame.resize(frame.size() + kGrowth);
  LIBBPF_OPTS(bpf_test_run_opts, run);
  run.data_in = frame.data();
  run.data_size_in = static_cast<uint32_t>(frame.size());
  run.data_out = outcome.frame.data();
  run.data_size_out = static_cast<uint32_t>(outcome.frame.size());
  run.repeat = 1;
  if (const int error = bpf_prog_test_run_opts(program_, &run)) {
    return Failed(-error, "a trial");
  }
  outcome.verdict = run.retval;
  outcome.frame.resize(run.data_size_out);
  return outcome;
}

}  // namespace kyuu::relay::kernel

// Program: the program in the kernel, loaded, with its maps.

#ifndef KYUU_RELAY_KERNEL_PROGRAM_H_
#define KYUU_RELAY_KERNEL_PROGRAM_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "net/fd.h"
#include "relay/kernel/layout.h"

struct bpf_object;

namespace kyuu::relay::kernel {

// Where frames are taken: in the driver of the network card, or for drivers
// that cannot, behind it.
enum class Mode : uint8_t { kNative, kGeneric };

struct ProgramOptions {
  // Ports of clients, at most KYUU_LISTENERS_MAX.
  std::vector<uint16_t> listeners;
  // Directions of flows, and ways; what the maps have room for.
  uint32_t flows_max = 65'536;
  // Binding requests of one source that are answered; 0 answers none.
  uint32_t binding_per_s = 0;
  uint32_t binding_burst = 0;
  // Sources that are told apart; the one not seen for longest makes room.
  uint32_t sources_max = 65'536;
};

// Attachment keeps the program at an interface as long as it lives; the kernel
// takes it off when the process is gone, however it went.
using Attachment = net::Fd;

// The interface that it is at; nullopt if that is gone, or it is something
// else.
std::optional<uint32_t> InterfaceOf(const Attachment& attachment);

// Program may be used from any thread.
class Program {
 public:
  // PERMISSION_DENIED without CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON (without
  // which no address in a packet may be computed); UNIMPLEMENTED if the kernel
  // lacks something, with its words; INVALID_ARGUMENT.
  static absl::StatusOr<Program> Load(const ProgramOptions& options);

  // ALREADY_EXISTS if the interface has a program of somebody else.
  // FAILED_PRECONDITION if its driver cannot do it.
  absl::StatusOr<Attachment> Attach(uint32_t ifindex, Mode mode) const;
  // Comes to where another program is attached, in its place, which takes no
  // time and leaves the interface without one for none.
  absl::Status Replace(const Attachment& attachment) const;

  // RESOURCE_EXHAUSTED if there is no room.
  absl::Status Put(const kyuu_flow_key& key, const kyuu_flow& flow) const;
  void Erase(const kyuu_flow_key& key) const;
  void Put(uint32_t index, const kyuu_way& way) const;
  // As many as flows_max; the program adds to them at any time.
  absl::Span<kyuu_count> counts() const { return mapping_.counts(); }
  // Sums over all cores, by kyuu_total.
  std::array<uint64_t, KYUU_TOTALS> Totals() const;

  // Sends a frame out of an interface `count` times, as the program does. The
  // number of the interface must stand in it behind 14 bytes. UNIMPLEMENTED
  // before Linux 5.18.
  absl::Status Emit(absl::Span<const uint8_t> frame, uint32_t count) const;

  // What becomes of a frame; nothing is sent.
  struct Outcome {
    uint32_t verdict = 0;  // enum xdp_action
    std::vector<uint8_t> frame;
  };
  absl::StatusOr<Outcome> Try(absl::Span<const uint8_t> frame) const;

 private:
  struct CloseObject {
    void operator()(bpf_object* object) const;
  };
  // The counts of all slots, which are in the kernel's memory.
  class Mapping {
   public:
    Mapping() = default;
    Mapping(kyuu_count* counts, size_t slots) : counts_(counts, slots) {}
    Mapping(Mapping&& other) noexcept
        : counts_(std::exchange(other.counts_, {})) {}
    Mapping& operator=(Mapping&& other) noexcept {
      std::swap(counts_, other.counts_);
      return *this;
    }
    ~Mapping();

    absl::Span<kyuu_count> counts() const { return counts_; }

   private:
    absl::Span<kyuu_count> counts_;
  };

  Program() = default;

  std::unique_ptr<bpf_object, CloseObject> object_;
  int program_ = -1;  // Descriptors of object_.
  int probe_ = -1;
  int flows_ = -1;
  int ways_ = -1;
  int totals_ = -1;
  Mapping mapping_;
};

}  // namespace kyuu::relay::kernel

#endif  // KYUU_RELAY_KERNEL_PROGRAM_H_

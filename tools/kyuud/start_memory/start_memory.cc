#include "tools/kyuud/start_memory/start_memory.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

#include "absl/strings/match.h"

namespace kyuu::tools {
namespace {

// Whether relocations were written to what is read-only otherwise, as compilers
// do without -fPIC: those would be lost.
bool HasWrittenCode(const dl_phdr_info& object) {
  for (size_t i = 0; i < object.dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object.dlpi_phdr[i];
    if (segment.p_type != PT_DYNAMIC) continue;
    const auto* entry =
        // NOLINTNEXTLINE(performance-no-int-to-ptr): the linker gives numbers.
        reinterpret_cast<const ElfW(Dyn)*>(object.dlpi_addr + segment.p_vaddr);
    for (; entry->d_tag != DT_NULL; ++entry) {
      if (entry->d_tag == DT_TEXTREL ||
          (entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_TEXTREL) != 0)) {
        return true;
      }
    }
  }
  return false;
}

// Called for the program and each library. What is read-only only after the
// start (RELRO) is part of a segment that may be written, and stays.
int ReleaseFilePages(dl_phdr_info* object, size_t /*bytes*/, void* /*data*/) {
  // The kernel's own (vdso(7)) is no file's.
  if (absl::StartsWith(object->dlpi_name, "linux-") ||
      HasWrittenCode(*object)) {
    return 0;
  }
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  for (size_t i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    // Whole pages: one at an edge may be another segment's, too.
    const uintptr_t from = object->dlpi_addr + segment.p_vaddr;
    const uintptr_t begin = (from + page - 1) / page * page;
    const uintptr_t end = (from + segment.p_memsz) / page * page;
    if (begin >= end) continue;
    // A hint: what cannot be given back stays.
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the linker gives numbers.
    (void)madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }
  return 0;
}

}  // namespace

void ReleaseStartMemory() {
  malloc_trim(0);
  dl_iterate_phdr(&ReleaseFilePages, nullptr);
}

}  // namespace kyuu::tools

#include "tools/kyuud/process_stats.h"

#include <dirent.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace kyuu::tools {
namespace {

std::string Contents(const char* path) {
  std::ostringstream text;
  std::ifstream file(path);
  if (file) text << file.rdbuf();
  return text.str();
}

std::optional<uint64_t> CountDescriptors() {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return std::nullopt;
  uint64_t count = 0;
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  // Without ".", ".." and the directory's own.
  return count - 3;
}

// proc(5): starttime is the 22nd field, in ticks since the machine's start. The
// 2nd is the program's name in parentheses, and may hold anything.
std::optional<absl::Time> Started() {
  const std::string stat = Contents("/proc/self/stat");
  const size_t name_end = stat.rfind(") ");
  if (name_end == std::string::npos) return std::nullopt;
  const std::vector<std::string> fields =
      absl::StrSplit(stat.substr(name_end + 2), ' ');
  uint64_t ticks = 0;
  if (fields.size() < 20 || !absl::SimpleAtoi(fields[19], &ticks)) {
    return std::nullopt;
  }
  for (const absl::string_view line :
       absl::StrSplit(Contents("/proc/stat"), '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    int64_t boot = 0;
    if (words.size() != 2 || words[0] != "btime" ||
        !absl::SimpleAtoi(words[1], &boot)) {
      continue;
    }
    return absl::FromUnixSeconds(boot) +
           absl::Seconds(1) * (static_cast<double>(ticks) /
                               static_cast<double>(sysconf(_SC_CLK_TCK)));
  }
  return std::nullopt;
}

}  // namespace

ProcessStats ReadProcessStats() {
  ProcessStats stats;
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    stats.cpu = absl::DurationFromTimeval(usage.ru_utime) +
                absl::DurationFromTimeval(usage.ru_stime);
  }
  const std::vector<std::string> pages =
      absl::StrSplit(Contents("/proc/self/statm"), ' ');
  const auto page_bytes = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  uint64_t size = 0, resident = 0;
  if (pages.size() > 1 && absl::SimpleAtoi(pages[0], &size) &&
      absl::SimpleAtoi(pages[1], &resident)) {
    stats.virtual_bytes = size * page_bytes;
    stats.resident_bytes = resident * page_bytes;
  }
  const struct mallinfo2 heap = mallinfo2();
  stats.heap_bytes = heap.uordblks + heap.hblkhd;
  stats.open_descriptors = CountDescriptors();
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
      limit.rlim_cur != RLIM_INFINITY) {
    stats.max_descriptors = limit.rlim_cur;
  }
  stats.started = Started();
  return stats;
}

}  // namespace kyuu::tools

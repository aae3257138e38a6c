#include "tools/kyuud/start_memory/start_memory.h"

#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing.h"

namespace kyuu::tools {
namespace {

// Bytes of files that are mapped and in memory.
uint64_t FileBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    uint64_t kilobytes = 0;
    if (word == "RssFile:" && status >> kilobytes) return kilobytes << 10;
  }
  return 0;
}

struct Shape {
  virtual ~Shape() = default;
  virtual std::string Name() const = 0;
};
struct Square : Shape {
  std::string Name() const override { return "square"; }
};
struct Circle : Shape {
  std::string Name() const override { return "circle"; }
};

const char* const kWords[] = {"constants", "are", "where", "they", "were"};

// Tables of virtual functions and pointers to constants are relocated at the
// start, and kept.
TEST(StartMemoryTest, GivesFilesBackAndAllGoesOn) {
  std::vector<std::unique_ptr<Shape>> shapes;
  shapes.push_back(std::make_unique<Square>());
  shapes.push_back(std::make_unique<Circle>());
  const uint64_t before = FileBytes();
  ReleaseStartMemory();
  const uint64_t after = FileBytes();
  EXPECT_LT(after, before);
  std::string text;
  for (const auto& shape : shapes) absl::StrAppend(&text, shape->Name(), " ");
  for (const char* word : kWords) absl::StrAppend(&text, word, " ");
  EXPECT_EQ(text, "square circle constants are where they were ");
  ReleaseStartMemory();
  EXPECT_GT(FileBytes(), 0u);
}

}  // namespace
}  // namespace kyuu::tools

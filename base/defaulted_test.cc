#include "base/defaulted.h"

#include <string>
#include <utility>

#include "base/testing.h"

namespace kyuu {
namespace {

struct Options {
  int size = 7;
  std::string name = "kyuu";
  friend bool operator==(const Options&, const Options&) = default;
};

TEST(DefaultedTest, DefaultsAreOneForAll) {
  const Defaulted<Options> a;
  const Defaulted<Options> b(Options{});
  EXPECT_TRUE(a.is_default());
  EXPECT_TRUE(b.is_default());
  EXPECT_EQ(&*a, &*b);
  EXPECT_EQ(b->size, 7);
  EXPECT_EQ(b->name, "kyuu");
  EXPECT_EQ(sizeof a, sizeof(void*));
}

TEST(DefaultedTest, AnythingElseIsItsOwn) {
  const Defaulted<Options> a({.size = 8});
  const Defaulted<Options> b({.size = 8});
  EXPECT_FALSE(a.is_default());
  EXPECT_NE(&*a, &*b);
  EXPECT_EQ(a->size, 8);
  EXPECT_EQ(a->name, "kyuu");
}

TEST(DefaultedTest, TheValueStaysWhereItIsWhenItIsMoved) {
  Defaulted<Options> a({.size = 8});
  const Options* const where = &*a;
  const Defaulted<Options> b = std::move(a);
  EXPECT_EQ(&*b, where);
}

}  // namespace
}  // namespace kyuu

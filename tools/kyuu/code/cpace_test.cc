// The vectors of draft-irtf-cfrg-cpace, appendix "Test vector for CPace using
// group ristretto255 and hash SHA-512", and what must not be taken.

#include "tools/kyuu/code/cpace.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/bytes.h"
#include "base/random.h"
#include "base/testing.h"

namespace kyuu::tools {
namespace {

constexpr char kYa[] =
    "da3d23700a9e5699258aef94dc060dfda5ebb61f02a5ea77fad53f4ff0976d08";
constexpr char kYb[] =
    "d2316b454718c35362d83d69df6320f38578ed5984651435e2949762d900b80d";
constexpr char kShareA[] =
    "d6bac480f2c386c394efc7c47adb9925dcd2630b64f240c50f8d0eec482b9157";
constexpr char kShareB[] =
    "3ea7e0b19560d7c0b0f5734f63b955286dfa8232b5ebe63324e2d9e7433f7258";
constexpr char kIsk[] =
    "b69effbf61b51d56401c0f65601abe428de8206feaaf0e32198896dcae7b35cd"
    "2b38950a39dfd5d4a79164614c2984f7daa460b588c1e80c3fa2068af7900447";
constexpr char kSid[] = "7e4b4791d6a8ef019b936c79fb7f2c57";
constexpr char kNoPoint[] =
    "2b3c6b8c4f3800e7aef6864025b4ed79bd599117e427c41bd47d93d654b4a51c";
constexpr char kPoint[] =
    "2c3c6b8c4f3800e7aef6864025b4ed79bd599117e427c41bd47d93d654b4a51c";

// Gives the bytes it was told, as sample_scalar of the draft would.
class TheseBytes final : public Random {
 public:
  explicit TheseBytes(absl::string_view hex) : bytes_(FromHex(hex)) {}
  void Fill(absl::Span<uint8_t> out) override {
    ASSERT_EQ(out.size(), bytes_.size());
    std::copy(bytes_.begin(), bytes_.end(), out.begin());
  }

 private:
  const std::vector<uint8_t> bytes_;
};

const std::string& Sid() {
  static const std::string sid(AsText(FromHex(kSid)));
  return sid;
}

CpaceInputs DraftInputs() {
  return {.password = "Password",
          .channel =
              "\x0b"
              "A_initiator\x0b"
              "B_responder",
          .session_id = Sid()};
}

struct Pair {
  explicit Pair(CpaceInputs of_a = DraftInputs(),
                CpaceInputs of_b = DraftInputs(), uint64_t seed = 1)
      : random(seed),
        a(CpaceRole::kInitiator, of_a, "a", random),
        b(CpaceRole::kResponder, of_b, "b", random) {}
  void Exchange() {
    EXPECT_OK(a.HandleShare(b.share(), "b"));
    EXPECT_OK(b.HandleShare(a.share(), "a"));
  }
  bool Agree() const { return a.IsPeerTag(b.Tag()) && b.IsPeerTag(a.Tag()); }
  bool Differ() const { return !a.IsPeerTag(b.Tag()) && !b.IsPeerTag(a.Tag()); }

  SeededRandom random;
  Cpace a, b;
};

TEST(Cpace, PrependLengthVectors) {
  EXPECT_EQ(ToHex(AsBytes(PrependLength(""))), "00");
  EXPECT_EQ(ToHex(AsBytes(PrependLength("1234"))), "0431323334");
  std::string bytes;
  for (int i = 0; i < 127; ++i) bytes.push_back(static_cast<char>(i));
  EXPECT_EQ(PrependLength(bytes), "\x7f" + bytes);
  bytes.push_back(127);
  EXPECT_EQ(PrependLength(bytes), "\x80\x01" + bytes);
}

TEST(Cpace, LvCatVectors) {
  EXPECT_EQ(ToHex(AsBytes(LvCat({"1234", "5", "", "678"}))),
            "043132333401350003363738");
}

TEST(Cpace, DraftVectors) {
  TheseBytes ya(kYa), yb(kYb);
  Cpace a(CpaceRole::kInitiator, DraftInputs(), "ADa", ya);
  Cpace b(CpaceRole::kResponder, DraftInputs(), "ADb", yb);
  EXPECT_EQ(ToHex(a.share()), kShareA);
  EXPECT_EQ(ToHex(b.share()), kShareB);
  ASSERT_OK(a.HandleShare(FromHex(kShareB), "ADb"));
  ASSERT_OK(b.HandleShare(FromHex(kShareA), "ADa"));
  EXPECT_EQ(ToHex(a.key()), kIsk);
  EXPECT_EQ(ToHex(b.key()), kIsk);
  EXPECT_TRUE(a.IsPeerTag(b.Tag()));
  EXPECT_TRUE(b.IsPeerTag(a.Tag()));
}

TEST(Cpace, ScalarsLoseTheBitsAboveTheGroup) {
  std::string high = kYa;
  high[62] = 'f';  // 0xf8 in place of 0x08 in the last byte.
  TheseBytes ya(high);
  EXPECT_EQ(
      ToHex(Cpace(CpaceRole::kInitiator, DraftInputs(), "ADa", ya).share()),
      kShareA);
}

TEST(Cpace, RefusesWhatIsNoPointAndTheNeutralOne) {
  Pair pair;
  std::vector<uint8_t> long_share = FromHex(kPoint);
  long_share.push_back(0);
  for (const std::vector<uint8_t>& bad :
       {FromHex(kNoPoint), std::vector<uint8_t>(32), std::vector<uint8_t>(),
        FromHex("2c3c"), long_share, std::vector<uint8_t>(32, 0xff)}) {
    EXPECT_THAT(pair.a.HandleShare(bad, "b"),
                StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(pair.b.HandleShare(bad, "a"),
                StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_FALSE(pair.a.has_key());
  }
  EXPECT_OK(pair.a.HandleShare(FromHex(kPoint), "b"));
  EXPECT_THAT(pair.a.HandleShare(FromHex(kPoint), "b"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(Cpace, AgreesOnlyIfAllInputsAreEqual) {
  {
    Pair same;
    same.Exchange();
    EXPECT_TRUE(same.Agree());
  }
  const CpaceInputs right = DraftInputs();
  CpaceInputs password = right, channel = right, session = right;
  password.password = "password";
  channel.channel = "";
  session.session_id = "another";
  for (const CpaceInputs& wrong : {password, channel, session}) {
    Pair pair(right, wrong);
    pair.Exchange();
    EXPECT_TRUE(pair.Differ());
  }
}

TEST(Cpace, DataIsAuthenticated) {
  Pair pair;
  EXPECT_OK(pair.a.HandleShare(pair.b.share(), "c"));
  EXPECT_OK(pair.b.HandleShare(pair.a.share(), "a"));
  EXPECT_TRUE(pair.Differ());
}

TEST(Cpace, AShareThatIsSentBackProvesNothing) {
  SeededRandom random(3);
  Cpace a(CpaceRole::kInitiator, DraftInputs(), "a", random);
  ASSERT_OK(a.HandleShare(a.share(), "b"));
  EXPECT_FALSE(a.IsPeerTag(a.Tag()));
}

TEST(Cpace, EachBitOfATagCounts) {
  Pair pair;
  pair.Exchange();
  Cpace::Mac tag = pair.b.Tag();
  for (size_t bit = 0; bit < 8 * tag.size(); ++bit) {
    tag[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_FALSE(pair.a.IsPeerTag(tag)) << bit;
    tag[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
  }
  EXPECT_TRUE(pair.a.IsPeerTag(tag));
  EXPECT_FALSE(pair.a.IsPeerTag(absl::MakeConstSpan(tag).first(63)));
  EXPECT_FALSE(pair.a.IsPeerTag({}));
}

TEST(Cpace, MacsBindTextAndPurpose) {
  Pair pair;
  pair.Exchange();
  const Cpace::Mac mac = pair.a.MacOf("one", "text");
  EXPECT_TRUE(pair.b.IsMacOf("one", "text", mac));
  EXPECT_FALSE(pair.b.IsMacOf("two", "text", mac));
  EXPECT_FALSE(pair.b.IsMacOf("one", "texts", mac));
}

// A password longer than a block leaves no room for the zeros.
TEST(Cpace, TakesAPasswordOfAnyLength) {
  for (const size_t size : {0, 1, 107, 108, 109, 110, 127, 128, 5000}) {
    const std::string password(size, 'x');
    CpaceInputs inputs = DraftInputs();
    inputs.password = password;
    Pair pair(inputs, inputs, size);
    pair.Exchange();
    EXPECT_TRUE(pair.Agree()) << size;
  }
}

TEST(Secret, IsWipedWhenItGoes) {
  alignas(Secret<16>) uint8_t place[sizeof(Secret<16>)];
  auto* secret = new (place) Secret<16>();
  std::fill(secret->span().begin(), secret->span().end(), 0x5a);
  secret->~Secret();
  EXPECT_THAT(std::vector<uint8_t>(place, place + sizeof(place)),
              testing::Each(0));
}

}  // namespace
}  // namespace kyuu::tools

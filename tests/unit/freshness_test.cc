#include "daemon/freshness.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>

#include "common/pyc.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tiny_code.h"

namespace kiln {
namespace {

constexpr std::uint32_t kMagic = 0x0a0d0da7;
constexpr std::int64_t kSecond = 1'000'000'000;
const FileStamp kSource{.size = 123, .modified_ns = 1'700'000'000 * kSecond + 500};

class FreshnessTest : public testing::Test {
 protected:
  static std::string good_body() { return tiny_code(); }
  static std::string good_header() { return encode_pyc_header(timestamp_header(kMagic, 1'700'000'000, 123)); }

  Freshness judge(const std::string& contents, std::int64_t pyc_mtime_ns = 1'800'000'000 * kSecond) const {
    const auto path = scratch_.write("a.pyc", contents);
    const timespec times[2] = {{0, UTIME_OMIT}, {pyc_mtime_ns / kSecond, pyc_mtime_ns % kSecond}};
    EXPECT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
    return check_pyc(path, {kMagic, kSource, PycKind::timestamp, {}}).freshness;
  }

  Scratch scratch_;
};

TEST_F(FreshnessTest, FollowsPythonsRule) {
  const auto with = [](PycHeader header) { return encode_pyc_header(header) + good_body(); };
  EXPECT_EQ(judge(good_header() + good_body()), Freshness::fresh);
  EXPECT_EQ(judge(with(timestamp_header(kMagic + 1, 1'700'000'000, 123))), Freshness::magic);
  EXPECT_EQ(judge(with(timestamp_header(kMagic, 1'700'000'001, 123))), Freshness::mtime);
  EXPECT_EQ(judge(with(timestamp_header(kMagic, 1'699'999'999, 123))), Freshness::mtime);
  EXPECT_EQ(judge(with(timestamp_header(kMagic, 1'700'000'000, 124))), Freshness::size);
  EXPECT_EQ(judge(with({kMagic, PycKind::unchecked_hash, 0, 0, 7})), Freshness::kind);
  EXPECT_EQ(judge("short"), Freshness::bad_header);
}

TEST_F(FreshnessTest, ABodyMustFollow) {
  EXPECT_EQ(judge(good_header()), Freshness::body);
  EXPECT_EQ(judge(good_header() + "\xe3"), Freshness::body);
  EXPECT_EQ(judge(good_header() + good_body().substr(1)), Freshness::body);
  EXPECT_EQ(judge(good_header() + good_body() + "x"), Freshness::body);
  EXPECT_EQ(judge(good_header() + std::string(100, '\0')), Freshness::body);  // as after a power loss
}

// The source of a file that was written just now, as it changed so long before (or, negative, after) that.
class FreshnessOfChangedSourceTest : public FreshnessTest {
 protected:
  Freshness judge_source_changed(std::int64_t before_ns, const MadeFile* made = nullptr,
                                 std::uint64_t content = 0) {
    const FileStamp pyc = stamp_of(path_);
    PycQuestion question{kMagic, kSource, PycKind::timestamp, {}};
    question.source.changed_ns = pyc.changed_ns - before_ns;
    question.made = made;
    question.source_content = [content]() -> std::optional<std::uint64_t> { return content; };
    return check_pyc(path_, question).freshness;
  }

  // As Kiln made it, of a source that changed so long before.
  MadeFile made(std::int64_t before_ns) const {
    const FileStamp pyc = stamp_of(path_);
    return {pyc.inode, pyc.modified_ns, pyc.changed_ns - before_ns, kContent};
  }

  static constexpr std::uint64_t kContent = 7;
  const std::string path_ = scratch_.write("a.pyc", good_header() + good_body());
};

TEST_F(FreshnessOfChangedSourceTest, BytecodeOfOthersMustBeYounger) {
  EXPECT_EQ(judge_source_changed(kSecond), Freshness::fresh);
  EXPECT_EQ(judge_source_changed(1), Freshness::fresh);
  EXPECT_EQ(judge_source_changed(0), Freshness::doubtful) << "in one tick of the clock either may be first";
  EXPECT_EQ(judge_source_changed(-1), Freshness::doubtful);
}

TEST_F(FreshnessOfChangedSourceTest, OfOurOwnItsContentCounts) {
  const MadeFile known = made(kSecond);
  EXPECT_EQ(judge_source_changed(kSecond, &known, kContent + 1), Freshness::fresh) << "it was asked for";
  EXPECT_EQ(judge_source_changed(kSecond - 1, &known, kContent), Freshness::fresh);
  EXPECT_EQ(judge_source_changed(kSecond - 1, &known, kContent + 1), Freshness::changed);
  EXPECT_EQ(judge_source_changed(-1, &known, kContent + 1), Freshness::changed);
  MadeFile unsettled = known;
  unsettled.source_changed_ns = 0;
  EXPECT_EQ(judge_source_changed(kSecond, &unsettled, kContent + 1), Freshness::changed);
  EXPECT_EQ(judge_source_changed(kSecond, &unsettled, kContent), Freshness::fresh);
}

TEST_F(FreshnessOfChangedSourceTest, BytecodeThatIsAnotherByNowIsOfOthers) {
  MadeFile former = made(kSecond);
  ++former.inode;
  EXPECT_EQ(judge_source_changed(kSecond - 1, &former, kContent + 1), Freshness::fresh);
  EXPECT_EQ(judge_source_changed(-1, &former, kContent), Freshness::doubtful);
  EXPECT_EQ(judge_source_changed(kSecond, &former, kContent), Freshness::doubtful) << "nothing called for it";
}

// cp -a keeps the times of contents, and gives the copies ctimes in its own order.
TEST_F(FreshnessOfChangedSourceTest, ACopyTellsNothingByItsAge) {
  MadeFile former = made(kSecond);
  ++former.inode;
  const std::array<timespec, 2> long_ago{{{1'000'000'000, 0}, {1'000'000'000, 0}}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path_.c_str(), long_ago.data(), 0), 0);
  EXPECT_EQ(judge_source_changed(kSecond - 1, &former, kContent + 1), Freshness::doubtful);
}

TEST_F(FreshnessOfChangedSourceTest, WhatWasWrittenOverMayBeOfAnotherModule) {
  MadeFile former = made(kSecond);
  ++former.mtime_ns;
  EXPECT_EQ(judge_source_changed(kSecond, &former, kContent), Freshness::doubtful);
}

TEST_F(FreshnessTest, WhatIsNoFileIsTold) {
  EXPECT_EQ(check_pyc(scratch_ / "none", {kMagic, kSource, {}, {}}).freshness, Freshness::missing);
  EXPECT_EQ(check_pyc(scratch_.path(), {kMagic, kSource, {}, {}}).freshness, Freshness::unreadable);
  ASSERT_EQ(::mkfifo((scratch_ / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(check_pyc(scratch_ / "fifo", {kMagic, kSource, {}, {}}).freshness, Freshness::unreadable);
}

TEST(FileStamp, SecondsAreRoundedAsPythonRoundsThem) {
  const auto seconds = [](std::int64_t mtime_ns) {
    return FileStamp{.modified_ns = mtime_ns}.python_mtime_s();
  };
  EXPECT_EQ(seconds(1'700'000'000 * kSecond), 1'700'000'000);
  EXPECT_EQ(seconds(1'700'000'000 * kSecond + 999'999'000), 1'700'000'000);
  EXPECT_EQ(seconds(1'700'000'000 * kSecond + 999'999'999), 1'700'000'001);  // int(1700000000.9999999999)
  EXPECT_EQ(seconds(-1), 0);                                                 // int(-0.000000001)
  EXPECT_EQ(seconds(-kSecond), -1);
}

}  // namespace
}  // namespace kiln

#include "client/pyc_report.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "common/overlay.h"
#include "common/source_hash.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tiny_code.h"

namespace kiln {
namespace {

constexpr std::uint32_t kMagic = 0x0a0d0000 | 3531;
constexpr std::int64_t kTime_s = 1'600'000'000;
constexpr std::uint32_t kPython27 = 0x0a0d0000 | 62211;

class PycReportTest : public testing::Test {
 protected:
  PycReportTest() {
    scratch_.write("a.py", "text");
    const timespec times[] = {{0, 0}, {kTime_s - 1, 999'999'999}};  // Python's float rounds it up
    ::utimensat(AT_FDCWD, (scratch_ / "a.py").c_str(), times, 0);
  }

  PycReport report(const PycHeader& header, const std::string& name = "__pycache__/a.cpython-312.pyc") const {
    return report_pyc(scratch_.write(name, encode_pyc_header(header) + tiny_code()), {}).value();
  }
  SourceState state(const PycHeader& header) const { return report(header).state; }

  static PycHeader hashed(PycKind kind, std::uint64_t hash) {
    return {.magic = kMagic, .kind = kind, .source_hash = hash};
  }

  Scratch scratch_;
};

TEST_F(PycReportTest, HoldsEverything) {
  const auto header = timestamp_header(kMagic, kTime_s, 4);
  const auto found = report(header);
  EXPECT_EQ(found.path, scratch_ / "__pycache__/a.cpython-312.pyc");
  EXPECT_EQ(found.format.version, (PythonVersion{3, 12}));
  EXPECT_EQ(found.header, header);
  EXPECT_EQ(found.body, tiny_code());
  EXPECT_EQ(found.source, scratch_ / "a.py");
  EXPECT_EQ(found.state, SourceState::fresh);
}

TEST_F(PycReportTest, JudgesAsPythonDoes) {
  EXPECT_EQ(state(timestamp_header(kMagic, kTime_s + 1, 4)), SourceState::stale_mtime);
  EXPECT_EQ(state(timestamp_header(kMagic, kTime_s, 5)), SourceState::stale_size);
  EXPECT_EQ(state(hashed(PycKind::checked_hash, *source_hash("text", kMagic))), SourceState::fresh);
  EXPECT_EQ(state(hashed(PycKind::checked_hash, 1)), SourceState::stale_hash);
  EXPECT_EQ(state(hashed(PycKind::unchecked_hash, 1)), SourceState::not_asked);
  EXPECT_EQ(report(timestamp_header(kPython27, kTime_s, 0), "a.pyc").state, SourceState::fresh);
  EXPECT_EQ(report(timestamp_header(kMagic, kTime_s, 4), "b.pyc").state, SourceState::missing);
  EXPECT_EQ(report(timestamp_header(kMagic, kTime_s, 4), "b").state, SourceState::unknown);
}

TEST_F(PycReportTest, TheOverlaysSealIsNoCode) {
  const auto file = encode_pyc_header(hashed(PycKind::checked_hash, 1)) + tiny_code();
  const auto sealed = report_pyc(scratch_.write("x.pyc", seal_overlay_file(file, kMagic)), {}).value();
  EXPECT_EQ(sealed.body, tiny_code());
  EXPECT_EQ(sealed.size, file.size() + 8);
  EXPECT_EQ(report_pyc(scratch_.write("x.pyc", file + "no seal."), {}).value().body,
            tiny_code() + "no seal.");
}

TEST_F(PycReportTest, OfAnOverlaysFileTheSourceIsThatOfTheTree) {
  const std::string overlay = scratch_ / "overlay";
  std::filesystem::create_directories(overlay + "/tree");
  const auto file =
      seal_overlay_file(encode_pyc_header(hashed(PycKind::checked_hash, 1)) + tiny_code(), kMagic);
  const auto path = scratch_.write("overlay/tree/x.cpython-311.pyc", file);
  EXPECT_EQ(report_pyc(path, {}, overlay).value().source, "/tree/x.py");
  EXPECT_EQ(report_pyc(path, {}, {}).value().source, overlay + "/tree/x.cpython-311.py");
}

TEST_F(PycReportTest, OfWhatIsNoneThereIsAReason) {
  const auto reason = [&](const std::string& contents) {
    return report_pyc(scratch_.write("x.pyc", contents), {}).error().reason;
  };
  const auto header = encode_pyc_header(timestamp_header(kMagic, kTime_s, 4));
  EXPECT_EQ(reason(""), Reason::bad_pyc);
  EXPECT_EQ(reason(header.substr(0, 15)), Reason::bad_pyc);
  EXPECT_EQ(reason(header.substr(0, 4) + "\7" + header.substr(5)), Reason::bad_pyc) << "unknown flags";
  EXPECT_EQ(reason("\xff\x7f" + header.substr(2)), Reason::bad_pyc) << "unknown magic number";
  const auto pypy = report_pyc(scratch_.write("x.pyc", "\x50\x01" + header.substr(2)), {});  // 336
  EXPECT_EQ(pypy.error().reason, Reason::bad_pyc);
  EXPECT_TRUE(pypy.error().message.ends_with("x.pyc: magic number 336 is PyPy's, whose bytecode is its own"));
  EXPECT_EQ(report_pyc(scratch_ / "none.pyc", {}).error().reason, Reason::system);
  EXPECT_EQ(report_pyc(scratch_.path(), {}).error().reason, Reason::system);
  ASSERT_EQ(::mkfifo((scratch_ / "fifo.pyc").c_str(), 0600), 0);
  EXPECT_EQ(report_pyc(scratch_ / "fifo.pyc", {}).error().reason, Reason::system);
}

}  // namespace
}  // namespace kiln

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/overlay.h"
#include "common/pyc.h"
#include "common/source_hash.h"
#include "tests/unit/scratch.h"

namespace kiln {
namespace {

constexpr std::uint32_t kMagic311 = 0x0a0d0da7;

TEST(OverlayPath, IsThatOfAPycachePrefix) {
  for (const int level : {0, 1, 2}) {
    for (const std::string source : {"/a/b/mod.py", "/mod.py", "/a/with space/x.y.py"}) {
      const auto pyc = cache_from_source(source, "cpython-311", level);
      EXPECT_EQ(overlay_path("/c/overlay", pyc),
                cache_from_source(source, "cpython-311", level, "/c/overlay"));
    }
  }
}

TEST(OverlayPath, OnlyPlainPathsHaveOne) {
  for (const char* pyc :
       {"", "x.pyc", "__pycache__/x.pyc", "a/__pycache__/x.pyc", "/a/x.pyc", "/a/pycache__/x.pyc",
        "/a/../__pycache__/x.pyc", "/a/./__pycache__/x.pyc", "//a/__pycache__/x.pyc", "/a//__pycache__/x.pyc",
        "/a/__pycache__/", "/a/__pycache__/..", "/__pycache__"}) {
    EXPECT_EQ(overlay_path("/c", pyc), "") << pyc;
  }
}

TEST(OverlayPath, LeadsBackToTheSource) {
  EXPECT_EQ(overlaid_source("/c", "/c/a/mod.cpython-311.pyc"), "/a/mod.py");
  EXPECT_EQ(overlaid_source("/c", "/c/a/mod.cpython-311.opt-2.pyc"), "/a/mod.py");
  EXPECT_EQ(overlaid_source("/c", "/c/mod.cpython-311.pyc"), "/mod.py");
  EXPECT_EQ(overlaid_source("/c", "/c/a/mod.pyc"), "");
  EXPECT_EQ(overlaid_source("/c", "/d/a/mod.cpython-311.pyc"), "");
}

TEST(OverlayHeader, HoldsTheHashOfTheSource) {
  const auto header = overlay_header("x = 1\n", kMagic311);
  ASSERT_TRUE(header);
  const auto parsed = parse_pyc_header(*header);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->magic, kMagic311);
  EXPECT_EQ(parsed->kind, PycKind::checked_hash);
  EXPECT_EQ(parsed->source_hash, source_hash("x = 1\n", kMagic311));
  EXPECT_NE(overlay_header("x = 2\n", kMagic311), header);
}

TEST(OverlayHeader, IsNotForVersionsWithoutHashes) {
  constexpr std::uint32_t kMagic27 = 0x0a0df303;
  EXPECT_FALSE(overlay_header("x = 1\n", kMagic27));
}

TEST(OverlaySeal, TellsEveryFlippedBit) {
  const std::string contents = *overlay_header("x = 1\n", kMagic311) + "some code";
  const std::string sealed = seal_overlay_file(contents, kMagic311);
  EXPECT_EQ(sealed.size(), contents.size() + 8);
  EXPECT_EQ(unseal_overlay_file(sealed, kMagic311), contents);
  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    std::string damaged = sealed;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    EXPECT_FALSE(unseal_overlay_file(damaged, kMagic311)) << "bit " << bit;
  }
}

TEST(OverlaySeal, IsMissingFromWhatWasCutOff) {
  const std::string sealed = seal_overlay_file(*overlay_header("", kMagic311) + "code", kMagic311);
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    EXPECT_FALSE(unseal_overlay_file(sealed.substr(0, size), kMagic311)) << size;
  }
  EXPECT_FALSE(unseal_overlay_file(sealed + '\0', kMagic311));
}

TEST(Unwritable, IsWhatTheUserMayNotWrite) {
  Scratch scratch;
  const std::string dir = scratch / "tree";
  ::mkdir(dir.c_str(), 0755);
  const std::string pyc = dir + "/__pycache__/x.cpython-311.pyc";
  EXPECT_FALSE(is_unwritable(pyc));
  ::mkdir((dir + "/__pycache__").c_str(), 0755);
  EXPECT_FALSE(is_unwritable(pyc));
  EXPECT_FALSE(is_unwritable("/no/such/directory/__pycache__/x.cpython-311.pyc"));
  if (::geteuid() == 0) return;  // may write everywhere
  ::chmod((dir + "/__pycache__").c_str(), 0555);
  EXPECT_TRUE(is_unwritable(pyc));
}

}  // namespace
}  // namespace kiln

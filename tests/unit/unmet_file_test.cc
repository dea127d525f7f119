#include "daemon/unmet_file.h"

#include <gtest/gtest.h>

#include "common/pyc.h"
#include "tests/unit/scratch.h"

namespace kiln {
namespace {

constexpr std::uint32_t kMagic = 0x0a0d0da7;

class UnmetFile : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return scratch_.path() + "/" + name; }
  Scratch scratch_;
};

TEST_F(UnmetFile, HasTheBytecodeThatLiesBesideIt) {
  scratch_.write("mod.py", "x = 1\n");
  scratch_.write("__pycache__/mod.cpython-311.pyc", encode_pyc_header(timestamp_header(kMagic, 1, 2)));
  scratch_.write("__pycache__/mod.cpython-312.opt-2.pyc", "?");
  scratch_.write("__pycache__/mod.cpython-311.pyc.1234", "another's temporary file");
  scratch_.write("__pycache__/model.cpython-311.pyc", "another's");
  const KnownFile found = unmet_file(path("mod.py"));
  EXPECT_EQ(found.source, path("mod.py"));
  ASSERT_EQ(found.entries.size(), 2U);
  EXPECT_EQ(found.entries[0].pyc, path("__pycache__/mod.cpython-311.pyc"));
  EXPECT_EQ(found.entries[0].cache_tag, "cpython-311");
  EXPECT_EQ(found.entries[0].magic, kMagic);
  EXPECT_EQ(found.entries[0].executable, "");
  EXPECT_EQ(found.entries[1].optimize, 2);
  EXPECT_EQ(found.entries[1].magic, 0U) << "no header";
}

TEST_F(UnmetFile, IsFoundByOneOfItsBytecodeFiles) {
  scratch_.write("mod.py", "x = 1\n");
  scratch_.write("__pycache__/mod.cpython-312.pyc", "?");
  const std::string pyc =
      scratch_.write("__pycache__/mod.cpython-311.pyc", encode_pyc_header(timestamp_header(kMagic, 1, 2)));
  const KnownFile found = unmet_bytecode(pyc);
  EXPECT_EQ(found.source, path("mod.py"));
  ASSERT_EQ(found.entries.size(), 1U);
  EXPECT_EQ(found.entries[0].pyc, pyc);
  EXPECT_FALSE(unmet_bytecode(path("__pycache__/mod.cpython-310.pyc")).is_known());
  EXPECT_FALSE(unmet_bytecode(path("notes.txt")).is_known());
}

TEST_F(UnmetFile, BytecodeOfAnotherVersionThanItsNameSaysIsOfNone) {
  const std::string of_311 = encode_pyc_header(timestamp_header(kMagic, 1, 2));
  scratch_.write("mod.py", "x = 1\n");
  for (const char* tag : {"cpython-311", "cpython-38", "pypy39"})
    scratch_.write("__pycache__/mod." + std::string(tag) + ".pyc", of_311);
  const KnownFile found = unmet_file(path("mod.py"));
  ASSERT_EQ(found.entries.size(), 3U);
  EXPECT_EQ(found.entries[0].magic, kMagic);
  EXPECT_EQ(found.entries[1].magic, 0U);
  EXPECT_EQ(found.entries[2].magic, kMagic) << "what PyPy writes is not known";
}

TEST_F(UnmetFile, WhatIsInItsPlaceIsTold) {
  scratch_.write("mod.py", "x = 1\n");
  std::filesystem::create_directories(path("__pycache__/mod.cpython-311.pyc"));
  const KnownFile found = unmet_file(path("mod.py"));
  ASSERT_EQ(found.entries.size(), 1U);
  EXPECT_EQ(found.entries[0].magic, 0U);
}

TEST_F(UnmetFile, MayHaveNone) {
  EXPECT_TRUE(unmet_file(path("mod.py")).entries.empty());
  EXPECT_FALSE(unmet_file(path("mod.py")).is_known());
}

}  // namespace
}  // namespace kiln

#include "common/imported_sources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kiln {
namespace {

using testing::ElementsAre;

TEST(ImportedSources, SourceAndBytecodeAreOneModule) {
  EXPECT_THAT(imported_sources({"/p/b.py", "/p/__pycache__/a.cpython-311.pyc", "/p/a.py",
                                "/p/__pycache__/b.cpython-311.opt-2.pyc"}),
              ElementsAre("/p/a.py", "/p/b.py"));
}

TEST(ImportedSources, BytecodeAloneStandsForItsFormerSource) {
  EXPECT_THAT(imported_sources({"/p/a.pyc"}), ElementsAre("/p/a.py"));
}

TEST(ImportedSources, LeavesOutWhatNamesNoSource) {
  EXPECT_THAT(imported_sources({"a.py", "", "/prefix/p/a.cpython-311.pyc", "/p/__pycache__/odd.pyc"}),
              ElementsAre());
}

TEST(ImportedSources, HashesTellSetsApart) {
  EXPECT_EQ(hash_of_sources({"/a.py", "/b.py"}), hash_of_sources({"/a.py", "/b.py"}));
  EXPECT_NE(hash_of_sources({"/a.py", "/b.py"}), hash_of_sources({"/b.py", "/a.py"}));
  EXPECT_NE(hash_of_sources({"/a.py"}), hash_of_sources({}));
}

}  // namespace
}  // namespace kiln

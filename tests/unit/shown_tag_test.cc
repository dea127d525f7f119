#include "daemon/shown_tag.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

TEST(ShownTag, IsNeverEmptyForAVersionThatIsKnown) {
  IndexEntry entry;
  entry.cache_tag = "cpython-311";
  entry.magic = 0x0a0d0da7;
  EXPECT_EQ(shown_tag(entry), "cpython-311");
  entry.cache_tag = "";
  entry.magic = 0x0a0df303;  // 62211: 2.7
  EXPECT_EQ(shown_tag(entry), "cpython-27");
  entry.magic = 1;
  EXPECT_EQ(shown_tag(entry), "");
}

}  // namespace
}  // namespace kiln

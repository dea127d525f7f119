#include "common/json_text.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

std::string text_of(std::string_view string) {
  return json_text(boost::json::value(string));
}

TEST(JsonText, IsJsonWhateverTheBytes) {
  EXPECT_EQ(json_text({{"a", 1}, {"b", nullptr}}), R"({"a":1,"b":null})");
  EXPECT_EQ(text_of("\u00e4\U0001f525\"\n"), "\"\u00e4\U0001f525\\\"\\n\"");
  EXPECT_EQ(text_of("/\xff/\xc3"), R"("/\udcff/\udcc3")");
  EXPECT_EQ(text_of("\xed\xb3\xbf"), R"("\udcff")") << "a surrogate, as marshal has it";
  EXPECT_EQ(text_of("\xed\xa0\xbd"), R"("\ud83d")");
  EXPECT_EQ(text_of("\xed\xa0"), R"("\udced\udca0")");
}

}  // namespace
}  // namespace kiln

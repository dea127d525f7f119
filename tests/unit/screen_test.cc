#include "common/screen.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

TEST(Screen, WidthIsThatOfCharactersWithoutColours) {
  EXPECT_EQ(display_width("abc"), 3U);
  EXPECT_EQ(display_width("\x1b[1;31mäöü\x1b[0m"), 3U);
  EXPECT_EQ(display_width("\x1b[31"), 4U);  // no colour: it does not end
}

TEST(Screen, ShortenedKeepsMostOfTheEnd) {
  EXPECT_EQ(shortened("/usr/lib/python3/x.py", 21), "/usr/lib/python3/x.py");
  EXPECT_EQ(shortened("/usr/lib/python3/x.py", 15), "/usr...on3/x.py");
}

TEST(Screen, ShortenedIsNeverWiderThanAsked) {
  const std::string path = "/ä/ö/ü/verzeichnis/datei.py";
  for (std::size_t width = 0; width < 40; ++width) EXPECT_LE(display_width(shortened(path, width)), width);
  EXPECT_EQ(shortened("ääääääääää", 6), "ä...ää");
}

TEST(Screen, LinesThatFitStayAsTheyAre) {
  EXPECT_EQ(wrapped("one two\n\n three\n", 7), "one two\n\n three\n");
  EXPECT_EQ(wrapped("one two three", 0), "one two three");
}

TEST(Screen, LongLinesAreBrokenAtSpaces) {
  EXPECT_EQ(wrapped("one two three four\nfive", 9), "one two\nthree\nfour\nfive");
  EXPECT_EQ(wrapped("  one two three\n", 9), "  one two\n  three\n");
  EXPECT_EQ(wrapped("Seen by: one two three\n", 20), "Seen by: one two\n  three\n");
}

TEST(Screen, AColumnGoesOnBelowItself) {
  EXPECT_EQ(wrapped("ok  path  one two three four\n", 22), "ok  path  one two\n          three four\n");
}

TEST(Screen, AWordThatIsTooLongIsShortenedInTheMiddle) {
  EXPECT_EQ(wrapped("in /a/very/long/path/x.py now\n", 12), "in\n/a/...h/x.py\nnow\n");
}

TEST(Screen, ALongWordStaysWholeIfItIsWanted) {
  EXPECT_EQ(wrapped("error: no /a/very/long/path/x.py", 12, Indented::others, LongWords::whole),
            "error: no\n  /a/very/long/path/x.py");
}

TEST(Screen, WhatIsCutShortKeepsItsBeginning) {
  EXPECT_EQ(cut_short("3:7: SyntaxError", 16), "3:7: SyntaxError");
  EXPECT_EQ(cut_short("3:7: SyntaxError", 10), "3:7: Sy...");
  EXPECT_EQ(cut_short("äöüß", 2), "äö");
  EXPECT_EQ(cut_short("äöüß", 0), "");
}

TEST(Screen, HintsAndOthersTextStayWhole) {
  const std::string hint = "  hint: kiln precompile /a/long/path.py\n";
  EXPECT_EQ(wrapped(hint, 10), hint);
  const std::string source = "    x = one + two + three\n        ^\n";
  EXPECT_EQ(wrapped(source, 12, Indented::others), source);
  EXPECT_NE(wrapped(source, 12), source);
}

TEST(Screen, ACommandAtTheEndOfALineStaysWhole) {
  EXPECT_EQ(wrapped("  The next import compiles it, and so does: kiln precompile /a/long/path.py\n", 40),
            "  The next import compiles it, and so\n  does:\n  kiln precompile /a/long/path.py\n");
  EXPECT_EQ(wrapped("  What takes that away: mv /a/long/path /a/long/path.aside\n", 30),
            "  What takes that away:\n  mv /a/long/path /a/long/path.aside\n");
  EXPECT_EQ(wrapped("  So does: kiln precompile '/a/long path.py'", 20),
            "  So does:\n  kiln precompile '/a/long path.py'");
}

TEST(Screen, WhatIsWrappedFits) {
  const std::string text =
      "\x1b[32mok\x1b[0m    a check            a sentence of many words, one of which is "
      "/a/path/that/is/long\n";
  for (unsigned columns = 12; columns < 90; ++columns) {
    std::string lines = wrapped(text, columns);
    while (!lines.empty()) {
      const std::size_t end = lines.find('\n');
      EXPECT_LE(display_width(lines.substr(0, end)), columns) << lines;
      lines.erase(0, end + 1);
    }
  }
}

}  // namespace
}  // namespace kiln

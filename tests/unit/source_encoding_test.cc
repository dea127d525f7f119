#include "daemon/source_encoding.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

TEST(SourceEncoding, IsDeclaredInOneOfTheFirstTwoLines) {
  EXPECT_EQ(declared_encoding("# -*- coding: latin-1 -*-\nx = 1\n"), "latin-1");
  EXPECT_EQ(declared_encoding("#!/usr/bin/python3\r\n# vim: set fileencoding=euc-jp :\r\n"), "euc-jp");
  EXPECT_EQ(declared_encoding("\n\t# coding:cp1252"), "cp1252");
  EXPECT_EQ(declared_encoding("x = 1\n# coding: latin-1\n"), "") << "that comes too late";
  EXPECT_EQ(declared_encoding("#\n#\n# coding: latin-1\n"), "");
  EXPECT_EQ(declared_encoding("coding = 1\n"), "");
  EXPECT_EQ(declared_encoding(""), "");
  EXPECT_EQ(declared_encoding("# " + std::string(10'000'000, 'x')), "");
}

TEST(SourceEncoding, TextOfItIsMadeUtf8) {
  EXPECT_EQ(in_utf8("\xe9 = 1", "latin-1"), "é = 1");
  EXPECT_EQ(in_utf8("\xa4", "iso-8859-15"), "€");
  EXPECT_EQ(in_utf8("\xb4\xc1", "euc-jp"), "漢");
  EXPECT_EQ(in_utf8("\xe9", "nonsense"), "\xe9");
  EXPECT_EQ(in_utf8("\xe9", "utf-8"), "\xe9") << "it is not";
  EXPECT_EQ(in_utf8("", "latin-1"), "");
}

}  // namespace
}  // namespace kiln

#include "client/list_report.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

#include "common/screen.h"

namespace kiln {
namespace {

ListEntry entry() {
  ListEntry entry;
  entry.set_source("/app/mod.py");
  entry.set_tag("cpython-311");
  entry.set_state("fresh");
  return entry;
}

std::string document_of(const std::vector<ListEntry>& entries) {
  std::string text;
  ListReport report(ListReport::Form::json, {}, [&](std::string_view more) { text += more; });
  for (const auto& one : entries) report.add(one);
  report.finish();
  return text;
}

TEST(ListReportTest, ALine) {
  ListEntry one = entry();
  EXPECT_EQ(list_line(one, {}), "fresh   /app/mod.py  cpython-311");
  one.set_optimize(2);
  one.set_overlaid(true);
  EXPECT_EQ(list_line(one, {}), "fresh   /app/mod.py  cpython-311 opt-2 overlay");
  one.set_state("error");
  one.set_error_type("SyntaxError");
  one.set_error_message("bad\x1b[31m");
  one.set_line(3);
  one.set_column(7);
  EXPECT_EQ(list_line(one, {}),
            "error   /app/mod.py  cpython-311 opt-2 overlay  3:7: SyntaxError: bad\\x1b[31m");
}

TEST(ListReportTest, WhatItIsSortedByIsShown) {
  ListEntry one = entry();
  EXPECT_EQ(list_line(one, {.measure = ListMeasure::size}), "fresh           -  /app/mod.py  cpython-311");
  one.set_size(1'234'567);
  one.set_made_us(12'345);
  EXPECT_EQ(list_line(one, {.measure = ListMeasure::size}), "fresh     1.2 MiB  /app/mod.py  cpython-311");
  EXPECT_EQ(list_line(one, {.measure = ListMeasure::cost}), "fresh     12.3 ms  /app/mod.py  cpython-311");
  ASSERT_EQ(::setenv("TZ", "UTC", 1), 0);
  one.set_modified_ns(1'700'000'000'000'000'000);
  EXPECT_EQ(list_line(one, {.measure = ListMeasure::time}),
            "fresh   2023-11-14 22:13  /app/mod.py  cpython-311");
}

TEST(ListReportTest, WhereAnErrorIsComesFirst) {
  ListEntry one = entry();
  one.set_source("/" + std::string(100, 'd') + "/module.py");
  one.set_error_type("SyntaxError");
  one.set_error_message(std::string(100, 'e'));
  one.set_line(12345);
  one.set_column(7);
  const std::string line = list_line(one, {80, false});
  EXPECT_NE(line.find("module.py  cpython-311  12345:7: SyntaxError: e"), std::string::npos) << line;
}

TEST(ListReportTest, OnlyWhatIsKnownOfAPlaceIsShown) {
  ListEntry one = entry();
  one.set_error_type("UnicodeDecodeError");
  one.set_error_message("bad");
  EXPECT_EQ(list_line(one, {}), "fresh   /app/mod.py  cpython-311  UnicodeDecodeError: bad");
  one.set_line(3);
  EXPECT_EQ(list_line(one, {}), "fresh   /app/mod.py  cpython-311  3: UnicodeDecodeError: bad");
}

TEST(ListReportTest, ColoursAddNothingToTheWords) {
  EXPECT_EQ(list_line(entry(), {0, true}), "\x1b[32mfresh\x1b[0m   /app/mod.py  cpython-311");
}

TEST(ListReportTest, ALineFitsItsTerminal) {
  ListEntry one = entry();
  one.set_source("/" + std::string(100, 'd') + "/module.py");
  one.set_error_type("SyntaxError");
  one.set_error_message(std::string(100, 'e'));
  for (unsigned columns = 60; columns < 300; columns += 7)
    EXPECT_LE(display_width(list_line(one, {columns, true, ListMeasure::time})), columns);
  for (unsigned columns = 40; columns < 300; columns += 7)
    EXPECT_LE(display_width(list_line(one, {columns, true})), columns);
  EXPECT_GT(list_line(one, {}).size(), 200U) << "a pipe gets all of it";
}

TEST(ListReportTest, TheDocumentHoldsAnyBytes) {
  ListEntry one = entry();
  one.set_source("/app/\"q\"\\\n\xff\xc3\xa4.py");
  one.set_made_us(1234);
  EXPECT_EQ(document_of({}), "{\"version\":1,\"entries\":[]}\n");
  const std::string text = document_of({one, entry()});
  EXPECT_NE(text.find(R"("/app/\"q\"\\\u000a\udcff)"
                      "\xc3\xa4.py\""),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("\"made_us\":1234,\"restored\":false}"), std::string::npos) << text;
  const auto plain = boost::json::parse(document_of({entry(), entry()}));
  EXPECT_EQ(plain.at("entries").as_array().size(), 2U);
}

TEST(ListReportTest, ALongListIsWrittenAsItComes) {
  std::size_t writes = 0;
  ListReport report(ListReport::Form::json, {}, [&](std::string_view) { ++writes; });
  for (int i = 0; i < 1'000; ++i) report.add(entry());
  EXPECT_GE(writes, 2U);
}

}  // namespace
}  // namespace kiln

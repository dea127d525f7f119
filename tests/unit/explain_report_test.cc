#include "client/explain_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <filesystem>

namespace kiln {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const std::string kUsual = std::filesystem::canonical("/usr/bin/python3");

class ExplainReport : public testing::Test {
 protected:
  ExplainReport() {
    reply_.set_source("/app/mod.py");
    reply_.set_source_exists(true);
    entry_.set_pyc("/app/__pycache__/mod.cpython-311.pyc");
    entry_.set_python("/usr/bin/python3");
    entry_.set_version("3.11.2");
    entry_.set_kind("timestamp");
    entry_.set_state("fresh");
    reply_.mutable_watched()->set_how("no");
    reply_.mutable_watched()->set_path("/app");
  }

  void add_importer(const std::string& entry, std::int64_t seconds_ago) {
    auto& importer = *reply_.add_importers();
    importer.set_entry(entry);
    importer.set_python("/usr/bin/python3");
    importer.set_version("3.11.2");
    importer.set_last_run_s(kNow_s - seconds_ago);
    reply_.set_importers_count(reply_.importers_count() + 1);
  }

  std::string text() {
    proto::ExplainReply reply = reply_;
    *reply.add_entries() = entry_;
    return explanation_text(reply, {kNow_s, "/app", kUsual});
  }

  static constexpr std::int64_t kNow_s = 1'700'000'000;
  proto::ExplainReply reply_;
  proto::ExplainReply::Entry entry_;
};

TEST_F(ExplainReport, Fresh) {
  EXPECT_EQ(text(),
            "/app/mod.py: fresh for /usr/bin/python3 (Python 3.11.2)\n"
            "  Its bytecode, /app/__pycache__/mod.cpython-311.pyc, has the time and size of the source.\n"
            "  It is compiled anew when the source's time or size changes, or when /usr/bin/python3 "
            "becomes another version of Python.\n"
            "Imported by: no program that `kiln run` served\n"
            "Watched: no. To have changes compiled by themselves: kiln watch /app\n");
}

TEST_F(ExplainReport, WhatItIsAndWhatItCost) {
  entry_.set_tag("cpython-311");
  entry_.set_magic(3495);
  EXPECT_THAT(text(), HasSubstr("  Its tag is cpython-311, its magic number 3495.\n"));
  EXPECT_THAT(text(), testing::Not(HasSubstr(" ms.")));
  entry_.set_made_us(12'340);
  EXPECT_THAT(text(), HasSubstr("  Compiling it took 12.3 ms.\n"));
  entry_.set_restored(true);
  EXPECT_THAT(text(), HasSubstr("  It was restored from the store, in 12.3 ms.\n"));
  entry_.set_state("error");
  EXPECT_THAT(text(), HasSubstr("  Finding that out took 12.3 ms.\n"));
}

TEST_F(ExplainReport, FreshByHash) {
  entry_.set_optimize(2);
  entry_.set_kind("unchecked-hash");
  EXPECT_THAT(text(), HasSubstr("(Python 3.11.2) with -OO\n"));
  EXPECT_THAT(text(), HasSubstr("has the hash of the source, which Python itself does not compare"));
}

TEST_F(ExplainReport, EveryReasonHasItsSentence) {
  entry_.set_state("stale");
  for (const std::string why : {"missing", "unreadable", "bad-header", "magic", "mtime", "size", "hash",
                                "body", "changed", "doubtful"}) {
    entry_.set_why(why);
    EXPECT_THAT(text(), testing::Not(HasSubstr("is not that of the source"))) << why;
    EXPECT_THAT(text(), HasSubstr("kiln precompile /app/mod.py")) << why;
  }
  entry_.set_why("mtime");
  EXPECT_THAT(text(), HasSubstr("mod.cpython-311.pyc, is of a source with another time.\n"));
}

TEST_F(ExplainReport, AnErrorHasACaret) {
  entry_.set_state("error");
  auto& error = *entry_.mutable_error();
  error.set_type("SyntaxError");
  error.set_message("invalid syntax");
  error.set_line(2);
  error.set_column(8);
  error.set_text("\tü = 1 = = \x1b[31m\xff");
  EXPECT_THAT(text(), HasSubstr("  Line 2: SyntaxError: invalid syntax\n"
                                "    \tü = 1 = = ?[31m?\n"
                                "    \t      ^\n"
                                "  It is tried again when the source's time or size changes.\n"));
}

// By columns: a terminal shows some characters wider than others. Where it is not known how wide, there is no
// caret.
TEST_F(ExplainReport, TheCaretIsBelowItsColumn) {
  entry_.set_state("error");
  auto& error = *entry_.mutable_error();
  error.set_line(1);
  error.set_column(14);
  error.set_text("x = \"漢字かな\" + ) 1");
  EXPECT_THAT(text(), HasSubstr("    x = \"漢字かな\" + ) 1\n" + std::string(21, ' ') + "^\n"));
  error.set_column(12);
  error.set_text("x = \"😀😀\" + ) 1");
  EXPECT_THAT(text(), HasSubstr("    x = \"😀😀\" + ) 1\n" + std::string(17, ' ') + "^\n"));
  error.set_column(14);
  for (const std::string joined : {"e\u0301e\u0301", "👩\u200d💻a", "☀\ufe0fab"}) {
    error.set_text("x = \"" + joined + "\" + ) 1");
    EXPECT_THAT(text(), HasSubstr(error.text() + "\n  It is tried again")) << joined;
  }
  error.set_text("x = 123456 + ) 1  # e\u0301 is behind it");
  EXPECT_THAT(text(),
              HasSubstr("    x = 123456 + ) 1  # e\u0301 is behind it\n" + std::string(17, ' ') + "^\n"));
}

TEST_F(ExplainReport, OfALineOfWideCharactersWhatIsAroundTheCaretIsShown) {
  entry_.set_state("error");
  auto& error = *entry_.mutable_error();
  std::string line;
  for (int i = 0; i < 50; ++i) line += i == 25 ? ")" : "漢";
  error.set_text(line);
  error.set_column(26);
  proto::ExplainReply reply = reply_;
  *reply.add_entries() = entry_;
  for (const unsigned columns : {40U, 41U}) {
    const std::string text = explanation_text(reply, {kNow_s, "/app", kUsual, columns});
    const std::size_t begin = text.find("    ...");
    const std::string code = text.substr(begin, text.find('\n', begin) - begin);
    const std::size_t before = code.find(')');
    std::size_t at = 0;  // in columns
    for (std::size_t i = 0; i < before; i += code[i] < 0 ? 3 : 1) at += code[i] < 0 ? 2 : 1;
    EXPECT_THAT(text, HasSubstr("\n" + std::string(at, ' ') + "^\n")) << columns;
    std::size_t width = 0;
    for (std::size_t i = 0; i < code.size(); i += code[i] < 0 ? 3 : 1) width += code[i] < 0 ? 2 : 1;
    EXPECT_EQ(width, columns - 1) << code;
  }
}

TEST_F(ExplainReport, WhatKeepsAFileFromBeingWrittenIsTriedAgainSoon) {
  entry_.set_state("error");
  entry_.mutable_error()->set_type("OSError");
  entry_.mutable_error()->set_message("No space left on device");
  EXPECT_THAT(text(),
              HasSubstr("  no space left on device\n"
                        "  The next import tries it again, and so does: kiln precompile /app/mod.py\n"));
}

// As wide as the terminal, with the caret below the same place.
TEST_F(ExplainReport, OfALongLineWhatIsAroundTheCaretIsShown) {
  entry_.set_state("error");
  auto& error = *entry_.mutable_error();
  std::string digits;
  for (int i = 0; i < 100; ++i) digits += static_cast<char>('0' + i % 10);
  error.set_text("\t" + digits);
  for (const int column : {1, 2, 9, 30, 50, 88, 101, 102}) {
    error.set_column(column);
    proto::ExplainReply reply = reply_;
    *reply.add_entries() = entry_;
    const std::string text = explanation_text(reply, {kNow_s, "/app", kUsual, 40});
    const std::size_t end = text.find("^\n");
    const std::size_t caret_line = text.rfind('\n', end) + 1;
    const std::size_t code_line = text.rfind('\n', caret_line - 2) + 1;
    const std::string code = text.substr(code_line, caret_line - 1 - code_line);
    const std::string caret = text.substr(caret_line, end + 1 - caret_line);
    const std::size_t at = caret.find('^');
    EXPECT_LE(code.size(), 40U) << column;
    EXPECT_LE(caret.size(), 40U) << column;
    const std::string meant = column == 1     ? " "
                              : column == 102 ? ""
                                              : digits.substr(static_cast<std::size_t>(column) - 2, 1);
    EXPECT_EQ(code.substr(std::min(at, code.size()), 1), meant) << column << "\n" << code << "\n" << caret;
    EXPECT_THAT(code, HasSubstr("...")) << column;
  }
}

TEST_F(ExplainReport, Orphans) {
  entry_.set_state("orphan");
  EXPECT_THAT(text(), HasSubstr("kiln clean --orphans removes it"));
  entry_.set_sourceless(true);
  EXPECT_THAT(text(), HasSubstr("Python imports it without its source"));
}

TEST_F(ExplainReport, WhatElseThereIsToSay) {
  entry_.set_other_version(true);
  entry_.set_overlaid(true);
  entry_.set_warnings("/app/mod.py:1: SyntaxWarning: odd\n  x\n");
  EXPECT_THAT(text(), HasSubstr("is another version by now"));
  EXPECT_THAT(text(), HasSubstr("lies in Kiln's overlay"));
  EXPECT_THAT(text(), HasSubstr("Compiling it said:\n    /app/mod.py:1: SyntaxWarning: odd\n      x\n"));
}

TEST_F(ExplainReport, Importers) {
  add_importer("/app/manage.py", 0);
  add_importer("/elsewhere/x.py", 1);
  add_importer("-m app", 180);
  add_importer("-c", 7'200);
  EXPECT_THAT(text(),
              HasSubstr("Imported by: manage.py (python3.11, just now),"
                        " /elsewhere/x.py (python3.11, 1 second ago), -m app (python3.11, 3 minutes ago),"
                        " -c (python3.11, 2 hours ago)\n"));
  for (int i = 0; i < 6; ++i) add_importer("/z.py", 86'400);
  EXPECT_THAT(text(), HasSubstr("/z.py (python3.11, 1 day ago) and 2 more\n"));
}

TEST_F(ExplainReport, TheCommandIsForTheInterpreterAndLevelOfTheEntry) {
  entry_.set_state("stale");
  entry_.set_why("mtime");
  EXPECT_THAT(text(), HasSubstr(": kiln precompile /app/mod.py\n"));
  entry_.set_python("/opt/python/bin/python3.12");
  entry_.set_optimize(2);
  EXPECT_THAT(text(), HasSubstr(": kiln precompile --python /opt/python/bin/python3.12 -o 2 /app/mod.py\n"));
  entry_.set_interpreter_gone(true);
  EXPECT_THAT(text(), HasSubstr(": kiln precompile -o 2 /app/mod.py\n")) << "it cannot be asked for";
}

TEST_F(ExplainReport, ItIsToldWhatPythonItselfMakesOfStaleBytecode) {
  entry_.set_state("stale");
  entry_.set_why("hash");
  entry_.set_kind("unchecked-hash");
  entry_.set_taken(true);
  *reply_.add_entries() = entry_;
  EXPECT_THAT(text(), HasSubstr("Python takes it all the same, for it is not to be checked; what compiles it "
                                "anew is: kiln precompile /app/mod.py\n"));
  reply_.mutable_entries(0)->set_kind("checked-hash");
  EXPECT_THAT(text(), HasSubstr("The next import compiles it, and so does: kiln precompile"));
  reply_.mutable_entries(0)->set_kind("timestamp");
  reply_.mutable_entries(0)->set_why("changed");
  EXPECT_THAT(text(),
              HasSubstr("The next kiln run that imports it compiles it, and so does: kiln precompile"));
}

TEST_F(ExplainReport, WhatKilnHasNotMetIsOfAVersion) {
  entry_.set_python("");
  entry_.set_version("");
  entry_.set_tag("cpython-311");
  *reply_.add_entries() = entry_;
  EXPECT_THAT(text(), StartsWith("/app/mod.py: fresh for cpython-311\n"));
  EXPECT_THAT(text(), HasSubstr("It is compiled anew when the source's time or size changes.\n"));
  EXPECT_THAT(text(), HasSubstr("Kiln has not met it: Python, or something else, has made that.\n"));
}

// `kiln clean --orphans` leaves what Kiln has not met.
TEST_F(ExplainReport, AnOrphanComesWithWhatRemovesIt) {
  entry_.set_state("orphan");
  EXPECT_THAT(text(), HasSubstr("and kiln clean --orphans removes it.\n"));
  entry_.set_python("");
  EXPECT_THAT(text(), HasSubstr("What removes it: rm /app/__pycache__/mod.cpython-311.pyc\n"));
  EXPECT_THAT(text(), testing::Not(HasSubstr("--orphans")));
}

TEST_F(ExplainReport, OldBytecodeThatPythonTakesIsTold) {
  entry_.set_state("error");
  entry_.mutable_error()->set_type("SyntaxError");
  EXPECT_THAT(text(), testing::Not(HasSubstr("Python takes it")));
  entry_.set_taken(true);
  EXPECT_THAT(text(), HasSubstr("has its time and size: Python takes it all the same, and runs old code.\n"));
  entry_.set_kind("unchecked-hash");
  EXPECT_THAT(text(),
              HasSubstr("  Older bytecode of it, /app/__pycache__/mod.cpython-311.pyc, is there, and is "
                        "not to be checked: Python takes it all the same, and runs old code.\n"));
  entry_.set_state("stale");
  entry_.set_why("hash");
  EXPECT_THAT(text(), HasSubstr("Python takes it all the same, for it is not to be checked;"));
  entry_.set_taken(false);
  entry_.set_why("magic");
  EXPECT_THAT(text(), HasSubstr("The next import compiles it"));
}

TEST_F(ExplainReport, WhatIsInTheWayComesWithWhatTakesItAway) {
  for (const char* state : {"stale", "error"}) {
    entry_.set_state(state);
    entry_.set_in_the_way("a directory");
    entry_.set_way(entry_.pyc());
    EXPECT_THAT(text(),
                HasSubstr("  Where its bytecode, /app/__pycache__/mod.cpython-311.pyc, belongs, a directory "
                          "is in the way, over which Kiln writes nothing.\n"
                          "  What takes that away: mv /app/__pycache__/mod.cpython-311.pyc "
                          "/app/__pycache__/mod.cpython-311.pyc.aside\n"));
    EXPECT_THAT(text(), testing::Not(HasSubstr("kiln precompile")));
  }
}

TEST_F(ExplainReport, WhatIsInTheWayOfTheDirectoryIsNamed) {
  entry_.set_state("error");
  entry_.set_in_the_way("a file");
  entry_.set_way("/app/__pycache__");
  EXPECT_THAT(text(), HasSubstr("belongs, a file, at /app/__pycache__, is in the way, over which Kiln writes "
                                "nothing.\n"
                                "  What takes that away: mv /app/__pycache__ /app/__pycache__.aside\n"));
}

TEST_F(ExplainReport, AnInterpreterThatIsGone) {
  entry_.set_interpreter_gone(true);
  EXPECT_THAT(text(),
              HasSubstr("  /usr/bin/python3 is gone: only another interpreter could use this file.\n"));
}

TEST_F(ExplainReport, ABytecodeFileThatIsNotThere) {
  reply_.set_missing("/app/__pycache__/mod.cpython-39.pyc");
  EXPECT_THAT(text(),
              StartsWith("/app/__pycache__/mod.cpython-39.pyc: there is no such file. Of its source there "
                         "is to say:\n/app/mod.py: fresh for "));
  EXPECT_EQ(explanation_json(reply_).at("missing"), "/app/__pycache__/mod.cpython-39.pyc");
}

TEST_F(ExplainReport, WithoutBytecodeItIsToldWhatMakesSome) {
  reply_.set_source_exists(true);
  EXPECT_THAT(explanation_text(reply_, {kNow_s, "/", kUsual}),
              StartsWith("/app/mod.py: Kiln knows of no bytecode of it.\n"
                         "  The next import compiles it, and so does: kiln precompile /app/mod.py\n"));
}

TEST_F(ExplainReport, AProgramHasNoBytecode) {
  auto& run = *reply_.add_runs();
  run.set_python("/opt/pypy3");
  run.set_last_run_s(kNow_s - 5);
  EXPECT_THAT(explanation_text(reply_, {kNow_s, "/", kUsual}),
              StartsWith("/app/mod.py: Kiln knows of no bytecode of it.\n"
                         "  It is a program's main file, of which Python keeps none.\n"
                         "Run as a program: pypy3, 5 seconds ago\n"));
}

TEST_F(ExplainReport, Watched) {
  auto& watched = *reply_.mutable_watched();
  watched.set_reason("watch.ignore of /app has *.py");
  EXPECT_THAT(text(), HasSubstr("Watched: no: watch.ignore of /app has *.py.\n"));
  watched.clear_reason();
  watched.set_how("directory");
  EXPECT_THAT(text(), HasSubstr("Watched: /app, for what was imported; a change is compiled by itself.\n"));
  watched.set_how("root");
  watched.set_state("watching");
  EXPECT_THAT(text(), HasSubstr("Watched: below /app; a change is compiled by itself.\n"));
  watched.set_state("by-stat");
  watched.set_reason("nfs file system");
  EXPECT_THAT(text(), HasSubstr("Watched: below /app, which is by-stat: nfs file system.\n"));
}

TEST_F(ExplainReport, Json) {
  *reply_.add_entries() = entry_;
  add_importer("-c", 0);
  EXPECT_EQ(boost::json::serialize(explanation_json(reply_)),
            R"({"version":1,"source":"/app/mod.py","exists":true,"entries":[{)"
            R"("pyc":"/app/__pycache__/mod.cpython-311.pyc","python":"/usr/bin/python3","version":"3.11.2",)"
            R"("tag":"","optimize":0,"state":"fresh","why":null,"kind":"timestamp","overlaid":false,)"
            R"("other_version":false,"sourceless":false,"magic":0,"taken":false,"in_the_way":null,)"
            R"("interpreter_gone":false,"made_us":null,"restored":false,"error":null,)"
            R"("warnings":null}],)"
            R"("imported_by":[{"entry":"-c","python":"/usr/bin/python3","version":"3.11.2",)"
            R"("last_run_s":1700000000}],"imported_by_count":1,"run_as_program":[],)"
            R"("watched":{"how":"no","path":"/app","state":null,"reason":null,"hint":null}})");
}

}  // namespace
}  // namespace kiln

#include "daemon/index.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "common/overlay.h"
#include "common/pyc.h"
#include "common/unique_fd.h"
#include "daemon/digest.h"
#include "tests/unit/full_disk.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tiny_code.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;

constexpr std::uint32_t kMagic = 0x0a0d0da7;

InterpreterInfo python(const std::string& executable = "/usr/bin/python3", std::uint32_t magic = kMagic) {
  InterpreterInfo info;
  info.path = info.executable = executable;
  info.binary = {"/usr/bin/python3.11", 1, 2, 3};
  info.implementation = "cpython";
  info.version = "3.11.2";
  info.cache_tag = "cpython-311";
  info.magic = magic;
  return info;
}

FileStamp stamp(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
  return stamp_of(status);
}

void set_mtime(const std::string& path, std::int64_t seconds) {
  const timespec times[2] = {{0, UTIME_OMIT}, {seconds, 0}};
  EXPECT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
}

void execute(const std::string& path, const char* sql) {
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &database), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(database, sql, nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(database);
}

class IndexTest : public testing::Test {
 protected:
  Index open() const {
    auto index = Index::open(path());
    if (!index) throw std::runtime_error(index.error().message);
    return std::move(*index);
  }

  std::string path() const { return scratch_ / "index.db"; }

  // A source with good bytecode, on disk.
  FileResult compiled(const std::string& name) const {
    FileResult file;
    file.source = scratch_.write(name, "x = 1\n");
    set_mtime(file.source, 1'700'000'000);
    file.source_stamp = stamp(file.source);
    file.source_content = content_id(sha256("x = 1\n"));
    write_pyc(name, kMagic);
    file.pyc = file.source + "c";
    file.pyc_stamp = stamp(file.pyc);
    file.outcome = FileOutcome::compiled;
    return file;
  }

  // Good bytecode for the source as it is now.
  void write_pyc(const std::string& name, std::uint32_t magic) const {
    const auto source = stamp(scratch_ / name);
    while (!is_settled(source)) std::this_thread::yield();  // for the clock that files have their times from
    const auto header = timestamp_header(magic, source.python_mtime_s(), source.size);
    scratch_.write(name + "c.next", encode_pyc_header(header) + tiny_code());
    std::filesystem::rename(scratch_ / (name + "c.next"), scratch_ / (name + "c"));  // as Python does
  }

  FileResult failed(const std::string& name) const {
    FileResult file;
    file.source = scratch_.write(name, "x = \n");
    file.source_stamp = stamp(file.source);
    file.pyc = file.source + "c";
    file.outcome = FileOutcome::error;
    file.error = CompileError{"SyntaxError", "invalid syntax", 1, 5};
    return file;
  }

  // state and source's name of each entry
  std::vector<std::string> listed(Index& index, const IndexFilter& filter = {}) const {
    std::vector<std::string> lines;
    const auto done = index.list(filter, [&](const IndexEntry& entry) {
      lines.push_back(std::string(word(entry.state)) + " " + entry.source.substr(scratch_.path().size() + 1));
    });
    EXPECT_TRUE(done);
    return lines;
  }

  Scratch scratch_;
};

TEST_F(IndexTest, RemembersAcrossRestarts) {
  {
    auto index = open();
    const std::vector files{compiled("a.py"), failed("b.py")};
    ASSERT_TRUE(index.record(python(), 1, files));
    EXPECT_EQ(*index.counts(), (IndexCounts{.fresh = 1, .error = 1}));
  }
  auto index = open();
  EXPECT_FALSE(index.set_aside());
  EXPECT_EQ(*index.counts(), (IndexCounts{.fresh = 1, .error = 1}));
  std::vector<IndexEntry> entries;
  ASSERT_TRUE(index.list({}, [&](const IndexEntry& entry) { entries.push_back(entry); }));
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].source, scratch_ / "a.py");
  EXPECT_EQ(entries[0].pyc, scratch_ / "a.pyc");
  EXPECT_EQ(entries[0].executable, "/usr/bin/python3");
  EXPECT_EQ(entries[0].cache_tag, "cpython-311");
  EXPECT_EQ(entries[0].optimize, 1);
  EXPECT_FALSE(entries[0].error);
  EXPECT_EQ(entries[1].error, (CompileError{"SyntaxError", "invalid syntax", 1, 5}));
}

// Also where a source has more entries than a part, and where names begin alike.
TEST_F(IndexTest, PartsAreTheWhole) {
  auto index = open();
  std::vector<FileResult> files;
  for (const char* name : {"a/x.py", "a-b.py", "a.py", "a/y/z.py", "b.py", "a/é.py"}) {
    files.push_back(compiled(name));
    files.push_back(files.back());
    files.back().pyc += ".2";
    files.push_back(files.back());
    files.back().pyc += ".3";
  }
  ASSERT_TRUE(index.record(python(), 0, files));
  for (const char* path : {"", "/a", "/a.py", "/none"}) {
    IndexFilter filter;
    if (*path != '\0') filter.path = scratch_.path() + path;
    std::vector<std::string> whole;
    ASSERT_TRUE(index.list(filter, [&](const IndexEntry& entry) { whole.push_back(entry.pyc); }));
    for (const std::size_t count : {1U, 2U, 4U, 100U}) {
      std::vector<std::string> parts;
      std::string after;
      for (auto part = index.list_part(filter, after, count).value(); !part.empty();
           part = index.list_part(filter, after, count).value()) {
        for (const auto& entry : part) parts.push_back(entry.pyc);
        after = part.back().source;
      }
      EXPECT_EQ(parts, whole) << path << " by " << count;
    }
  }
}

TEST_F(IndexTest, ARecordReplacesTheFormerOne) {
  auto index = open();
  const std::vector bad{failed("a.py")};
  ASSERT_TRUE(index.record(python(), 0, bad));
  const std::vector good{compiled("a.py")};
  ASSERT_TRUE(index.record(python(), 0, good));
  ASSERT_TRUE(index.record(python("/venv/bin/python"), 0, good));
  EXPECT_EQ(*index.counts(), (IndexCounts{.fresh = 1}));
  ASSERT_TRUE(index.list({}, [](const IndexEntry& entry) {
    EXPECT_EQ(entry.executable, "/venv/bin/python");
    EXPECT_FALSE(entry.error);
  }));
}

TEST_F(IndexTest, KeepsTheUmaskOfWhoHadItWritten) {
  auto index = open();
  auto file = compiled("a.py");
  const auto umask = [&] {
    std::uint32_t found = 0;
    EXPECT_TRUE(index.list({}, [&](const IndexEntry& entry) { found = entry.umask; }));
    return found;
  };
  file.umask = 0027;
  ASSERT_TRUE(index.record(python(), 0, std::vector{file}));
  EXPECT_EQ(umask(), 0027U);
  file.umask = 0022;
  file.outcome = FileOutcome::fresh;  // somebody else found it good
  ASSERT_TRUE(index.record(python(), 0, std::vector{file}));
  EXPECT_EQ(umask(), 0027U);
  file.outcome = FileOutcome::compiled;
  ASSERT_TRUE(index.record(python(), 0, std::vector{file}));
  EXPECT_EQ(umask(), 0022U);
}

// As `cp other.pyc module.pyc` leaves it, where both sources have one time and size.
TEST_F(IndexTest, BytecodeThatWasWrittenOverIsInDoubt) {
  auto index = open();
  const auto file = compiled("a.py");
  ASSERT_TRUE(index.record(python(), 0, std::vector{file}));
  const auto bytes = read_file(file.pyc);
  do {
    std::ofstream(file.pyc) << bytes;  // in its place
  } while (stamp(file.pyc).modified_ns == file.pyc_stamp.modified_ns);
  ASSERT_TRUE(index.refresh());
  EXPECT_THAT(listed(index), ElementsAre("stale a.py"));
  EXPECT_THAT(index.take_doubts(), ElementsAre(file.source));
}

TEST_F(IndexTest, TheOverlaysBytecodeIsOfNoUseWhereTheTreeCanBeWritten) {
  const std::string overlay = scratch_ / "overlay";
  auto index = std::move(*Index::open(path(), overlay));
  const auto overlaid = [&](const std::string& name) {
    auto file = compiled(name);
    file.pyc = overlay_path(overlay, cache_from_source(file.source, "cpython-311", 0));
    fs::create_directories(fs::path(file.pyc).parent_path());
    const auto header = *overlay_header("x = 1\n", kMagic);
    std::ofstream(file.pyc) << seal_overlay_file(header + tiny_code(), kMagic);
    file.pyc_stamp = stamp(file.pyc);
    return file;
  };
  const std::vector files{overlaid("module.py"), overlaid("script.py")};
  const EndedRun run{files[1].source, 1, 10};
  ASSERT_TRUE(index.record_run(python(), 0, files, run, std::vector{files[0].source}));
  ASSERT_TRUE(index.refresh());
  EXPECT_THAT(listed(index), ElementsAre("stale module.py", "fresh script.py"));
  scratch_.write("__pycache__/module.cpython-311.pyc", "");
  ASSERT_TRUE(index.refresh());
  EXPECT_THAT(listed(index), ElementsAre("fresh script.py"));
}

TEST_F(IndexTest, AnOlderOneIsMigrated) {
  {
    auto index = open();
    ASSERT_TRUE(index.record(python(), 0, std::vector{compiled("a.py")}));
  }
  execute(
      path(),
      "ALTER TABLE entries DROP COLUMN umask; ALTER TABLE interpreters DROP COLUMN examined;"
      "ALTER TABLE entries DROP COLUMN made_inode; ALTER TABLE entries DROP COLUMN made_mtime_ns;"
      "ALTER TABLE entries DROP COLUMN source_changed_ns; ALTER TABLE entries DROP COLUMN source_content;"
      "DROP TABLE roots; DROP INDEX sources_by_inode;"
      "DROP TABLE imports; DROP TABLE entry_points; DROP TABLE modules; DROP TABLE runs;"
      "DROP INDEX entries_by_state; CREATE INDEX entries_by_state ON entries (state);"
      "ALTER TABLE entries DROP COLUMN gone;"
      "ALTER TABLE entries DROP COLUMN made_us; ALTER TABLE entries DROP COLUMN restored; DROP TABLE work;"
      "PRAGMA user_version = 2");
  auto index = open();
  EXPECT_FALSE(index.set_aside());
  EXPECT_TRUE(index.list({}, [](const IndexEntry& entry) { EXPECT_EQ(entry.umask, 0022U); }));
  EXPECT_EQ(index.counts()->fresh, 1U);
}

TEST_F(IndexTest, CountsRuns) {
  {
    auto index = open();
    EXPECT_EQ(index.take_counts(false, 5)->since_s, 0);
    ASSERT_TRUE(index.add_counts({{"served", 2}, {"session", 1}}, 10));
    ASSERT_TRUE(index.add_counts({{"served", 3}, {"no-image", 4}}, 20));
  }
  auto index = open();
  const auto kept = index.take_counts(true, 30);
  EXPECT_EQ(kept->counts, (CountsByReason{{"served", 5}, {"session", 1}, {"no-image", 4}}));
  EXPECT_EQ(kept->since_s, 10);
  const auto after = index.take_counts(false, 40);
  EXPECT_TRUE(after->counts.empty());
  EXPECT_EQ(after->since_s, 30);
}

TEST_F(IndexTest, CountsWork) {
  auto index = open();
  ASSERT_TRUE(index.add_work({{"warm", 2}, {"compiled_us", 10}}));
  ASSERT_TRUE(index.add_work({{"warm", 3}}));
  const auto kept = index.take_counts(true, 30);
  EXPECT_EQ(kept->work, (WorkCounts{{"warm", 5}, {"compiled_us", 10}}));
  EXPECT_GT(kept->since_s, 0) << "since it was counted";
  EXPECT_TRUE(index.take_counts(false, 40)->work.empty());
}

TEST_F(IndexTest, KeepsWhatMakingTookUntilAnotherMakesIt) {
  auto index = open();
  auto file = compiled("a.py");
  file.elapsed_us = 1'234;
  file.outcome = FileOutcome::restored;
  const auto entry = [&] {
    std::vector<IndexEntry> found;
    EXPECT_TRUE(index.list({}, [&](const IndexEntry& one) { found.push_back(one); }));
    return found.at(0);
  };
  ASSERT_TRUE(index.record(python(), 0, std::vector{file}));
  EXPECT_EQ(entry().made_us, 1'234U);
  EXPECT_TRUE(entry().restored);
  EXPECT_EQ(entry().pyc_size, file.pyc_stamp.size);
  EXPECT_EQ(entry().pyc_mtime_ns, file.pyc_stamp.modified_ns);
  file.outcome = FileOutcome::fresh;
  file.elapsed_us = 0;
  file.source_stamp.changed_ns += 1;  // something to write
  ASSERT_TRUE(index.record(python(), 0, std::vector{file}));
  EXPECT_EQ(entry().made_us, 1'234U);
  EXPECT_TRUE(entry().restored);
  file.pyc_stamp.modified_ns += 1;  // by Python itself
  ASSERT_TRUE(index.record(python(), 0, std::vector{file}));
  EXPECT_EQ(entry().made_us, 0U);
  EXPECT_FALSE(entry().restored);
}

TEST_F(IndexTest, ListsThoseOfABinary) {
  auto index = open();
  ASSERT_TRUE(index.record(python(), 0, std::vector{compiled("a.py")}));
  const auto count = [&](const std::string& binary) {
    std::size_t listed = 0;
    EXPECT_TRUE(index.list({.binary = binary}, [&](const IndexEntry&) { ++listed; }));
    return listed;
  };
  EXPECT_EQ(count(python().executable), 1U);
  EXPECT_EQ(count(python().binary.real_path), 1U);
  EXPECT_EQ(count("/no/such/python"), 0U);
}

TEST_F(IndexTest, TheFormerVersionGetsTheDependencyRecord) {
  {
    auto index = open();
    ASSERT_TRUE(index.record(python(), 0, std::vector{compiled("a.py")}));
  }
  execute(
      path(),
      "ALTER TABLE roots DROP COLUMN variables; DROP INDEX sources_by_inode;"
      "DROP TABLE imports; DROP TABLE entry_points; DROP TABLE modules; DROP TABLE runs;"
      "DROP INDEX entries_by_state; CREATE INDEX entries_by_state ON entries (state);"
      "ALTER TABLE entries DROP COLUMN gone;"
      "ALTER TABLE entries DROP COLUMN made_us; ALTER TABLE entries DROP COLUMN restored; DROP TABLE work;"
      "PRAGMA user_version = 8");
  auto index = open();
  EXPECT_FALSE(index.set_aside());
  EXPECT_EQ(index.counts()->fresh, 1U);
  EXPECT_EQ(index.importers("/m.py")->size(), 0U);
  ASSERT_TRUE(index.record_run(python(), 0, {}, {"-c", 1, 10}, std::vector<std::string>{"/m.py"}));
  EXPECT_EQ(index.importers("/m.py")->size(), 1U);
}

class DependencyRecord : public IndexTest {
 protected:
  void record(const EndedRun& run, const std::vector<std::string>& modules, const RecordLimits& limits = {},
              const std::string& executable = "/usr/bin/python3") {
    ASSERT_TRUE(index_.record_run(python(executable), 0, {}, run, modules, limits));
  }

  // "ENTRY EXECUTABLE TIME" of each
  static std::vector<std::string> lines(const Result<std::vector<EntryPoint>>& programs) {
    std::vector<std::string> all;
    for (const auto& program : programs.value()) {
      all.push_back(program.entry + " " + program.executable.substr(program.executable.rfind('/') + 1) + " " +
                    std::to_string(program.last_run_ns));
    }
    return all;
  }

  std::vector<std::string> importers(const std::string& module) { return lines(index_.importers(module)); }

  Index index_ = open();
};

TEST_F(DependencyRecord, NamesImportersNewestFirst) {
  record({"/app/manage.py", 1, 10}, {"/app/a.py", "/app/b.py"});
  record({"-m app", 2, 30}, {"/app/b.py"});
  record({"/app/manage.py", 1, 20}, {"/app/a.py", "/app/b.py"}, {}, "/venv/bin/python");
  EXPECT_THAT(importers("/app/b.py"),
              ElementsAre("-m app python3 30", "/app/manage.py python 20", "/app/manage.py python3 10"));
  EXPECT_THAT(importers("/app/a.py"), ElementsAre("/app/manage.py python 20", "/app/manage.py python3 10"));
  EXPECT_THAT(importers("/app/c.py"), ElementsAre());
  EXPECT_THAT(lines(index_.runs_of("/app/manage.py")),
              ElementsAre("/app/manage.py python 20", "/app/manage.py python3 10"));
  EXPECT_THAT(*index_.imported_modules(10), ElementsAre("/app/b.py", "/app/a.py"));
  EXPECT_THAT(*index_.imported_modules(1), ElementsAre("/app/b.py"));
  EXPECT_EQ(index_.importers("/app/a.py")->front().version, "3.11.2");
}

// Where its package is there again, it is compiled again, and so listed, before anybody has run the program.
TEST_F(DependencyRecord, WhatWasImportedIsRememberedWhileItIsGone) {
  const std::vector files{compiled("imported.py"), compiled("other.py")};
  const EndedRun run{"/main.py", 1, 10};
  ASSERT_TRUE(index_.record_run(python(), 0, files, run, std::vector{files[0].source}));
  for (const auto& file : files) {
    std::filesystem::remove(file.source);
    std::filesystem::remove(file.pyc);
  }
  ASSERT_TRUE(index_.refresh());
  ASSERT_TRUE(index_.refresh());
  EXPECT_THAT(listed(index_), ElementsAre());
  EXPECT_EQ(index_.counts()->entries(), 0U);
  compiled("other.py");
  scratch_.write("imported.py", "x = 1\n");
  ASSERT_TRUE(index_.refresh({.path = scratch_.path(), .executable = {}}));
  EXPECT_THAT(listed(index_), ElementsAre("stale imported.py"));
  compiled("imported.py");
  ASSERT_TRUE(index_.refresh());
  EXPECT_THAT(listed(index_), ElementsAre("fresh imported.py"));
}

TEST_F(DependencyRecord, WhatIsGoneIsForgottenWithItsLastImport) {
  const std::vector files{compiled("imported.py")};
  ASSERT_TRUE(index_.record_run(python(), 0, files, {"/main.py", 1, 10}, std::vector{files[0].source}));
  std::filesystem::remove(files[0].source);
  std::filesystem::remove(files[0].pyc);
  ASSERT_TRUE(index_.refresh());
  EXPECT_THAT(listed(index_, {.with_gone = true}), ElementsAre("stale imported.py"));
  record({"/main.py", 2, 20}, {}, {.variants = 1});
  ASSERT_TRUE(index_.refresh());
  EXPECT_THAT(listed(index_, {.with_gone = true}), ElementsAre());
}

TEST_F(DependencyRecord, FilesAndRunAreOneTransaction) {
  const std::vector files{compiled("a.py")};
  const std::vector<std::string> modules{files[0].source};
  ASSERT_TRUE(index_.record_run(python(), 0, files, {"/main.py", 1, 10}, modules));
  EXPECT_EQ(index_.counts()->fresh, 1U);
  EXPECT_EQ(*index_.source_of(files[0].pyc), files[0].source);
  EXPECT_EQ(*index_.source_of(files[0].source), std::nullopt);
}

// `manage.py migrate` says nothing of when `manage.py test` imported what it alone imports.
TEST_F(DependencyRecord, EachSetOfImportsHasItsOwnTime) {
  record({"/manage.py", 1, 10}, {"/shared.py", "/migrate.py"});
  record({"/manage.py", 2, 20}, {"/shared.py", "/test.py"});
  ASSERT_TRUE(index_.record_times(std::vector<RunTime>{{"/usr/bin/python3", {"/manage.py", 1, 30}}}));
  EXPECT_THAT(importers("/migrate.py"), ElementsAre("/manage.py python3 30"));
  EXPECT_THAT(importers("/test.py"), ElementsAre("/manage.py python3 20"));
  EXPECT_THAT(importers("/shared.py"), ElementsAre("/manage.py python3 30"));
}

TEST_F(DependencyRecord, TimesGoForwardOfWhatIsKnown) {
  record({"/main.py", 1, 20}, {"/a.py"});
  ASSERT_TRUE(index_.record_times(std::vector<RunTime>{{"/usr/bin/python3", {"/main.py", 1, 10}},
                                                       {"/usr/bin/python3", {"/main.py", 9, 50}},
                                                       {"/no/python", {"/main.py", 1, 50}}}));
  EXPECT_THAT(importers("/a.py"), ElementsAre("/main.py python3 20"));
  record({"/main.py", 1, 30}, {"/a.py"});
  EXPECT_THAT(importers("/a.py"), ElementsAre("/main.py python3 30"));
}

TEST_F(DependencyRecord, WhatRunsMostOftenComesFirst) {
  record({"/seldom.py", 1, 90}, {"/a.py"});
  record({"/often.py", 1, 10}, {"/a.py"});
  record({"/often.py", 2, 20}, {"/b.py"});
  record({"-c", 3, 30}, {"/a.py"});
  ASSERT_TRUE(index_.record_times(std::vector<RunTime>{{"/usr/bin/python3", {"-c", 3, 99}, 50}}));
  EXPECT_THAT(lines(index_.most_used(9)), ElementsAre("/often.py python3 20", "/seldom.py python3 90"));
  ASSERT_TRUE(index_.record_times(std::vector<RunTime>{{"/usr/bin/python3", {"/seldom.py", 1, 99}, 5}}));
  EXPECT_THAT(lines(index_.most_used(1)), ElementsAre("/seldom.py python3 99"));
}

TEST_F(DependencyRecord, ARunWithoutImportsIsRecorded) {
  record({"/hello.py", 0, 10}, {});
  EXPECT_THAT(lines(index_.runs_of("/hello.py")), ElementsAre("/hello.py python3 10"));
}

TEST_F(DependencyRecord, TheOldestEntryPointsAreForgotten) {
  const RecordLimits limits{.entry_points = 2};
  record({"/a.py", 1, 30}, {"/a_only.py", "/shared.py"}, limits);
  record({"/b.py", 1, 10}, {"/b_only.py", "/shared.py"}, limits);
  record({"/c.py", 1, 20}, {"/shared.py"}, limits);
  EXPECT_THAT(importers("/shared.py"), ElementsAre("/a.py python3 30", "/c.py python3 20"));
  EXPECT_THAT(*index_.imported_modules(10), ElementsAre("/a_only.py", "/shared.py"));
}

TEST_F(DependencyRecord, SetsOfImportsOfOneProgramAreBounded) {
  const RecordLimits limits{.variants = 2};
  for (std::uint64_t i = 0; i < 5; ++i) {
    record({"-c", i, static_cast<std::int64_t>(i)}, {"/m" + std::to_string(i) + ".py"}, limits);
  }
  record({"/main.py", 1, 0}, {"/m.py"}, limits);
  EXPECT_THAT(*index_.imported_modules(10), ElementsAre("/m4.py", "/m3.py", "/m.py"));
}

TEST_F(DependencyRecord, ImportsAreBounded) {
  const RecordLimits limits{.imports = 5};
  record({"/a.py", 1, 10}, {"/1.py", "/2.py", "/3.py"}, limits);
  record({"/b.py", 1, 20}, {"/3.py", "/4.py"}, limits);
  EXPECT_THAT(importers("/3.py"), ElementsAre("/b.py python3 20", "/a.py python3 10"));
  record({"/c.py", 1, 30}, {"/5.py"}, limits);
  EXPECT_THAT(importers("/3.py"), ElementsAre("/b.py python3 20"));
  EXPECT_THAT(*index_.imported_modules(10), ElementsAre("/5.py", "/3.py", "/4.py"));
}

// The interpreter is a file of this test.
TEST_F(IndexTest, AnInterpreterHasChangedUntilItWasExamined) {
  auto index = open();
  const std::string executable = scratch_.write("python", "1");
  auto interpreter = python(executable);
  const auto record = [&] {
    interpreter.binary = identify_binary(executable).value();
    ASSERT_TRUE(index.record(interpreter));
  };
  record();
  EXPECT_THAT(*index.changed_interpreters(), ElementsAre());
  set_mtime(executable, 1'700'000'000);
  EXPECT_THAT(*index.changed_interpreters(), ElementsAre(executable));
  const auto former = interpreter.binary;
  record();
  EXPECT_THAT(*index.changed_interpreters(), ElementsAre(executable));
  ASSERT_TRUE(index.set_examined(executable, former));
  EXPECT_THAT(*index.changed_interpreters(), ElementsAre(executable));
  ASSERT_TRUE(index.set_examined(executable, interpreter.binary));
  record();
  EXPECT_THAT(*index.changed_interpreters(), ElementsAre());
  ++interpreter.magic;
  record();
  EXPECT_THAT(*index.changed_interpreters(), ElementsAre(executable));
  std::filesystem::remove(executable);
  EXPECT_THAT(*index.changed_interpreters(), ElementsAre());
}

TEST_F(IndexTest, SkippedFilesAreNotRecorded) {
  auto index = open();
  auto file = compiled("a.py");
  file.outcome = FileOutcome::skipped;
  ASSERT_TRUE(index.record(python(), 0, {&file, 1}));
  EXPECT_EQ(index.counts()->entries(), 0U);
}

TEST_F(IndexTest, PathsAreBytes) {
  auto index = open();
  const std::vector files{compiled("\xff/a.py")};
  ASSERT_TRUE(index.record(python(), 0, files));
  EXPECT_THAT(listed(index), ElementsAre("fresh \xff/a.py"));
  EXPECT_THAT(listed(index, {.path = scratch_ / "\xff"}), ElementsAre("fresh \xff/a.py"));
}

TEST_F(IndexTest, ListsByStateAndPath) {
  auto index = open();
  const std::vector files{compiled("p/a.py"), failed("p/b.py"), compiled("p/q/c.py"), compiled("pq/d.py")};
  ASSERT_TRUE(index.record(python(), 0, files));
  EXPECT_THAT(listed(index, {.state = EntryState::error}), ElementsAre("error p/b.py"));
  EXPECT_THAT(listed(index, {.path = scratch_ / "p"}),
              ElementsAre("fresh p/a.py", "error p/b.py", "fresh p/q/c.py"));
  EXPECT_THAT(listed(index, {.path = scratch_ / "p/a.py"}), ElementsAre("fresh p/a.py"));
  EXPECT_THAT(listed(index, {EntryState::fresh, scratch_ / "pq"}), ElementsAre("fresh pq/d.py"));
}

TEST_F(IndexTest, RefreshSeesWhatBecameOfTheFiles) {
  auto index = open();
  const std::vector files{compiled("edited.py"),   compiled("touched.py"),   compiled("gone.py"),
                          compiled("uncached.py"), compiled("both_gone.py"), compiled("torn.py"),
                          compiled("kept.py"),     failed("bad.py"),         failed("repaired.py"),
                          failed("bad_gone.py")};
  ASSERT_TRUE(index.record(python(), 0, files));
  scratch_.write("edited.py", "x = 22\n");
  set_mtime(scratch_ / "touched.py", 1'700'000'001);
  std::filesystem::remove(scratch_ / "gone.py");
  std::filesystem::remove(scratch_ / "uncached.pyc");
  std::filesystem::remove(scratch_ / "both_gone.py");
  std::filesystem::remove(scratch_ / "both_gone.pyc");
  std::filesystem::resize_file(scratch_ / "torn.pyc", 20);
  scratch_.write("repaired.py", "x = 1\n\n");
  std::filesystem::remove(scratch_ / "bad_gone.py");
  ASSERT_TRUE(index.refresh());
  const std::vector<std::string> expected{"error bad.py",     "stale edited.py",   "orphan gone.py",
                                          "fresh kept.py",    "stale repaired.py", "stale torn.py",
                                          "stale touched.py", "stale uncached.py"};
  EXPECT_EQ(listed(index), expected);
  ASSERT_TRUE(index.refresh());
  EXPECT_EQ(listed(index), expected);
}

TEST_F(IndexTest, RefreshSeesWhatOthersHaveCompiled) {
  auto index = open();
  const std::vector files{compiled("a.py"), failed("b.py"), compiled("c.py")};
  ASSERT_TRUE(index.record(python(), 0, files));
  scratch_.write("a.py", "x = 22\n");
  write_pyc("a.py", kMagic);
  scratch_.write("b.py", "x = 22\n");
  write_pyc("b.py", kMagic);
  std::filesystem::remove(scratch_ / "c.py");
  ASSERT_TRUE(index.refresh());
  EXPECT_THAT(listed(index), ElementsAre("fresh a.py", "fresh b.py", "orphan c.py"));
  scratch_.write("c.py", "x = 1\n");
  set_mtime(scratch_ / "c.py", 1'700'000'000);
  ASSERT_TRUE(index.refresh());
  EXPECT_EQ(*index.counts(), (IndexCounts{.fresh = 3}));
}

TEST_F(IndexTest, WhatIsHiddenForAWhileIsNotGone) {
  if (::geteuid() == 0) GTEST_SKIP() << "nothing is hidden from root";
  std::filesystem::create_directory(scratch_ / "hidden");
  auto index = open();
  ASSERT_TRUE(index.record(python(), 0, std::vector{compiled("hidden/a.py")}));
  std::filesystem::permissions(scratch_ / "hidden", std::filesystem::perms::none);
  ASSERT_TRUE(index.refresh());
  std::filesystem::permissions(scratch_ / "hidden", std::filesystem::perms::owner_all);
  EXPECT_THAT(listed(index), ElementsAre("fresh hidden/a.py"));
}

// With the time and the size that the source had: by its content, where that is known.
TEST_F(IndexTest, RefreshSeesAnEditThatLeavesTimeAndSize) {
  auto index = open();
  ASSERT_TRUE(index.record(python(), 0, std::vector{compiled("edited.py"), compiled("touched.py")}));
  scratch_.write("edited.py", "x = 2\n");
  for (const char* name : {"edited.py", "touched.py"}) set_mtime(scratch_ / name, 1'700'000'000);
  ASSERT_TRUE(index.refresh());
  EXPECT_THAT(listed(index), ElementsAre("stale edited.py", "fresh touched.py"));
}

// Names are in the order of their bytes, and there are some around '/'.
TEST_F(IndexTest, RefreshOfADirectoryLooksAtNoneBelow) {
  auto index = open();
  std::vector<FileResult> files;
  for (const char* name :
       {"d/a-b.py", "d/a.py", "d/a/x.py", "d/a0.py", "d/b.py", "d/c/y/z.py", "d.py", "d0.py"})
    files.push_back(compiled(name));
  ASSERT_TRUE(index.record(python(), 0, files));
  for (const auto& file : files) std::filesystem::remove(file.source);
  ASSERT_TRUE(index.refresh({.path = scratch_ / "d", .executable = {}, .direct = true}, {}));
  EXPECT_EQ(*index.counts(), (IndexCounts{.fresh = 4, .orphan = 4}));
  ASSERT_TRUE(index.refresh({.path = scratch_ / "d/a", .executable = {}, .direct = true}, {}));
  EXPECT_EQ(*index.counts(), (IndexCounts{.fresh = 3, .orphan = 5}));
}

TEST_F(IndexTest, RefreshGoesThroughManyAndMayBeStopped) {
  auto index = open();
  std::vector<FileResult> files(2'500, failed("a.py"));
  for (std::size_t i = 0; i < files.size(); ++i)
    files[i].source = files[i].pyc = "/nonexistent/" + std::to_string(i);
  ASSERT_TRUE(index.record(python(), 0, files));
  std::stop_source stop;
  stop.request_stop();
  ASSERT_TRUE(index.refresh(stop.get_token()));
  EXPECT_EQ(index.counts()->error, 2'500U);
  ASSERT_TRUE(index.refresh());
  EXPECT_EQ(index.counts()->entries(), 0U);
}

TEST_F(IndexTest, AnotherMagicMakesEntriesStale) {
  auto index = open();
  const std::vector files{compiled("a.py")};
  ASSERT_TRUE(index.record(python(), 0, files));
  ASSERT_TRUE(index.record(python()));
  EXPECT_EQ(*index.counts(), (IndexCounts{.fresh = 1}));
  ASSERT_TRUE(index.record(python("/usr/bin/python3", kMagic + 1)));
  EXPECT_EQ(*index.counts(), (IndexCounts{.stale = 1}));
  ASSERT_TRUE(index.refresh());
  EXPECT_EQ(*index.counts(), (IndexCounts{.stale = 1}));
}

TEST_F(IndexTest, AMovedLinkLeavesTheOldVersionsFilesWhatTheyAre) {
  auto index = open();
  auto file = compiled("a.py");
  std::filesystem::create_directory(scratch_ / "__pycache__");
  const auto pyc = scratch_ / "__pycache__/a.cpython-311.pyc";
  std::filesystem::rename(file.pyc, pyc);
  file.pyc = pyc;
  auto old = python();
  old.cache_tag = "cpython-311";
  ASSERT_TRUE(index.record(old, 0, std::vector{file}));
  auto moved = python("/usr/bin/python3", kMagic + 1);
  moved.cache_tag = "cpython-312";
  ASSERT_TRUE(index.record(moved));
  ASSERT_TRUE(index.refresh());
  EXPECT_EQ(*index.counts(), (IndexCounts{.fresh = 1}));
  ASSERT_TRUE(index.list({}, [](const IndexEntry& entry) { EXPECT_EQ(entry.cache_tag, "cpython-311"); }));
}

TEST_F(IndexTest, OrphansAreRemovedUnlessTheirSourceIsBack) {
  auto index = open();
  std::vector files{compiled("a.py"), compiled("b.py")};
  for (auto& file : files) {
    const auto place = cache_from_source(file.source, "cpython-311", 0);
    std::filesystem::create_directories(scratch_ / "__pycache__");
    std::filesystem::rename(file.pyc, place);
    file.pyc = place;
  }
  ASSERT_TRUE(index.record(python(), 0, files));
  std::filesystem::remove(scratch_ / "a.py");
  std::filesystem::remove(scratch_ / "b.py");
  ASSERT_TRUE(index.refresh());
  EXPECT_EQ(*index.counts(), (IndexCounts{.orphan = 2}));
  scratch_.write("b.py", "x = 1\n");
  const auto planned = index.clean_orphans({}, CleanMode::dry_run);
  ASSERT_TRUE(planned);
  EXPECT_THAT(planned->removed, testing::ElementsAre(files[0].pyc));
  EXPECT_TRUE(std::filesystem::exists(files[0].pyc));
  const auto cleaned = index.clean_orphans({});
  ASSERT_TRUE(cleaned);
  EXPECT_THAT(cleaned->removed, testing::ElementsAre(files[0].pyc));
  EXPECT_FALSE(std::filesystem::exists(files[0].pyc));
  EXPECT_TRUE(std::filesystem::exists(files[1].pyc));
}

TEST_F(IndexTest, WhatIsNoBytecodeIsLeftWhereAnOrphanWas) {
  auto index = open();
  auto file = compiled("a.py");
  const auto place = cache_from_source(file.source, "cpython-311", 0);
  std::filesystem::create_directories(scratch_ / "__pycache__");
  std::filesystem::rename(file.pyc, place);
  file.pyc = place;
  ASSERT_TRUE(index.record(python(), 0, std::vector{file}));
  std::filesystem::remove(scratch_ / "a.py");
  for (const auto& fault : {"echo mine > ", "ln -s /etc/passwd "}) {
    ASSERT_TRUE(shell("rm -rf " + place + "; " + fault + place));
    ASSERT_TRUE(index.refresh());
    const auto cleaned = index.clean_orphans({});
    ASSERT_TRUE(cleaned);
    EXPECT_THAT(cleaned->foreign, testing::ElementsAre(place)) << fault;
    EXPECT_TRUE(cleaned->removed.empty());
    EXPECT_TRUE(std::filesystem::exists(place));
  }
}

TEST_F(IndexTest, OrphansThatPythonImportsStay) {
  auto index = open();
  const std::vector files{compiled("a.py")};
  ASSERT_TRUE(index.record(python(), 0, files));
  std::filesystem::remove(scratch_ / "a.py");
  ASSERT_TRUE(index.refresh());
  const auto cleaned = index.clean_orphans({});
  ASSERT_TRUE(cleaned);
  EXPECT_TRUE(cleaned->removed.empty());
  EXPECT_TRUE(cleaned->kept.empty());
  EXPECT_TRUE(std::filesystem::exists(files[0].pyc));
  EXPECT_EQ(*index.counts(), (IndexCounts{.orphan = 1}));
}

TEST_F(IndexTest, AFullDiskIsAnErrorAndDamagesNothing) {
  auto index = open();
  ASSERT_TRUE(index.record(python(), 0, std::vector{compiled("a.py")}));
  std::vector<FileResult> many;
  for (int i = 0; i < 300; ++i) many.push_back(failed("m" + std::to_string(i) + ".py"));
  {
    const FullDisk full(std::filesystem::file_size(path() + "-wal") + 8192);
    EXPECT_FALSE(index.record(python(), 0, many));
  }
  EXPECT_EQ(index.counts()->entries(), 1U);
  ASSERT_TRUE(index.record(python(), 0, many));
  EXPECT_EQ(index.counts()->entries(), 301U);
}

TEST_F(IndexTest, GarbageIsSetAside) {
  scratch_.write("index.db", std::string(8192, 'g'));
  auto index = open();
  EXPECT_EQ(index.set_aside(), path() + ".set-aside");
  EXPECT_EQ(read_file(path() + ".set-aside"), std::string(8192, 'g'));
  EXPECT_EQ(index.counts()->entries(), 0U);
}

TEST_F(IndexTest, DamageWithinIsSetAside) {
  {
    auto index = open();
    std::vector<FileResult> files(500, failed("a.py"));
    for (std::size_t i = 0; i < files.size(); ++i)
      files[i].source = files[i].pyc = "/nonexistent/" + std::to_string(i);
    ASSERT_TRUE(index.record(python(), 0, files));
  }
  auto bytes = read_file(path());
  ASSERT_GT(bytes.size(), 20'000U);
  bytes.replace(8192, 8192, 8192, '\xff');
  scratch_.write("index.db", bytes);
  auto index = open();
  EXPECT_TRUE(index.set_aside());
  EXPECT_EQ(index.counts()->entries(), 0U);
}

// Pages that are in memory would hide it.
TEST_F(IndexTest, DamageIsFoundWhileItIsOpen) {
  { ASSERT_TRUE(open().record(python())); }
  Index index = open();
  ASSERT_TRUE(index.interpreters());
  EXPECT_EQ(*index.find_damage(), "");
  {
    std::fstream file(path(), std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(4096);
    file << std::string(fs::file_size(path()) - 4096, '\xa5');
  }
  const auto found = index.find_damage();
  EXPECT_TRUE(!found || !found->empty());
}

TEST_F(IndexTest, ItIsExaminedWithoutBeingOpened) {
  EXPECT_EQ(Index::find_damage_in(path()).error().reason, Reason::not_found);
  {
    Index index = open();
    ASSERT_TRUE(index.record(python()));
    EXPECT_EQ(Index::find_damage_in(path()).error().reason, Reason::overloaded) << "it is in use";
  }
  const auto count_files = [this] { return std::distance(fs::directory_iterator(scratch_.path()), {}); };
  const auto before = count_files();
  EXPECT_EQ(*Index::find_damage_in(path()), "");
  EXPECT_EQ(count_files(), before) << "not even a lock is made";
  std::fstream file(path(), std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(4096);
  file << std::string(fs::file_size(path()) - 4096, '\xa5');
  file.close();
  const auto found = Index::find_damage_in(path());
  EXPECT_TRUE(!found || !found->empty());
}

TEST_F(IndexTest, OneFromTheFutureIsSetAside) {
  open();
  execute(path(), "PRAGMA user_version = 1000");
  EXPECT_TRUE(open().set_aside());
  EXPECT_FALSE(open().set_aside());
}

TEST_F(IndexTest, SomebodyElsesDatabaseIsSetAside) {
  execute(path(), "CREATE TABLE t (x)");
  EXPECT_TRUE(open().set_aside());
}

TEST_F(IndexTest, APlaceThatCannotHoldItIsAnError) {
  EXPECT_EQ(Index::open(scratch_ / "nothing/index.db").error().reason, Reason::system);
  std::filesystem::create_directory(scratch_ / "dir");
  EXPECT_EQ(Index::open(scratch_ / "dir").error().reason, Reason::system);
  EXPECT_TRUE(std::filesystem::is_directory(scratch_ / "dir"));
}

// Writes without end, a byte to PROGRESS after each transaction.
[[noreturn]] void write_until_killed(const std::string& path, int progress) {
  auto index = Index::open(path);
  std::vector<FileResult> files(50);
  for (int round = 0; index; ++round) {
    for (std::size_t i = 0; i < files.size(); ++i) {
      files[i].source = files[i].pyc = "/r" + std::to_string(round % 40) + "/" + std::to_string(i);
      files[i].outcome = FileOutcome::fresh;
      files[i].source_stamp.modified_ns = round;
    }
    if (!index->record(python(), 0, files) || ::write(progress, "x", 1) != 1) break;
  }
  ::_exit(1);
}

TEST_F(IndexTest, SurvivesKill9) {
  for (int kills = 1; kills <= 10; ++kills) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const UniqueFd reading{ends[0]};
    UniqueFd writing{ends[1]};
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) write_until_killed(path(), writing.get());
    writing.reset();
    char done = 0;
    for (int transaction = 0; transaction < kills * 3; ++transaction) {
      ASSERT_EQ(::read(reading.get(), &done, 1), 1);
    }
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    auto index = open();  // runs quick_check
    EXPECT_FALSE(index.set_aside());
    EXPECT_EQ(index.counts()->entries() % 50, 0U);  // whole transactions only
    EXPECT_GE(index.counts()->entries(), 50U);
  }
}

}  // namespace
}  // namespace kiln

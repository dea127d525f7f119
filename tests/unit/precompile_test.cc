#include "daemon/precompile.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <new>
#include <thread>

#include "common/pyc.h"
#include "daemon/source_walk.h"
#include "tests/unit/full_disk.h"
#include "tests/unit/pythons.h"
#include "tests/unit/scratch.h"

namespace kiln {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class PrecompileTest : public testing::Test {
 protected:
  proto::PrecompileRequest request(const std::string& target,
                                   const InterpreterInfo& python = system_python()) const {
    proto::PrecompileRequest request;
    add_target(request, target);
    request.add_python(python.path);
    request.add_optimize(0);
    request.set_jobs(2);
    request.set_umask(0022);
    return request;
  }

  void add_target(proto::PrecompileRequest& request, const std::string& target) const {
    request.add_targets()->set_path(scratch_ / target);
    request.mutable_targets()->rbegin()->set_spelling(target);
  }

  Precompiled run(const proto::PrecompileRequest& request, const InterpreterInfo& python = system_python(),
                  const std::stop_token& stop = {}) {
    errors_.clear();
    warnings_.clear();
    events_.clear();
    return run_with(
        request, python, [this](const proto::PrecompileEvent& event) { keep(event); }, stop);
  }

  Precompiled run_with(const proto::PrecompileRequest& request, const InterpreterInfo& python,
                       const PrecompileSink& sink, const std::stop_token& stop = {}) {
    const PrecompileServices services{compilers_, store_, {}, known_, made_};
    auto done = precompile(request, std::span(&python, 1), services, sink, stop);
    for (const auto& batch : done.batches) {
      for (const auto& file : batch.files) remember(file);
    }
    return done;
  }

  // As the index does.
  void remember(const FileResult& file) {
    if (file.source_content == 0 || file.outcome == FileOutcome::error) return;
    made_[file.pyc] = {file.pyc_stamp.inode, file.pyc_stamp.modified_ns, file.source_stamp.changed_ns,
                       file.source_content};
  }

  void keep(const proto::PrecompileEvent& event) {
    events_.push_back(event);
    if (event.has_error()) {
      const auto& error = event.error();
      errors_.push_back(error.path() + ":" + std::to_string(error.line()) + ": " + error.type());
    }
    if (event.has_warning()) warnings_.push_back(event.warning().text());
  }

  // compiled, fresh, errors
  static std::vector<std::uint64_t> counts(const Precompiled& done) {
    return {done.summary.compiled(), done.summary.fresh(), done.summary.errors()};
  }

  static std::string cache_of(const std::string& source, int level = 0) {
    return cache_from_source(source, system_python().cache_tag, level);
  }

  Scratch scratch_;
  CompilerPool compilers_;
  Store disk_{scratch_ / "store", 0};  // keeps nothing
  WriteBehindStore store_{disk_};
  KnownErrors known_;
  MadeFiles made_;
  std::vector<std::string> errors_;
  std::vector<std::string> warnings_;
  std::vector<proto::PrecompileEvent> events_;
};

TEST_F(PrecompileTest, AnExceptionOnAWorkersThreadEndsTheRequestOnly) {
  for (const char* name : {"src/a.py", "src/b.py", "src/c.py"}) scratch_.write(name, "x = 1\n");
  const PrecompileSink sink = [](const proto::PrecompileEvent& event) {
    if (event.has_progress()) throw std::bad_alloc();
  };
  const auto done = run_with(request("src"), system_python(), sink);
  EXPECT_EQ(done.summary.failure(), "std::bad_alloc");
}

// sys.pycache_prefix came with 3.8, hash-based bytecode with 3.7; up to 3.4 both levels have one file.
TEST_F(PrecompileTest, OldInterpretersDoAsTheyDoThemselves) {
  scratch_.write("src/a.py", "x = 1\n");
  for (const auto& python : every_python()) {
    SCOPED_TRACE(python.version);
    auto wanted = request("src", python);
    wanted.set_pycache_prefix(scratch_ / "prefix");
    wanted.set_invalidation(proto::PrecompileRequest::CHECKED_HASH);
    const bool is_hash_based = has_hash_based(python);
    EXPECT_EQ(run(wanted, python).summary.failure().empty(), is_hash_based);
    wanted.set_may_fall_back(true);
    const auto done = run(wanted, python);
    ASSERT_EQ(done.summary.failure(), "");
    const auto& pyc = done.batches[0].files[0].pyc;
    const bool has_prefix = python.major > 3 || (python.major == 3 && python.minor >= 8);
    EXPECT_EQ(pyc.starts_with(scratch_ / "prefix"), has_prefix) << pyc;
    const auto header = parse_pyc_header(read_file(pyc));
    ASSERT_TRUE(header);
    EXPECT_EQ(header->kind, is_hash_based ? PycKind::checked_hash : PycKind::timestamp);
    wanted.clear_optimize();
    wanted.add_optimize(1);
    wanted.add_optimize(2);
    EXPECT_EQ(run(wanted, python).summary.failure().empty(), python.major > 2);
  }
}

TEST_F(PrecompileTest, CompilesWhatCompileallWould) {
  for (const char* name : {"src/a.py", "src/p/__init__.py", "src/p/q/b.py", "src/note.txt", "src/.git/c.py",
                           "src/node_modules/d.py", "src/__pycache__/e.py", "other/f.py"}) {
    scratch_.write(name, "x = 1\n");
  }
  std::filesystem::create_directory_symlink(scratch_ / "other", scratch_ / "src/linked");
  std::filesystem::create_symlink(scratch_ / "other/f.py", scratch_ / "src/g.py");
  std::filesystem::create_symlink(scratch_ / "nothing", scratch_ / "src/h.py");
  const auto done = run(request("src"));
  EXPECT_THAT(counts(done), ElementsAre(4, 0, 0));
  std::vector<std::string> sources;
  for (const auto& file : done.batches[0].files) {
    sources.push_back(file.source.substr(scratch_.path().size() + 1));
    EXPECT_TRUE(std::filesystem::exists(file.pyc)) << file.pyc;
    EXPECT_EQ(file.outcome, FileOutcome::compiled);
  }
  EXPECT_THAT(sources, ElementsAre("src/a.py", "src/g.py", "src/p/__init__.py", "src/p/q/b.py"));
  EXPECT_TRUE(events_.back().has_summary());
}

TEST_F(PrecompileTest, EqualsCompileallByteForByte) {
  for (const auto& python : all_pythons()) {
    if (python.minor < 11) continue;
    const auto tree = scratch_ / python.version;
    ASSERT_TRUE(shell("mkdir -p " + tree + "/ours/src " + tree +
                      "/theirs && cp -rp /usr/lib/python3.*/json "
                      "/usr/lib/python3.*/email " +
                      tree + "/ours/src && find " + tree + " -name __pycache__ -exec rm -r {} + && cp -rp " +
                      tree + "/ours/src " + tree + "/theirs"));
    auto asked = request(python.version + "/ours/src", python);
    asked.mutable_targets(0)->set_spelling("src");
    const auto done = run(asked, python);
    EXPECT_GT(done.summary.compiled(), 10U);
    EXPECT_EQ(done.summary.errors(), 0U);
    ASSERT_TRUE(
        shell("cd " + tree + "/theirs && umask 022 && " + python.executable + " -m compileall -q src"));
    EXPECT_TRUE(shell("diff -r " + tree + "/ours " + tree + "/theirs")) << python.path;
    EXPECT_TRUE(shell("cd " + tree + "/ours && ls -lR --time-style=+ src | grep -v total > ../a; cd " + tree +
                      "/theirs && ls -lR --time-style=+ src | grep -v total | diff ../a -"))
        << python.path;
  }
}

TEST_F(PrecompileTest, LeavesFreshOnesAlone) {
  scratch_.write("src/a.py", "x = 1\n");
  scratch_.write("src/b.py", "x = 2\n");
  run(request("src"));
  EXPECT_THAT(counts(run(request("src"))), ElementsAre(0, 2, 0));
  scratch_.write("src/b.py", "x = 22\n");
  EXPECT_THAT(counts(run(request("src"))), ElementsAre(1, 1, 0));
  auto forced = request("src");
  forced.set_force(true);
  EXPECT_THAT(counts(run(forced)), ElementsAre(2, 0, 0));
}

// Python itself would run the old code here.
TEST_F(PrecompileTest, SeesAnEditOfTheSameSecondAndSize) {
  const auto source = scratch_.write("src/a.py", "x = 1\n");
  const timespec written[2] = {{0, UTIME_OMIT}, {1'700'000'000, 100}};
  ::utimensat(AT_FDCWD, source.c_str(), written, 0);
  run(request("src"));
  const timespec cached[2] = {{0, UTIME_OMIT}, {1'700'000'000, 200}};
  ::utimensat(AT_FDCWD, cache_of(source).c_str(), cached, 0);
  scratch_.write("src/a.py", "x = 2\n");
  const timespec edited[2] = {{0, UTIME_OMIT}, {1'700'000'000, 300}};
  ::utimensat(AT_FDCWD, source.c_str(), edited, 0);
  EXPECT_THAT(counts(run(request("src"))), ElementsAre(1, 0, 0));
  EXPECT_THAT(counts(run(request("src"))), ElementsAre(0, 1, 0));
}

TEST_F(PrecompileTest, HealsATornFile) {
  const auto source = scratch_.write("a.py", "x = 1\n");
  run(request("a.py"));
  const auto good = read_file(cache_of(source));
  std::filesystem::resize_file(cache_of(source), 20);
  EXPECT_THAT(counts(run(request("a.py"))), ElementsAre(1, 0, 0));
  EXPECT_EQ(read_file(cache_of(source)), good);
}

// Well-formed, and beside a source that nobody has touched: only the code tells.
TEST_F(PrecompileTest, HealsAFileThatSaysSomethingElse) {
  disk_.set_limit(Store::kNoLimit);
  const auto source = scratch_.write("a.py", "def f():\n    return 'right'\n");
  while (!is_settled(stamp_of(source))) std::this_thread::yield();
  run(request("a.py"));
  const auto good = read_file(cache_of(source));
  std::string damaged = good;
  damaged.replace(damaged.find("right"), 5, "wrong");
  scratch_.write("damaged", damaged);
  std::filesystem::rename(scratch_ / "damaged", cache_of(source));
  EXPECT_EQ(run(request("a.py")).summary.restored(), 1);
  EXPECT_EQ(read_file(cache_of(source)), good);
  EXPECT_THAT(counts(run(request("a.py"))), ElementsAre(0, 1, 0));
}

// 2.7 takes nothing but a function in the place of warnings.showwarning.
TEST_F(PrecompileTest, EveryInterpreterCompilesWhatItWarnsOf) {
  scratch_.write("src/a.py", "assert (x, 'always')\n");
  for (const auto& python : every_python()) {
    SCOPED_TRACE(python.version);
    auto wanted = request("src", python);
    wanted.set_force(true);  // two of one version share their files
    EXPECT_THAT(counts(run(wanted, python)), ElementsAre(1, 0, 0));
    ASSERT_EQ(warnings_.size(), 1);
    EXPECT_THAT(warnings_[0], HasSubstr("src/a.py:1: SyntaxWarning: assertion is always true"));
  }
}

TEST_F(PrecompileTest, AFileMayNotTellItsSize) {
  std::filesystem::create_directories(scratch_ / "src");
  std::filesystem::create_symlink("/proc/version", scratch_ / "src/version.py");
  EXPECT_THAT(counts(run(request("src"))), ElementsAre(0, 0, 1));
  EXPECT_THAT(errors_, ElementsAre("src/version.py:1: SyntaxError"));
}

TEST_F(PrecompileTest, ATimeThatNoStampCanSayIsAnError) {
  const auto source = scratch_.write("src/a.py", "x = 1\n");
  const timespec times[2] = {{0, UTIME_OMIT}, {9'999'999'999, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, source.c_str(), times, 0), 0);
  struct stat status {};
  ASSERT_EQ(::stat(source.c_str(), &status), 0);
  if (status.st_mtim.tv_sec != 9'999'999'999) GTEST_SKIP() << "this file system has no such times";
  EXPECT_THAT(counts(run(request("src"))), ElementsAre(0, 0, 1));
}

TEST_F(PrecompileTest, AnErrorIsOfOneFile) {
  scratch_.write("src/a.py", "x = 1\n");
  scratch_.write("src/bad.py", "x = 1\ndef f(:\n");
  scratch_.write("src/c.py", "x = 1\n");
  const auto done = run(request("src"));
  EXPECT_THAT(counts(done), ElementsAre(2, 0, 1));
  EXPECT_THAT(errors_, ElementsAre("src/bad.py:2: SyntaxError"));
  EXPECT_EQ(done.batches[0].files[1].error->line, 2);
  EXPECT_EQ(done.summary.failure(), "");
}

TEST_F(PrecompileTest, AnUnwritablePlaceIsAnErrorOfThatFile) {
  scratch_.write("src/a.py", "x = 1\n");
  scratch_.write("src/p/b.py", "x = 1\n");
  scratch_.write("src/p/__pycache__", "in the way");
  EXPECT_THAT(counts(run(request("src"))), ElementsAre(1, 0, 1));
  EXPECT_THAT(errors_, ElementsAre("src/p/b.py:0: NotADirectoryError"));
}

TEST_F(PrecompileTest, AMissingPathIsAnError) {
  scratch_.write("src/a.py", "x = 1\n");
  auto asked = request("nothing");
  add_target(asked, "src");
  EXPECT_THAT(counts(run(asked)), ElementsAre(1, 0, 1));
  EXPECT_THAT(errors_, ElementsAre("nothing:0: FileNotFoundError"));
}

TEST_F(PrecompileTest, AFileThatWasNamedIsTakenWhateverItsName) {
  scratch_.write("bin/tool", "x = 1\n");
  EXPECT_THAT(counts(run(request("bin"))), ElementsAre(0, 0, 0));
  const auto done = run(request("bin/tool"));
  EXPECT_THAT(counts(done), ElementsAre(1, 0, 0));
  EXPECT_EQ(done.batches[0].files[0].pyc,
            scratch_ / ("bin/__pycache__/tool" + system_python().cache_tag + ".pyc"));
}

TEST_F(PrecompileTest, BytecodeOfAnotherSourceIsNotTaken) {
  scratch_.write("notes.py", "x = 1\n");
  scratch_.write("notes.txt", "x = 2\n");
  scratch_.write("notes", "x = 3\n");
  for (const char* name : {"notes.txt", "notes"})
    EXPECT_THAT(counts(run(request(name))), ElementsAre(0, 0, 1)) << name;
  EXPECT_THAT(counts(run(request("notes.py"))), ElementsAre(1, 0, 0));
}

TEST_F(PrecompileTest, OverlappingTargetsAreDoneOnce) {
  scratch_.write("src/a.py", "x = 1\n");
  auto asked = request("src");
  add_target(asked, "src/a.py");
  EXPECT_THAT(counts(run(asked)), ElementsAre(1, 0, 0));
}

TEST_F(PrecompileTest, AFileHasOneNameHoweverItIsSpelled) {
  const auto source = scratch_.write("src/a.py", "x = 1\n");
  auto asked = request("src");
  for (const char* spelling : {"src/", "./src", "src/.", "src/../src", "src//a.py"})
    add_target(asked, spelling);
  const auto done = run(asked);
  EXPECT_THAT(counts(done), ElementsAre(1, 0, 0));
  EXPECT_EQ(done.batches[0].files[0].source, source);
  EXPECT_EQ(clean_path("/"), "/");
  EXPECT_EQ(clean_path("//a/./b/"), "/a/b");
  EXPECT_EQ(clean_path("/nothing/../here"), "/nothing/../here");
}

TEST_F(PrecompileTest, LevelAndPrefixDecideWhereBytecodeLies) {
  const auto source = scratch_.write("src/a.py", "x = 1\n");
  auto asked = request("src");
  asked.set_optimize(0, 2);
  asked.set_pycache_prefix(scratch_ / "prefix");
  run(asked);
  const auto expected = cache_from_source(source, system_python().cache_tag, 2, scratch_ / "prefix");
  EXPECT_TRUE(std::filesystem::exists(expected)) << expected;
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "src/__pycache__"));
}

TEST_F(PrecompileTest, WarningsAreHandedOn) {
  scratch_.write("src/w.py", "x is 1\n");
  run(request("src"));
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("src/w.py:1: SyntaxWarning: ")));
}

TEST_F(PrecompileTest, ProgressReachesTheEndAndStaysShort) {
  for (int i = 0; i < 250; ++i) scratch_.write("src/m" + std::to_string(i) + ".py", "x = 1\n");
  run(request("src"));
  std::vector<std::uint64_t> steps;
  for (const auto& event : events_) {
    if (event.has_progress()) steps.push_back(event.progress().done());
  }
  EXPECT_LE(steps.size(), 100U);
  EXPECT_EQ(steps.back(), 250U);
  EXPECT_TRUE(std::is_sorted(steps.begin(), steps.end()));
}

TEST_F(PrecompileTest, StopsWhenAsked) {
  for (int i = 0; i < 20; ++i) scratch_.write("src/m" + std::to_string(i) + ".py", "x = 1\n");
  std::stop_source stop;
  stop.request_stop();
  const auto before = run(request("src"), system_python(), stop.get_token());
  EXPECT_EQ(before.summary.failure_reason(), "shutting-down");
  EXPECT_THAT(before.batches[0].files, IsEmpty());

  std::stop_source later;
  const auto sink = [&](const proto::PrecompileEvent& event) {
    if (event.has_progress()) later.request_stop();
  };
  auto asked = request("src");
  asked.set_jobs(1);
  const auto during = run_with(asked, system_python(), sink, later.get_token());
  EXPECT_EQ(during.summary.compiled(), 1U);
  EXPECT_EQ(during.summary.failure_reason(), "shutting-down");
}

// A compile that hangs is killed when the client goes away: the fake compiler itself is what asks for the
// end.
TEST_F(PrecompileTest, AHangingCompileIsStopped) {
  scratch_.write("src/m.py", "x = 1\n");
  auto python = system_python();
  python.executable =
      scratch_.write("python", "#!/bin/sh\necho > " + scratch_ / "started" + "\nexec sleep 1000\n");
  ::chmod(python.executable.c_str(), 0755);
  ASSERT_EQ(::mkfifo((scratch_ / "started").c_str(), 0600), 0);
  std::stop_source stop;
  std::jthread client([&] {
    read_file(scratch_ / "started");
    stop.request_stop();
  });
  EXPECT_EQ(run(request("src"), python, stop.get_token()).summary.failure_reason(), "shutting-down");
}

TEST_F(PrecompileTest, AnUnusablePythonFailsTheRequest) {
  scratch_.write("src/a.py", "x = 1\n");
  auto python = system_python();
  python.executable = "/nonexistent/python";
  EXPECT_THAT(run(request("src"), python).summary.failure(), HasSubstr("/nonexistent/python"));
  python = system_python();
  python.minor = 5;
  EXPECT_THAT(run(request("src"), python).summary.failure(), HasSubstr("not served"));
  auto asked = request("src");
  asked.set_optimize(0, 3);
  EXPECT_THAT(run(asked).summary.failure(), HasSubstr("optimization"));
}

// A copy, and a tree whose times have moved, are restored; nothing is compiled, and the bytes are those that
// compileall writes there.
TEST_F(PrecompileTest, WhatWasCompiledOnceIsRestored) {
  disk_.set_limit(1U << 30);
  scratch_.write("one/src/a.py", "def f():\n  return __file__\n");
  scratch_.write("one/src/b.py", "class C:\n  x = lambda self: 1\n");
  auto asked = request("one/src");
  asked.mutable_targets(0)->set_spelling("src");
  EXPECT_THAT(counts(run(asked)), ElementsAre(2, 0, 0));
  ASSERT_TRUE(
      shell("cd " + scratch_.path() + " && cp -r one two && rm -r two/src/__pycache__ && cp -r two three"));
  auto again = request("two/src");
  again.mutable_targets(0)->set_spelling("another/name");
  const auto done = run(again);
  EXPECT_EQ(done.summary.restored(), 2U);
  EXPECT_EQ(done.summary.compiled(), 0U);
  ASSERT_TRUE(shell("cd " + scratch_.path() +
                    " && cp -p two/src/*.py three/src && cd three && umask 022 && " +
                    system_python().executable + " -m compileall -q -s src -p another/name src"));
  EXPECT_TRUE(shell("diff -r " + scratch_.path() + "/two " + scratch_.path() + "/three"));
  ASSERT_TRUE(shell("touch -d '2001-02-03 04:05:06' " + scratch_.path() + "/one/src/*.py"));
  store_.flush();
  const auto moved = run(asked);
  EXPECT_EQ(moved.summary.restored(), 2U);
  EXPECT_EQ(moved.summary.compiled(), 0U);
  EXPECT_THAT(counts(run(asked)), ElementsAre(0, 2, 0));
}

TEST_F(PrecompileTest, WarningsAreKeptWithTheCode) {
  disk_.set_limit(1U << 30);
  scratch_.write("src/w.py", "x is 1\n");
  scratch_.write("copy/v.py", "x is 1\n");
  run(request("src"));
  const auto done = run(request("copy"));
  EXPECT_EQ(done.summary.restored(), 1U);
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("copy/v.py:1: SyntaxWarning: ")));
}

std::uint8_t flags_of(const std::string& pyc) {
  return static_cast<std::uint8_t>(read_file(pyc).at(4));
}

TEST_F(PrecompileTest, AFileKeepsItsInvalidationMode) {
  const auto source = scratch_.write("src/a.py", "x = 1\n");
  for (const auto& [mode, flags] : {std::pair{proto::PrecompileRequest::CHECKED_HASH, 3},
                                    std::pair{proto::PrecompileRequest::UNCHECKED_HASH, 1},
                                    std::pair{proto::PrecompileRequest::TIMESTAMP, 0}}) {
    auto asked = request("src");
    asked.set_invalidation(mode);
    EXPECT_THAT(counts(run(asked)), ElementsAre(1, 0, 0));
    EXPECT_EQ(flags_of(cache_of(source)), flags);
    EXPECT_THAT(counts(run(asked)), ElementsAre(0, 1, 0));
    EXPECT_THAT(counts(run(request("src"))), ElementsAre(0, 1, 0));
    scratch_.write("src/a.py", "x = 1" + std::string(static_cast<std::size_t>(flags) + 1, '0') + "\n");
    EXPECT_THAT(counts(run(request("src"))), ElementsAre(1, 0, 0));
    EXPECT_EQ(flags_of(cache_of(source)), flags);
  }
}

TEST_F(PrecompileTest, ACheckWritesNothing) {
  const auto source = scratch_.write("src/a.py", "x = 1\n");
  auto asked = request("src");
  asked.set_check(true);
  EXPECT_EQ(run(asked).summary.stale(), 1U);
  EXPECT_EQ(events_.front().stale().why(), "missing");
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "src/__pycache__"));
  run(request("src"));
  EXPECT_EQ(run(asked).summary.stale(), 0U);
  scratch_.write("src/a.py", "x = 11\n");
  EXPECT_EQ(run(asked).summary.stale(), 1U);
}

TEST_F(PrecompileTest, WhatMatchesIsLeftOut) {
  for (const char* name :
       {"src/a.py", "src/test_a.py", "src/p/b.py", "src/p/q/c.py", "src/r/d.py", "src/.git/e.py"}) {
    scratch_.write(name, "x = 1\n");
  }
  auto asked = request("src");
  asked.add_exclude("test_*");
  asked.add_exclude("p/q");
  asked.add_exclude("r/");
  const auto done = run(asked);
  EXPECT_THAT(counts(done), ElementsAre(2, 0, 0));
  EXPECT_EQ(done.summary.left_out_count(), 1U);
  EXPECT_EQ(done.summary.left_out(0), ".git");
}

TEST_F(PrecompileTest, ATargetHasExclusionsOfItsOwn) {
  for (const char* name : {"a/gen/x.py", "a/deep/gen/x.py", "b/gen/x.py"}) scratch_.write(name, "x = 1\n");
  auto asked = request("a");
  *asked.add_targets() = request("b").targets(0);
  asked.mutable_targets(0)->add_exclude("/gen");
  EXPECT_THAT(counts(run(asked)), ElementsAre(2, 0, 0));
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "a/gen/__pycache__"));
}

// As an editor, or `git stash`, within the second; or `cp -p`, `rsync -t` at any time.
TEST_F(PrecompileTest, AnEditThatLeavesTimeAndSizeIsSeen) {
  disk_.set_limit(Store::kNoLimit);
  const auto source = scratch_.write("src/a.py", "VERSION = 1\n");
  run(request("src"));
  const FileStamp before = stamp_of(source);
  const timespec time{before.modified_ns / 1'000'000'000, before.modified_ns % 1'000'000'000};
  const timespec times[2] = {time, time};
  const auto forge_time = [&] { ASSERT_EQ(::utimensat(AT_FDCWD, source.c_str(), times, 0), 0); };
  scratch_.write("src/a.py", "VERSION = 2\n");
  forge_time();
  ASSERT_EQ(stamp_of(source).modified_ns, before.modified_ns);
  EXPECT_THAT(counts(run(request("src"))), ElementsAre(1, 0, 0));
  forge_time();
  EXPECT_THAT(counts(run(request("src"))), ElementsAre(0, 1, 0)) << "its content is as it was";
  made_.clear();
  forge_time();
  EXPECT_THAT(counts(run(request("src"))), ElementsAre(0, 1, 0)) << "the code proves it";
  EXPECT_EQ(made_.size(), 1) << "and that is remembered";
  made_.clear();
  scratch_.write("src/a.py", "VERSION = 3\n");
  forge_time();
  EXPECT_EQ(run(request("src")).summary.restored(), 1) << "the code denies it; it was compiled to see that";
}

TEST_F(PrecompileTest, WhatDidNotCompileIsNotTriedBeforeItChanges) {
  const auto bad = stamp_of(scratch_.write("src/bad.py", "def f(:\n"));
  while (!is_settled(bad)) std::this_thread::yield();  // for the clock that files have their times from
  const auto first = run(request("src"));
  const auto& failed = first.batches[0].files[0];
  known_[failed.pyc] = {failed.source_stamp.modified_ns, failed.source_stamp.changed_ns,
                        failed.source_stamp.size, system_python().magic,
                        CompileError{"SyntaxError", "as it was told", 7, 0}};
  EXPECT_THAT(counts(run(request("src"))), ElementsAre(0, 0, 1));
  EXPECT_THAT(errors_, ElementsAre("src/bad.py:7: SyntaxError"));
  auto forced = request("src");
  forced.set_force(true);
  run(forced);
  EXPECT_THAT(errors_, ElementsAre("src/bad.py:1: SyntaxError"));
  scratch_.write("src/bad.py", "def f(): pass\n");
  EXPECT_THAT(counts(run(request("src"))), ElementsAre(1, 0, 0));
}

TEST_F(PrecompileTest, SeveralInterpretersAndLevelsAtOnce) {
  scratch_.write("src/a.py", "assert True\n");
  const auto pythons = all_pythons();
  auto asked = request("src");
  asked.add_optimize(2);
  const PrecompileServices services{compilers_, store_, {}, {}, {}};
  const auto done = precompile(asked, pythons, services, [](const proto::PrecompileEvent&) {}, {});
  EXPECT_EQ(done.summary.failure(), "");
  EXPECT_EQ(done.summary.compiled(), 2 * pythons.size());
  for (const auto& batch : done.batches) EXPECT_TRUE(std::filesystem::exists(batch.files[0].pyc));
}

TEST_F(PrecompileTest, AFullDiskIsAnErrorOfThatFileAndTearsNothing) {
  const auto source = scratch_.write("src/a.py", "x = 1\n");
  run(request("src"));
  const auto before = read_file(cache_of(source));
  scratch_.write("src/a.py", "x = " + std::string(900, '1') + "\n");
  {
    const FullDisk full(300);
    EXPECT_THAT(counts(run(request("src"))), ElementsAre(0, 0, 1));
  }
  EXPECT_EQ(read_file(cache_of(source)), before);
  EXPECT_THAT(counts(run(request("src"))), ElementsAre(1, 0, 0));
}

TEST_F(PrecompileTest, LegacyFilesLieBesideTheSource) {
  scratch_.write("src/a.py", "x = 1\n");
  auto asked = request("src");
  asked.set_legacy(true);
  run(asked);
  EXPECT_TRUE(std::filesystem::exists(scratch_ / "src/a.pyc"));
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "src/__pycache__"));
  EXPECT_THAT(counts(run(asked)), ElementsAre(0, 1, 0));
}

}  // namespace
}  // namespace kiln

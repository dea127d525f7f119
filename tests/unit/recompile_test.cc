// Bytecode that nobody asks for: after the interpreter's binary, or a source, has changed.
#include "daemon/recompile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <iterator>

#include "common/embedded_filename.h"
#include "common/pyc.h"
#include "daemon/freshness.h"
#include "tests/unit/pythons.h"
#include "tests/unit/scratch.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;

std::string body_of(const std::string& pyc) {
  return read_file(pyc).substr(16);
}

PycKind kind_of(const std::string& pyc) {
  return parse_pyc_header(read_file(pyc)).value().kind;
}

class RecompilerTest : public testing::Test {
 protected:
  RecompilerTest() { fs::create_directories(scratch_ / "bin"); }

  // The interpreter `python` is TARGET from now on.
  void link_to(const InterpreterInfo& target) const {
    fs::remove(link_);
    fs::create_symlink(target.executable, link_);
  }

  InterpreterInfo linked() const { return probe_interpreter(link_).value(); }

  // As `kiln precompile` does, in a scratch directory, of SPELLING.
  void precompile(
      const std::string& spelling,
      const std::function<void(proto::PrecompileRequest&)>& change = [](proto::PrecompileRequest&) {}) {
    proto::PrecompileRequest request;
    request.add_targets()->set_path(scratch_ / spelling);
    request.mutable_targets(0)->set_spelling(spelling);
    request.add_optimize(0);
    request.set_umask(0022);
    change(request);
    const KnownErrors none;
    CompilerPool compilers;
    const auto interpreter = linked();
    auto done =
        kiln::precompile(request, std::span(&interpreter, 1), {compilers, store_, overlay_.dir(), none, {}},
                         [](const proto::PrecompileEvent&) {}, {});
    EXPECT_EQ(done.summary.failure(), "");
    for (auto& batch : done.batches) keep_results(std::move(batch), request.umask(), index_, overlay_);
  }

  // What the daemon does when it notices, to the end of it.
  void look_at_interpreters() {
    Recompiler recompiler(index_, store_, overlay_, requested_);
    recompiler.look_at_interpreters();
    recompiler.drain();
  }

  void look_at_source(const std::string& path) {
    Recompiler recompiler(index_, store_, overlay_, requested_);
    recompiler.look_at({.files = {path}});
    recompiler.drain();
  }

  static std::string cached(const std::string& source, const InterpreterInfo& interpreter) {
    return cache_from_source(source, interpreter.cache_tag, 0);
  }

  static bool is_fresh(const std::string& pyc, const std::string& source,
                       const InterpreterInfo& interpreter) {
    const auto freshness = check_pyc(pyc, {interpreter.magic, stamp_of(source), {}, {}}).freshness;
    return freshness == Freshness::fresh || freshness == Freshness::doubtful;  // made in the same tick
  }

  std::vector<IndexEntry> entries_of(const std::string& source) {
    return index_.entries({.state = {}, .path = source, .executable = {}});
  }

  const Scratch scratch_;
  const std::string link_ = scratch_ / "bin/python";
  IndexThread index_{scratch_ / "index.db"};
  Store disk_{scratch_ / "store", 0};
  WriteBehindStore store_{disk_};
  Overlay overlay_{scratch_ / "overlay", 1ULL << 30, index_};
  PrecompileService requested_{index_, store_, overlay_};
};

// Two versions that differ in magic number and tag.
class MovedLink : public RecompilerTest {
 protected:
  void SetUp() override {
    const auto& pythons = all_pythons();
    const auto [first, last] = std::ranges::minmax_element(
        pythons, {}, [](const InterpreterInfo& info) { return std::pair(info.major, info.minor); });
    if (first->magic == last->magic) GTEST_SKIP() << "one version of Python only";
    old_ = *first;
    new_ = *last;
    link_to(old_);
  }

  InterpreterInfo old_;
  InterpreterInfo new_;
};

TEST_F(MovedLink, CompilesForTheNewVersionAndLeavesTheOldOnes) {
  const auto source = scratch_.write("src/a.py", "x = 1\n");
  precompile("src");
  const auto before = read_file(cached(source, old_));
  link_to(new_);
  look_at_interpreters();
  EXPECT_TRUE(is_fresh(cached(source, new_), source, new_));
  EXPECT_EQ(read_file(cached(source, old_)), before);
  EXPECT_EQ(find_filename(body_of(cached(source, new_)), new_.magic).value().name, "src/a.py");
  EXPECT_EQ(entries_of(source).size(), 2U);
  EXPECT_TRUE(index_.changed_interpreters().empty());
}

TEST_F(MovedLink, AndBackAgain) {
  const auto source = scratch_.write("src/a.py", "x = 1\n");
  precompile("src");
  link_to(new_);
  look_at_interpreters();
  scratch_.write("src/a.py", "x = 22\n");
  link_to(old_);
  look_at_interpreters();
  EXPECT_TRUE(is_fresh(cached(source, old_), source, old_));
  EXPECT_FALSE(is_fresh(cached(source, new_), source, new_));
}

TEST_F(MovedLink, IsNoticedWhateverRecordedItFirst) {
  const auto source = scratch_.write("src/a.py", "x = 1\n");
  precompile("src");
  link_to(new_);
  scratch_.write("other/b.py", "x = 1\n");
  precompile("other");
  look_at_interpreters();
  EXPECT_TRUE(is_fresh(cached(source, new_), source, new_));
}

TEST_F(MovedLink, IsExaminedByTheNextDaemonIfThisOneWasStopped) {
  const auto source = scratch_.write("src/a.py", "x = 1\n");
  precompile("src");
  link_to(new_);
  index_.record(linked(), 0, {});
  {
    Recompiler recompiler(index_, store_, overlay_, requested_);
    recompiler.stop();
    recompiler.look_at_interpreters();
    recompiler.drain();
    recompiler.join();
  }
  EXPECT_FALSE(fs::exists(cached(source, new_)));
  look_at_interpreters();
  EXPECT_TRUE(fs::exists(cached(source, new_)));
}

TEST_F(MovedLink, WhatTheOldVersionCouldNotCompileIsTriedAgain) {
  if (old_.minor >= 10 || new_.minor < 10) GTEST_SKIP() << "no versions before and after 3.10";
  const auto source = scratch_.write("src/a.py", "match 1:\n  case 1: pass\n");
  precompile("src");
  ASSERT_EQ(entries_of(source).at(0).state, EntryState::error);
  link_to(new_);
  look_at_interpreters();
  EXPECT_TRUE(is_fresh(cached(source, new_), source, new_));
}

TEST_F(MovedLink, KeepsInvalidationModePrefixAndUmask) {
  const auto hashed = scratch_.write("hashed/a.py", "x = 1\n");
  const auto prefixed = scratch_.write("prefixed/a.py", "x = 1\n");
  precompile("hashed", [](auto& request) {
    request.set_invalidation(proto::PrecompileRequest::UNCHECKED_HASH);
    request.set_umask(0027);
  });
  precompile("prefixed", [&](auto& request) { request.set_pycache_prefix(scratch_ / "prefix"); });
  link_to(new_);
  look_at_interpreters();
  EXPECT_EQ(kind_of(cached(hashed, new_)), PycKind::unchecked_hash);
  struct stat status {};
  ASSERT_EQ(::stat(cached(hashed, new_).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640U);
  const bool have_prefix = old_.minor >= 8 && new_.minor >= 8;
  const auto below_prefix = cache_from_source(prefixed, new_.cache_tag, 0, scratch_ / "prefix");
  EXPECT_EQ(fs::exists(below_prefix), have_prefix) << old_.version << " " << new_.version;
  EXPECT_EQ(fs::exists(cached(prefixed, new_)), !have_prefix);
}

TEST_F(MovedLink, BesideTheSourceTheOldVersionsFileStays) {
  const auto source = scratch_.write("src/a.py", "x = 1\n");
  precompile("src", [](auto& request) { request.set_legacy(true); });
  const auto before = read_file(source + "c");
  link_to(new_);
  look_at_interpreters();
  EXPECT_EQ(read_file(source + "c"), before);
  EXPECT_FALSE(fs::exists(cached(source, new_)));
  fs::remove(source + "c");
  precompile("src", [](auto& request) { request.set_legacy(true); });
  link_to(old_);
  fs::remove(source + "c");
  look_at_interpreters();
  EXPECT_TRUE(is_fresh(source + "c", source, old_));
}

TEST_F(MovedLink, ASourceThatIsGoneIsNotMissed) {
  const auto source = scratch_.write("src/a.py", "x = 1\n");
  precompile("src");
  fs::remove(source);
  link_to(new_);
  look_at_interpreters();
  EXPECT_FALSE(fs::exists(cached(source, new_)));
  EXPECT_TRUE(index_.changed_interpreters().empty());
}

TEST_F(MovedLink, WhatIsNoInterpreterIsLeftAlone) {
  const auto source = scratch_.write("src/a.py", "x = 1\n");
  precompile("src");
  InterpreterInfo none;
  none.executable = "/bin/false";
  link_to(none);
  look_at_interpreters();
  EXPECT_FALSE(index_.changed_interpreters().empty());
  link_to(new_);
  look_at_interpreters();
  EXPECT_TRUE(fs::exists(cached(source, new_)));
}

TEST_F(MovedLink, RootDoesNotWriteIntoTheTreesOfOthers) {
  if (::geteuid() != 0) GTEST_SKIP() << "not root";
  constexpr uid_t kSomebody = 1;
  const auto source = scratch_.write("src/a.py", "x = 1\n");
  const auto roots = scratch_.write("roots/a.py", "x = 1\n");
  precompile("src");
  precompile("roots");
  ASSERT_EQ(::chown((scratch_ / "src/__pycache__").c_str(), kSomebody, kSomebody), 0);
  link_to(new_);
  look_at_interpreters();
  EXPECT_FALSE(fs::exists(cached(source, new_)));
  EXPECT_TRUE(fs::exists(cached(roots, new_)));
}

TEST_F(RecompilerTest, AnUpgradedBinaryHasWhatIsWrongMended) {
  link_to(system_python());
  const auto good = scratch_.write("src/good.py", "x = 1\n");
  const auto bad = scratch_.write("src/bad.py", "x = 1\n");
  precompile("src");
  const auto before = stamp_of(cached(good, system_python()));
  ASSERT_EQ(::truncate(cached(bad, system_python()).c_str(), 20), 0);
  fs::remove(link_);
  fs::copy_file(fs::canonical(system_python().executable), link_);
  look_at_interpreters();
  EXPECT_TRUE(is_fresh(cached(bad, system_python()), bad, system_python()));
  EXPECT_EQ(stamp_of(cached(good, system_python())), before);
}

TEST_F(RecompilerTest, AChangedSourceIsCompiledIfItHasAnEntry) {
  link_to(system_python());
  const auto known = scratch_.write("src/known.py", "x = 1\n");
  precompile("src", [](auto& request) {
    request.set_umask(0077);
    request.set_invalidation(proto::PrecompileRequest::CHECKED_HASH);
  });
  const auto unknown = scratch_.write("src/unknown.py", "x = 1\n");
  scratch_.write("src/known.py", "x = 22\n");
  look_at_source(known);
  look_at_source(unknown);
  const auto pyc = cached(known, system_python());
  ASSERT_TRUE(fs::exists(pyc));
  EXPECT_EQ(kind_of(pyc), PycKind::checked_hash);
  EXPECT_EQ(find_filename(body_of(pyc), system_python().magic).value().name, "src/known.py");
  EXPECT_EQ(read_file(pyc).find("x = 1"), std::string::npos);
  struct stat status {};
  ASSERT_EQ(::stat(pyc.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  EXPECT_FALSE(fs::exists(cached(unknown, system_python())));
  EXPECT_EQ(entries_of(known).at(0).state, EntryState::fresh);
}

// Who asked for it was told so, and may ask again.
TEST_F(RecompilerTest, WhatCouldNotBeWrittenIsNotMadeUpFor) {
  link_to(system_python());
  const auto source = scratch_.write("src/a.py", "x = 1\n");
  scratch_.write("src/__pycache__", "in the way");
  precompile("src");
  EXPECT_EQ(entries_of(source).at(0).state, EntryState::error);
  fs::remove(scratch_ / "src/__pycache__");
  look_at_source(source);
  EXPECT_FALSE(fs::exists(cached(source, system_python())));
}

// Only the directory of the name that was written through is told.
TEST_F(RecompilerTest, ASourceWithSeveralNamesIsCompiledForAll) {
  link_to(system_python());
  const auto one = scratch_.write("src/one.py", "x = 1\n");
  fs::create_directories(scratch_ / "src/deep");
  const auto other = scratch_ / "src/deep/other.py";
  fs::create_hard_link(one, other);
  precompile("src");
  scratch_.write("src/one.py", "x = 22\n");
  look_at_source(one);
  EXPECT_EQ(entries_of(other).at(0).state, EntryState::fresh);
  EXPECT_TRUE(is_fresh(cached(other, system_python()), other, system_python()));
  scratch_.write("src/one.py", "x = 333\n");
  look_at_source(other);
  EXPECT_TRUE(is_fresh(cached(one, system_python()), one, system_python()));
}

TEST_F(RecompilerTest, AnErrorIsToldOnceThoughTheSourceIsMeantTwice) {
  link_to(system_python());
  const auto source = scratch_.write("src/a.py", "x = 1\n");
  precompile("src");
  scratch_.write("src/a.py", "x = = 1\n");
  Recompiler recompiler(index_, store_, overlay_, requested_);
  int told = 0;
  recompiler.set_listener([&](const RecompiledFile& file) { told += file.file.error ? 1 : 0; });
  recompiler.look_at({.files = {source}, .directories = {scratch_ / "src"}});
  recompiler.drain();
  EXPECT_EQ(told, 1);
  EXPECT_EQ(entries_of(source).at(0).state, EntryState::error);
}

TEST_F(RecompilerTest, ManySourcesAtOnce) {
  link_to(system_python());
  constexpr int kFiles = 100;
  std::vector<std::string> sources;
  for (int i = 0; i < kFiles; ++i) {
    sources.push_back(scratch_.write("src/m" + std::to_string(i) + ".py", "x = 1\n"));
  }
  precompile("src");
  Recompiler recompiler(index_, store_, overlay_, requested_);
  for (const auto& source : sources) {
    std::ofstream(source) << "x = 22\n";
    recompiler.look_at({.files = {source}});
    recompiler.look_at({.files = {source}});
  }
  recompiler.drain();
  for (const auto& source : sources) {
    EXPECT_TRUE(is_fresh(cached(source, system_python()), source, system_python())) << source;
  }
}

// Who says so may be about to remove it.
TEST_F(RecompilerTest, NothingIsWrittenWhereNothingIsWatchedAnyMore) {
  constexpr int kFiles = 100;
  for (const std::string directory : {"src/m", "src/inner/m"}) {
    for (int i = 0; i < kFiles; ++i) scratch_.write(directory + std::to_string(i) + ".py", "x = 1\n");
  }
  const auto keep_all = [](const std::string& path) {
    WatchedRoot root;
    root.path = path;
    root.policy = "all";
    root.pythons = {system_python().executable};
    return root;
  };
  WatchedRoots both, inner;
  for (auto* const roots : {&both, &inner}) roots->add(keep_all(scratch_ / "src/inner"));
  both.add(keep_all(scratch_ / "src"));
  Recompiler recompiler(index_, store_, overlay_, requested_);
  recompiler.set_roots(both);
  std::atomic<int> made{0};
  recompiler.set_listener([&](const RecompiledFile& file) {
    if (file.file.source.find("/inner/") == std::string::npos && ++made == 1) recompiler.set_roots(inner);
  });
  recompiler.look_at({.trees = {scratch_ / "src"}});
  recompiler.drain();
  const auto count = [&](const std::string& directory) {
    std::error_code none;
    fs::directory_iterator at(scratch_ / (directory + "/__pycache__"), none);
    return std::distance(at, {});
  };
  EXPECT_GT(made, 0);
  EXPECT_EQ(count("src"), made);
  EXPECT_LT(count("src"), kFiles);
  EXPECT_EQ(count("src/inner"), kFiles);
}

TEST_F(RecompilerTest, NothingToDoIsDone) {
  look_at_interpreters();
  look_at_source(scratch_ / "nothing.py");
  EXPECT_TRUE(entries_of({}).empty());
}

}  // namespace
}  // namespace kiln

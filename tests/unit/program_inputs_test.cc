// What a program had looked at is held by the watcher; every change is seen by the next question, whether it
// is proved or looked at.
#include "daemon/program_inputs.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <functional>

#include "common/unique_fd.h"
#include "tests/unit/scratch.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;
using Kind = ProgramInput::Kind;

class ProgramInputsTest : public testing::Test {
 protected:
  ProgramInputsTest() {
    for (const char* name : {"tree/a.py", "tree/b.py", "tree/package/c.py", "elsewhere/d.py"})
      scratch_.write(name, "x = 1\n");
    make_links();
  }

  // One that is absolute, one that leads to that, and one that climbs.
  void make_links() const {
    fs::create_symlink(scratch_ / "elsewhere/d.py", scratch_ / "tree/link.py");
    fs::create_symlink("link.py", scratch_ / "tree/second.py");
    fs::create_symlink("../../elsewhere/d.py", scratch_ / "tree/package/climbs.py");
  }

  ProgramInput look(Kind kind, const std::string& name) const {
    ProgramInput input = look_again({kind, scratch_ / name, {}, 0});
    if (kind != Kind::names && kind != Kind::importable_names) return input;
    const UniqueFd fd{::open(input.path.c_str(), O_RDONLY | O_DIRECTORY)};
    input.names_hash = hash_of_names(fd.get(), kind == Kind::importable_names);
    return input;
  }

  std::vector<ProgramInput> everything() const {
    return {look(Kind::content, "tree/a.py"),
            look(Kind::content, "tree/absent.py"),
            look(Kind::type, "tree/b.py"),
            look(Kind::type, "tree/package"),
            look(Kind::identity, "tree/b.py"),
            look(Kind::content, "tree/link.py"),
            look(Kind::link_content, "tree/link.py"),
            look(Kind::type, "tree/second.py"),
            look(Kind::content, "tree/second.py"),
            look(Kind::content, "tree/package/climbs.py"),
            look(Kind::names, "tree/package"),
            look(Kind::importable_names, "tree"),
            look(Kind::content, "tree/package/c.py"),
            look(Kind::content, "nowhere/at/all.cfg"),
            look(Kind::content, "tree/package")};
  }

  void settle() {
    Tick tick = 0;
    do {
      tick = watcher_.drain();
      EXPECT_TRUE(watcher_.wait_until_settled(std::chrono::minutes(1)));
    } while (watcher_.drain() != tick);
  }

  Scratch scratch_;
  Watcher watcher_;
};

TEST_F(ProgramInputsTest, WhatIsProvedIsNotLookedAt) {
  ProgramInputs inputs(watcher_, {look(Kind::content, "tree/a.py"), look(Kind::content, "tree/absent.py"),
                                  look(Kind::importable_names, "tree"), look(Kind::type, "tree/package")});
  EXPECT_TRUE(inputs.hold());
  settle();
  EXPECT_TRUE(inputs.hold());
  EXPECT_TRUE(inputs.hold());
  EXPECT_EQ(inputs.by_stat(), 0U);
  scratch_.write("tree/b.py", "x = 22\n");
  EXPECT_TRUE(inputs.hold()) << "nobody looked at that";
}

TEST_F(ProgramInputsTest, WhatCannotBeProvedIsLookedAt) {
  fs::create_directory_symlink(scratch_ / "elsewhere", scratch_ / "tree/other");
  fs::create_symlink("other/../d.py", scratch_ / "tree/astray.py");  // ../d.py is not what it leads to
  scratch_.write("d.py", "x = 1\n");
  scratch_.write("tree/d.py", "x = 1\n");
  ProgramInputs inputs(watcher_, {look(Kind::content, "tree/astray.py")});
  EXPECT_TRUE(inputs.hold());
  settle();
  EXPECT_TRUE(inputs.hold());
  EXPECT_EQ(inputs.by_stat(), 1U);
  scratch_.write("d.py", "x = 22\n");
  EXPECT_FALSE(inputs.hold());
  EXPECT_EQ(inputs.changed(), scratch_ / "tree/astray.py");
}

TEST_F(ProgramInputsTest, SymlinksAreProvedWithWhatTheyLeadTo) {
  ProgramInputs inputs(watcher_,
                       {look(Kind::content, "tree/second.py"), look(Kind::link_content, "tree/link.py"),
                        look(Kind::content, "tree/package/climbs.py")});
  EXPECT_TRUE(inputs.hold());
  settle();
  EXPECT_TRUE(inputs.hold());
  EXPECT_TRUE(inputs.hold());
  EXPECT_EQ(inputs.by_stat(), 0U);
  scratch_.write("elsewhere/d.py", "x = 22\n");
  EXPECT_FALSE(inputs.hold());
}

TEST_F(ProgramInputsTest, NothingIsHeldAfterTheEnd) {
  { const ProgramInputs inputs(watcher_, everything()); }
  settle();
  EXPECT_EQ(watcher_.describe().held_files, 0U);
  EXPECT_EQ(watcher_.describe().directories, 0U);
}

// Each change by itself, before and after the watcher has looked at everything.
TEST_F(ProgramInputsTest, EveryChangeIsSeen) {
  struct Change {
    const char* what;
    std::function<void()> make;
    bool matters = true;
  };
  const auto write = [this](const char* name) { return [this, name] { scratch_.write(name, "y = 333\n"); }; };
  const auto turn = [this](const char* link) {
    return [this, link] {
      fs::remove(scratch_ / link);
      fs::create_symlink(scratch_ / "tree/a.py", scratch_ / link);
    };
  };
  const std::vector<Change> changes{
      {"in place", write("tree/a.py")},
      {"absent appears", write("tree/absent.py")},
      {"far absent appears", write("nowhere/at/all.cfg")},
      {"behind a symlink", write("elsewhere/d.py")},
      {"renamed over",
       [this] {
         scratch_.write("elsewhere/new", "x = 1\n");
         fs::rename(scratch_ / "elsewhere/new", scratch_ / "tree/a.py");
       }},
      {"removed", [this] { fs::remove(scratch_ / "tree/package/c.py"); }},
      {"a name more", write("tree/package/e.txt")},
      {"a name that cannot be imported", write("tree/notes.txt"), false},
      {"a directory replaced",
       [this] {
         fs::rename(scratch_ / "tree/package", scratch_ / "old");
         fs::create_directory(scratch_ / "tree/package");
       }},
      {"another tree in its place",
       [this] {
         fs::rename(scratch_ / "tree", scratch_ / "was");
         fs::create_directory(scratch_ / "tree");
       }},
      {"permissions", [this] { ::chmod((scratch_ / "tree/a.py").c_str(), 0600); }},
      {"a link turned", turn("tree/link.py")},
      {"a link to a link turned", turn("tree/second.py")},
      {"a link that climbs turned", turn("tree/package/climbs.py")},
      {"a link that became a file",
       [this] {
         fs::remove(scratch_ / "tree/second.py");
         scratch_.write("tree/second.py", "x = 1\n");
       }},
  };
  for (const bool settled : {false, true}) {
    for (const Change& change : changes) {
      SCOPED_TRACE(std::string(change.what) + (settled ? ", settled" : ""));
      for (const char* name : {"tree", "elsewhere", "nowhere", "old", "was"}) fs::remove_all(scratch_ / name);
      for (const char* name : {"tree/a.py", "tree/b.py", "tree/package/c.py", "elsewhere/d.py"})
        scratch_.write(name, "x = 1\n");
      make_links();
      ProgramInputs inputs(watcher_, everything());
      EXPECT_TRUE(inputs.hold());
      if (settled) settle();
      EXPECT_TRUE(inputs.hold());
      change.make();
      EXPECT_EQ(inputs.hold(), !change.matters);
    }
  }
}

}  // namespace
}  // namespace kiln

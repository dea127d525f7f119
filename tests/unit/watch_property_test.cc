// Random changes, made by several processes at once; after each round the watch engine's proofs and hints are
// compared with a fresh look. KILN_TEST_ALL=1 takes 20,000 changes, KILN_TEST_SEED=N repeats a run.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <random>
#include <set>

#include "common/path_text.h"
#include "common/unique_fd.h"
#include "daemon/watch/watcher.h"
#include "tests/unit/scratch.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;

constexpr int kHands = 3;
constexpr unsigned kChangesInARound = 4;  // of each hand, at the most
constexpr auto kPatience = std::chrono::minutes(2);

constexpr std::array kDirectories{"a", "b", "c"};
constexpr std::array kFiles{"x.py", "y.py", "a"};  // "a" may be either

using Random = std::mt19937;

template <class Names>
std::string pick(Random& random, const Names& names) {
  return names[random() % names.size()];
}

std::string below(Random& random, std::string path, unsigned depth) {
  for (; depth > 0; --depth) path += "/" + pick(random, kDirectories);
  return path;
}

// A directory up to three levels below ROOT, which may not be there; seldom ROOT, with which all goes.
std::string some_directory(Random& random, const std::string& root) {
  return below(random, root, random() % 16 == 0 ? 0 : 1 + random() % 3);
}

std::string some_file(Random& random, const std::string& root) {
  return below(random, root, random() % 4) + "/" + pick(random, kFiles);
}

void write_to(const std::string& path, int flags, Random& random) {
  const UniqueFd file{::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | flags, 0644)};
  const std::string text = std::to_string(random());
  if (file) (void)!::write(file.get(), text.data(), text.size());
}

// One change, which may fail: much is not there, or in the way. Roots are "/in" and "/out" of the tree.
void change(Random& random, const std::string& tree, bool links) {
  const std::string in = tree + "/in";
  const std::string out = tree + "/out";
  const auto either = [&] { return random() % 4 == 0 ? out : in; };
  std::error_code ignored;
  switch (random() % 16) {
    case 0:
    case 1: {
      const std::string directory = some_directory(random, either());
      fs::create_directories(directory, ignored);
      write_to(directory + "/" + pick(random, kFiles), 0, random);
      break;
    }
    case 2:
    case 3:
    case 4:
      write_to(some_file(random, either()), O_TRUNC, random);
      break;
    case 5:
      write_to(some_file(random, either()), O_APPEND, random);
      break;
    case 6: {  // as an editor saves
      const std::string file = some_file(random, either());
      write_to(file + "~", O_TRUNC, random);
      ::rename((file + "~").c_str(), file.c_str());
      break;
    }
    case 7:
      ::rename(some_file(random, either()).c_str(), some_file(random, either()).c_str());
      break;
    case 8:
    case 9: {  // a root may come to be a symlink, which may lead to itself
      const auto from = some_directory(random, either());
      const auto to = some_directory(random, either());
      ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), random() % 2 == 0 ? RENAME_EXCHANGE : 0);
      break;
    }
    case 10:
      ::unlink(some_file(random, either()).c_str());
      break;
    case 11:  // mostly small trees, or there would never be large ones
      fs::remove_all(random() % 4 == 0 ? some_directory(random, either()) : below(random, either(), 3),
                     ignored);
      break;
    case 12:
      ::chmod(some_file(random, either()).c_str(), 0600 + random() % 64);
      ::chmod(some_directory(random, either()).c_str(), 0700 + random() % 64);
      break;
    case 13:
      ::symlink(some_file(random, either()).c_str(), some_file(random, either()).c_str());
      break;
    case 14:
      ::symlink(some_directory(random, either()).c_str(), some_directory(random, either()).c_str());
      break;
    default:
      if (!links) return write_to(some_file(random, either()), O_APPEND, random);
      ::link(some_file(random, either()).c_str(), some_file(random, either()).c_str());
  }
}

// A process that changes the tree when it is told to.
class Hand {
 public:
  Hand(const std::string& tree, bool links) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) std::abort();
    channel_.reset(ends[0]);
    UniqueFd other{ends[1]};
    pid_ = ::fork();
    if (pid_ != 0) return;
    channel_.reset();
    std::array<unsigned, 2> order;
    while (::read(other.get(), order.data(), sizeof order) == sizeof order) {
      Random random(order[0]);
      for (unsigned i = 0; i < order[1]; ++i) change(random, tree, links);
      (void)!::write(other.get(), "d", 1);
    }
    ::_exit(0);
  }
  ~Hand() {
    ::shutdown(channel_.get(), SHUT_RDWR);  // the hands that came after it have copies
    ::waitpid(pid_, nullptr, 0);
  }
  Hand(const Hand&) = delete;
  Hand& operator=(const Hand&) = delete;

  void begin(unsigned seed, unsigned changes) {
    const std::array<unsigned, 2> order{seed, changes};
    ASSERT_EQ(::write(channel_.get(), order.data(), sizeof order), static_cast<ssize_t>(sizeof order));
  }
  void join() {
    char done = 0;
    ASSERT_EQ(::read(channel_.get(), &done, 1), 1);
  }

 private:
  UniqueFd channel_;
  pid_t pid_ = -1;
};

// All that can be told of a path without changing it.
std::string print_of(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return "absent";
  std::string print = std::to_string(status.st_mode) + " " + std::to_string(status.st_ino);
  std::error_code failed;
  if (S_ISLNK(status.st_mode)) print += " " + fs::read_symlink(path, failed).string();
  if (!S_ISREG(status.st_mode)) return print;
  return print + " " + std::to_string(status.st_nlink) + " " + std::to_string(status.st_mtim.tv_nsec) + " " +
         std::to_string(status.st_ctim.tv_nsec) + " " + read_file(path);
}

// Directories and regular files, with their contents, but for what lies behind symlinks.
using Tree = std::map<std::string, std::string, std::less<>>;

// What only one of them has: "- path: contents", "+ path: contents".
std::string difference(const Tree& old, const Tree& now) {
  std::string text;
  for (const auto& [path, what] : old) {
    if (!now.contains(path) || now.at(path) != what) text += "- " + path + ": " + what + "\n";
  }
  for (const auto& [path, what] : now) {
    if (!old.contains(path) || old.at(path) != what) text += "+ " + path + ": " + what + "\n";
  }
  return text;
}

// With hard links, or without. Of files that have, or had, several and are not held, the contents are
// nobody's business: writes through another link are not heard (watcher.h).
class WatchProperty : public testing::TestWithParam<bool> {
 protected:
  WatchProperty() : random_(seed()), hands_(kHands) {
    fs::create_directory(scratch_ / "in");
    fs::create_directory(scratch_ / "out");
    for (auto& hand : hands_)
      hand = std::make_unique<Hand>(scratch_.path(), GetParam());  // before there are threads
    watcher_ = std::make_unique<Watcher>();
    paths("", 3);
    watcher_->add_root(root_);
    for (const auto& path : held_) watcher_->add_file(path);
    for (const char* name : {"", "/a", "/b", "/a/b"}) {
      const std::string directory = out_ + name;
      watcher_->add_files_of(directory);
      listed_[directory];
    }
  }

  static unsigned seed() {
    static const unsigned value = [] {
      const char* given = std::getenv("KILN_TEST_SEED");
      return given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10))
                              : std::random_device()();
    }();
    return value;
  }

  void paths(const std::string& way, int depth) {
    for (const char* name : kFiles) held_.insert(root_ + way + "/" + name);
    if (depth == 0) return;
    for (const char* name : kDirectories) paths(way + "/" + name, depth - 1);
  }

  // A root that was removed, or leads nowhere, comes back soon, with something in it.
  void restore_root() {
    std::error_code failed;
    if (fs::is_directory(root_, failed) || random_() % 4 == 0) return;
    fs::remove(root_, failed);
    for (const char* name : kDirectories) {
      fs::create_directories(below(random_, root_ + "/" + name, 2), failed);
      write_to(root_ + "/" + name + "/" + pick(random_, kFiles), 0, random_);
    }
  }

  // Changes by all hands at once, while the queue is read in between.
  unsigned round() {
    restore_root();
    unsigned sum = 0;
    for (auto& hand : hands_) {
      const unsigned changes = 1 + random_() % kChangesInARound;
      hand->begin(random_(), changes);
      sum += changes;
    }
    watcher_->drain();
    for (auto& hand : hands_) hand->join();
    return sum;
  }

  std::string contents_of(const std::string& file) const {
    return GetParam() && !held_.contains(file) ? "file" : read_file(file);
  }

  void scan(const std::string& directory, bool recursive, Tree& tree) const {
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(directory, failed)) {
      const auto path = entry.path().string();
      if (entry.is_symlink()) continue;
      if (entry.is_regular_file()) tree[path] = contents_of(path);
      if (!entry.is_directory()) continue;
      tree[path] = "directory";
      if (recursive) scan(path, true, tree);
    }
  }

  // What was proved of each path, and when.
  struct Known {
    std::string print;
    Tick tick = 0;
    bool was_proved = false;  // at the last check
  };

  // What was proved at TICK, and is no longer, is named. Asked afterwards: the watcher works on.
  void expect_doubt_unless(bool proved, std::string_view path, Tick tick) {
    const auto doubtful = watcher_->doubtful_since(tick);
    const auto is_named = [&](std::string_view one) {
      return !doubtful || std::ranges::count(*doubtful, one) > 0;
    };
    const bool is_doubtful = is_named(path) || is_named(directory_of(path));
    EXPECT_TRUE(proved || is_doubtful) << path;
    compared_.beyond_doubt += is_doubtful ? 0 : 1;
  }

  bool is_proved(const std::string& path) {
    const Tick tick = known_[path].tick;
    const bool is_same_link = watcher_->link_unchanged_since(path, tick);
    compared_.proofs_of_links += is_same_link ? 1 : 0;
    return is_same_link || watcher_->unchanged_since(path, tick);
  }

  void check_files(bool renew) {
    const Tick tick = watcher_->drain();
    for (const auto& path : held_) {
      const bool proved = is_proved(path);
      if (known_[path].was_proved) expect_doubt_unless(proved, path, held_tick_);
      const std::string print = print_of(path);
      if (proved) {
        ASSERT_EQ(print, known_[path].print) << path;
        compared_.proofs += 1;
        compared_.proofs_of_files += print == "absent" ? 0 : 1;
      }
      if (!proved && renew) known_[path] = {print, tick};
      known_[path].was_proved = is_proved(path);
    }
    held_tick_ = tick;
  }

  // Of the files in DIRECTORY. With links, of which nobody hears, no more than that they are there.
  std::string print_of_files(const std::string& directory) const {
    std::set<std::string> prints;
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(directory, failed)) {
      const auto path = entry.path().string();
      if (!is_directory(entry.symlink_status()))
        prints.insert(path + " " + (GetParam() ? "" : print_of(path)));
    }
    std::string print = failed ? "none" : "";
    for (const auto& one : prints) print += one + "\n";
    return print;
  }

  // What is proved of directories that are watched with their files is so; and what was proved, and is not
  // named as doubtful, still is.
  void check_listed() {
    const Tick tick = watcher_->drain();
    for (auto& [directory, known] : listed_) {
      const bool proved = watcher_->files_unchanged_since(directory, known.tick);
      const std::string print = print_of_files(directory);
      if (proved) {
        ASSERT_EQ(print, known.print) << directory;
        compared_.proofs_of_listed += print == "none" ? 0 : 1;
      }
      if (known.was_proved) expect_doubt_unless(proved, directory, listed_tick_);
      if (!proved) known = {print, tick};
      known.was_proved = watcher_->files_unchanged_since(directory, known.tick);
    }
    listed_tick_ = tick;
  }

  void check_tree() {
    const Tick tick = watcher_->drain();
    const auto by_stat = watcher_->tree_unchanged_since(root_, tree_tick_);
    Tree tree;
    scan(root_, true, tree);
    if (by_stat) {
      for (const auto& path : *by_stat) tree.erase(path), tree_.erase(path);
      ASSERT_EQ(difference(tree_, tree), "");
      compared_.proofs_of_trees += 1;
      count(tree);
    }
    tree_ = tree;
    tree_tick_ = tick;
  }

  void settle() {
    Tick tick = 0;
    do {
      tick = watcher_->drain();
      ASSERT_TRUE(watcher_->wait_until_settled(kPatience));
    } while (watcher_->drain() != tick);
  }

  void look_again(const std::string& path) {
    model_.erase(path);
    const auto status = fs::symlink_status(path);
    if (is_regular_file(status)) model_[path] = contents_of(path);
    if (is_directory(status)) model_[path] = "directory";
  }

  // Reached without a symlink below ROOT, which may be one: some are renamed to it.
  static bool is_real_directory(const std::string& path, const std::string& root) {
    for (std::string_view at = path; at.size() > root.size(); at = directory_of(at)) {
      if (!is_directory(fs::symlink_status(fs::path(at)))) return false;
    }
    std::error_code failed;
    return fs::is_directory(root, failed);
  }

  // The model sees the tree through hints alone.
  void follow_changes() {
    const Changes changes = watcher_->take_changes();
    for (const auto& path : changes.files) {
      if (is_below(path, root_) && is_real_directory(std::string(directory_of(path)), root_))
        look_again(path);
    }
    const auto is_in_root = [&](const std::string& path) { return path == root_ || is_below(path, root_); };
    for (const auto& directory : changes.directories) {
      if (!is_in_root(directory)) continue;
      std::erase_if(model_, [&](const auto& entry) { return directory_of(entry.first) == directory; });
      if (is_real_directory(directory, root_)) scan(directory, false, model_);
    }
    for (const auto& directory : changes.trees) {
      const std::string top = is_below(root_, directory) ? root_ : directory;
      if (!is_in_root(top)) continue;
      std::erase_if(model_,
                    [&](const auto& entry) { return entry.first == top || is_below(entry.first, top); });
      if (!is_real_directory(std::string(directory_of(top)), root_) && top != root_) continue;
      if (top != root_) look_again(top);
      if (is_real_directory(top, root_)) scan(top, true, model_);
    }
    Tree tree;
    scan(root_, true, tree);
    ASSERT_EQ(difference(model_, tree), "");
    compared_.rounds += 1;
    compared_.empty_rounds += tree.empty() ? 1 : 0;
    count(tree);
  }

  void count(const Tree& tree) {
    const auto directories =
        std::ranges::count(tree, "directory", [](const auto& entry) { return entry.second; });
    compared_.directories += static_cast<std::size_t>(directories);
    compared_.files += tree.size() - static_cast<std::size_t>(directories);
  }

  Scratch scratch_;
  const std::string root_ = scratch_ / "in";
  const std::string out_ = scratch_ / "out";
  Random random_;
  std::vector<std::unique_ptr<Hand>> hands_;
  std::unique_ptr<Watcher> watcher_;
  std::set<std::string> held_;
  std::map<std::string, Known> known_;
  Tick held_tick_ = 0;
  std::map<std::string, Known> listed_;
  Tick listed_tick_ = 0;
  Tree tree_;
  Tick tree_tick_ = 0;
  Tree model_;

  // So that nobody is proud of having compared nothing.
  struct Compared {
    std::size_t rounds = 0;  // in which hints were followed
    std::size_t empty_rounds = 0;
    std::size_t files = 0;  // in trees, by hints and by proofs
    std::size_t directories = 0;
    std::size_t proofs = 0;           // of held paths
    std::size_t proofs_of_files = 0;  // those of paths that were there
    std::size_t proofs_of_links = 0;
    std::size_t proofs_of_trees = 0;
    std::size_t proofs_of_listed = 0;
    std::size_t beyond_doubt = 0;
  };
  Compared compared_;
};

TEST_P(WatchProperty, ProofsAndHintsAgreeWithAFreshLook) {
  std::printf("seed %u\n", seed());
  SCOPED_TRACE("KILN_TEST_SEED=" + std::to_string(seed()));
  const unsigned wanted = std::getenv("KILN_TEST_ALL") != nullptr ? 20'000 : 3'000;
  unsigned changes = 0;
  for (unsigned rounds = 0; changes < wanted; ++rounds) {
    SCOPED_TRACE("round " + std::to_string(rounds));
    changes += round();
    if (random_() % 3 == 0) settle();  // else nothing has been looked at yet
    check_files(true);
    check_listed();
    check_tree();
    if (HasFailure()) return;
    if (random_() % 2 == 0) continue;
    settle();
    follow_changes();
    check_files(true);
    check_files(false);
    check_listed();
    check_tree();
    check_tree();
    if (HasFailure()) return;
  }
  const auto report = watcher_->describe();
  std::printf("%u changes; compared %zu files and %zu directories of trees, %zu proofs of trees,\n", changes,
              compared_.files, compared_.directories, compared_.proofs_of_trees);
  std::printf("%zu proofs of directories, %zu not asked for; ", compared_.proofs_of_listed,
              compared_.beyond_doubt);
  std::printf(
      "%zu proofs of held paths, %zu of them there, %zu of links; %zu of %zu rounds empty; epoch %lu\n",
      compared_.proofs, compared_.proofs_of_files, compared_.proofs_of_links, compared_.empty_rounds,
      compared_.rounds, static_cast<unsigned long>(report.epoch));
  EXPECT_GT(compared_.files, changes / 2);
  EXPECT_GT(compared_.directories, changes / 4);
  EXPECT_GT(compared_.proofs_of_files, changes / 2);
  EXPECT_GT(compared_.proofs_of_links, 0U);
  EXPECT_GT(compared_.proofs_of_trees, 0U);
  EXPECT_GT(compared_.proofs_of_listed, 0U);
  EXPECT_GT(compared_.beyond_doubt, 0U);
  EXPECT_LT(compared_.empty_rounds, compared_.rounds / 2);
  for (const auto& path : held_) watcher_->remove_file(path);
  for (const auto& [directory, known] : listed_) watcher_->remove_files_of(directory);
  watcher_->remove_root(root_);
  settle();
  EXPECT_EQ(watcher_->describe().watches, 0U);
  EXPECT_EQ(watcher_->describe().directories, 0U);
}

INSTANTIATE_TEST_SUITE_P(Links, WatchProperty, testing::Bool(), [](const auto& links) {
  return links.param ? "WithHardLinks" : "WithoutHardLinks";
});

}  // namespace
}  // namespace kiln

// Random changes, made by several processes at once; after each round the watch engine's proofs and hints are
// compared with a fresh look. KILN_TEST_ALL=1 takes 20,000 changes, KILN_TEST_SEED=N repeats a run.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <map>
#include <random>
#include <set>

#include "common/unique_fd.h"
#include "daemon/watch/path_order.h"
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

// A directory up to three levels below ROOT, which may not be there.
std::string some_directory(Random& random, const std::string& root) {
  std::string path = root;
  for (auto depth = random() % 4; depth > 0; --depth) path += "/" + pick(random, kDirectories);
  return path;
}

std::string some_file(Random& random, const std::string& root) {
  return some_directory(random, root) + "/" + pick(random, kFiles);
}

void write_to(const std::string& path, int flags, Random& random) {
  const UniqueFd file{::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | flags, 0644)};
  const std::string text = std::to_string(random());
  if (file) (void)!::write(file.get(), text.data(), text.size());
}

// One change, which may fail: much is not there, or in the way. Roots are "/in" and "/out" of the tree.
void change(Random& random, const std::string& tree) {
  const std::string in = tree + "/in";
  const std::string out = tree + "/out";
  const auto either = [&] { return random() % 4 == 0 ? out : in; };
  std::error_code ignored;
  switch (random() % 16) {
    case 0:
    case 1:
      fs::create_directories(some_directory(random, either()), ignored);
      break;
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
    case 11:
      fs::remove_all(some_directory(random, either()), ignored);
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
      ::link(some_file(random, either()).c_str(), some_file(random, either()).c_str());
  }
}

// A process that changes the tree when it is told to.
class Hand {
 public:
  explicit Hand(const std::string& tree) {
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
      for (unsigned i = 0; i < order[1]; ++i) change(random, tree);
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
  if (!S_ISREG(status.st_mode)) return print;
  return print + " " + std::to_string(status.st_nlink) + " " + std::to_string(status.st_mtim.tv_nsec) + " " +
         std::to_string(status.st_ctim.tv_nsec) + " " + read_file(path);
}

// Directories and regular files below a directory, but for what lies behind symlinks.
using Tree = std::map<std::string, std::string, std::less<>>;

void scan(const std::string& directory, bool recursive, Tree& tree) {
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(directory, failed)) {
    const auto path = entry.path().string();
    if (entry.is_symlink()) continue;
    if (entry.is_regular_file()) tree[path] = read_file(path);
    if (!entry.is_directory()) continue;
    tree[path] = "directory";
    if (recursive) scan(path, true, tree);
  }
}

class WatchProperty : public testing::Test {
 protected:
  WatchProperty() : random_(seed()), hands_(kHands) {
    fs::create_directory(scratch_ / "in");
    fs::create_directory(scratch_ / "out");
    for (auto& hand : hands_) hand = std::make_unique<Hand>(scratch_.path());  // before there are threads
    watcher_ = std::make_unique<Watcher>();
    paths("", 3);
    watcher_->add_root(root_);
    for (const auto& path : held_) watcher_->add_file(path);
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
    for (const char* name : kFiles) held_.push_back(root_ + way + "/" + name);
    if (depth == 0) return;
    for (const char* name : kDirectories) paths(way + "/" + name, depth - 1);
  }

  // Changes by all hands at once, while the queue is read in between.
  unsigned round() {
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

  // What was proved of each path, and when.
  struct Known {
    std::string print;
    Tick tick = 0;
  };

  void check_files(bool renew) {
    const Tick tick = watcher_->drain();
    for (const auto& path : held_) {
      const bool proved = watcher_->unchanged_since(path, known_[path].tick);
      const std::string print = print_of(path);
      if (proved) {
        ASSERT_EQ(print, known_[path].print) << path;
      }
      if (!proved && renew) known_[path] = {print, tick};
      proofs_ += proved ? 1 : 0;
    }
  }

  void check_tree() {
    const Tick tick = watcher_->drain();
    const auto by_stat = watcher_->tree_unchanged_since(root_, tree_tick_);
    Tree tree;
    scan(root_, true, tree);
    if (by_stat) {
      for (const auto& path : *by_stat) tree.erase(path), tree_.erase(path);
      ASSERT_EQ(tree, tree_);
      ++tree_proofs_;
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
    if (is_regular_file(status)) model_[path] = read_file(path);
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
    for (const auto& directory : changes.directories) {
      std::erase_if(model_, [&](const auto& entry) { return directory_of(entry.first) == directory; });
      if (is_real_directory(directory, root_)) scan(directory, false, model_);
    }
    for (const auto& directory : changes.trees) {
      const std::string top = is_below(root_, directory) ? root_ : directory;
      std::erase_if(model_,
                    [&](const auto& entry) { return entry.first == top || is_below(entry.first, top); });
      if (!is_real_directory(std::string(directory_of(top)), root_) && top != root_) continue;
      if (top != root_) look_again(top);
      if (is_real_directory(top, root_)) scan(top, true, model_);
    }
    Tree tree;
    scan(root_, true, tree);
    ASSERT_EQ(model_, tree);
  }

  Scratch scratch_;
  const std::string root_ = scratch_ / "in";
  Random random_;
  std::vector<std::unique_ptr<Hand>> hands_;
  std::unique_ptr<Watcher> watcher_;
  std::vector<std::string> held_;
  std::map<std::string, Known> known_;
  Tree tree_;
  Tick tree_tick_ = 0;
  Tree model_;
  std::size_t proofs_ = 0;
  std::size_t tree_proofs_ = 0;
};

TEST_F(WatchProperty, ProofsAndHintsAgreeWithAFreshLook) {
  std::printf("seed %u\n", seed());
  SCOPED_TRACE("KILN_TEST_SEED=" + std::to_string(seed()));
  const unsigned wanted = std::getenv("KILN_TEST_ALL") != nullptr ? 20'000 : 1'000;
  unsigned changes = 0;
  for (unsigned rounds = 0; changes < wanted; ++rounds) {
    SCOPED_TRACE("round " + std::to_string(rounds));
    changes += round();
    if (random_() % 3 == 0) settle();  // else nothing has been looked at yet
    check_files(true);
    check_tree();
    if (HasFatalFailure()) return;
    if (random_() % 2 == 0) continue;
    settle();
    follow_changes();
    check_files(true);
    check_files(false);
    check_tree();
    check_tree();
    if (HasFatalFailure()) return;
  }
  const auto report = watcher_->describe();
  std::printf("%u changes, %zu proofs of files, %zu of the tree, %zu watches, epoch %lu\n", changes, proofs_,
              tree_proofs_, report.watches, static_cast<unsigned long>(report.epoch));
  EXPECT_GT(proofs_, 0U);
  EXPECT_GT(tree_proofs_, 0U);
  for (const auto& path : held_) watcher_->remove_file(path);
  watcher_->remove_root(root_);
  settle();
  EXPECT_EQ(watcher_->describe().watches, 0U);
  EXPECT_EQ(watcher_->describe().directories, 0U);
}

}  // namespace
}  // namespace kiln

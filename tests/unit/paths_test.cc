#include "common/paths.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>

#include "tests/unit/scratch.h"

namespace kiln {
namespace {

constexpr uid_t kNobody = 65534;

// Root may write everywhere: as long as one lives, this process is not root's.
class WithoutRoot {
 public:
  WithoutRoot() : is_root_(::geteuid() == 0) {
    if (is_root_ && ::seteuid(kNobody) != 0) throw std::runtime_error("seteuid failed");
  }
  ~WithoutRoot() {
    if (is_root_ && ::seteuid(0) != 0) std::abort();
  }

 private:
  bool is_root_;
};

Error refusal(const std::string& dir) {
  const WithoutRoot nobody;
  const auto opened = open_private_dir(dir, "KILN_CACHE_DIR");
  return opened ? Error{} : opened.error();
}

std::string configured(const std::map<std::string, std::string>& environment) {
  const auto file = config_file([&](const char* name) {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second.c_str();
  });
  return file && *file ? **file : "";
}

TEST(Paths, OfAHomeThatIsTheRootHaveOneSlash) {
  EXPECT_EQ(configured({{"HOME", "/"}}), "/.config/kiln/kiln.toml");
  EXPECT_EQ(configured({{"HOME", "/root/"}}), "/root/.config/kiln/kiln.toml");
  EXPECT_EQ(configured({{"XDG_CONFIG_HOME", "/"}, {"HOME", "/root"}}), "/kiln/kiln.toml");
}

// Not the last one, of which only that there is nothing above it could be said.
TEST(PrivateDirectory, ThatCannotBeMadeIsNamedByWhatIsInTheWay) {
  const Scratch scratch;
  ASSERT_EQ(::chmod(scratch.path().c_str(), 0555), 0);
  for (const char* dir : {"a", "a/kiln", "a/b/c/kiln"}) {
    const Error error = refusal(scratch / dir);
    EXPECT_EQ(error.message, "cannot create " + (scratch / "a") + ": Permission denied") << dir;
    EXPECT_TRUE(error.hint.starts_with("export KILN_CACHE_DIR=")) << error.hint;
  }
  ASSERT_EQ(::chmod(scratch.path().c_str(), 0755), 0);
}

TEST(PrivateDirectory, ThatIsOnlyLookedForIsNotMade) {
  const Scratch scratch;
  const auto found = find_private_dir(scratch / "kiln");
  ASSERT_TRUE(found);
  EXPECT_FALSE(*found);
  EXPECT_FALSE(std::filesystem::exists(scratch / "kiln"));
}

TEST(PrivateDirectory, IsMadeWithThoseAbove) {
  const Scratch scratch;
  ASSERT_TRUE(open_private_dir(scratch / "a/b/kiln", "KILN_CACHE_DIR"));
  struct stat status {};
  ASSERT_EQ(::stat((scratch / "a/b/kiln").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0700U);
}

}  // namespace
}  // namespace kiln

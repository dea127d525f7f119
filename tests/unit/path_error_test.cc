#include "common/path_error.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "common/result.h"
#include "common/shell_word.h"
#include "tests/unit/scratch.h"

namespace kiln {
namespace {

Error failed(int error, const std::string& path) {
  errno = error;
  return path_error("cannot create", path);
}

TEST(PathError, NamesTheCommandThatShowsWhatIsInTheWay) {
  const Error full = failed(ENOSPC, "/tmp/it's not there/file");
  EXPECT_EQ(full.message, "cannot create /tmp/it's not there/file: No space left on device");
  EXPECT_EQ(full.hint, "df -h /tmp") << "of what is not there df tells nothing";
  EXPECT_EQ(failed(EROFS, "/").hint, "findmnt -T /");
  EXPECT_EQ(failed(EACCES, "/tmp/it's").hint, R"(namei -l '/tmp/it'\''s')");
  EXPECT_EQ(failed(ENOSPC, "no/such/file").hint, "df -h .");
  EXPECT_EQ(failed(ENOENT, "/tmp/it's not there/file").hint, "ls /tmp");
}

TEST(PathError, LimitsAreTheSameEverywhere) {
  EXPECT_EQ(failed(EMFILE, "/tmp").hint, "ulimit -n $(ulimit -Hn)");
  errno = ENOMEM;
  EXPECT_EQ(errno_error("cannot start a process").hint, "free -h");
  EXPECT_EQ(errno_error("cannot start a process").message.find("errno"), std::string::npos);
}

TEST(PathError, RightsAreForTheOwnerToGive) {
  const Scratch scratch;
  scratch.write("it's", "");
  EXPECT_EQ(permission_hint(scratch / "it's", "rx"), "chmod u+rx " + shell_word(scratch / "it's"));
  EXPECT_EQ(permission_hint("/no/such", "r"), "namei -l /no/such");
}

TEST(PathError, OfOthersNothingIsSaid) {
  EXPECT_EQ(failed(ENOTTY, "/no").hint, "") << "its caller knows better";
}

}  // namespace
}  // namespace kiln

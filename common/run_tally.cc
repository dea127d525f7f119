#include "common/run_tally.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "common/unique_fd.h"

namespace kiln {
namespace {

constexpr const char* kName = "executed-runs";
constexpr const char* kTaken = "executed-runs.taken";

// Nobody else's, lest we write what others want written.
UniqueFd open_own(const std::string& dir) {
  UniqueFd fd{::open(dir.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
  struct stat status {};
  const bool is_own = fd && ::fstat(fd.get(), &status) == 0 && status.st_uid == ::geteuid() &&
                      (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
  return is_own ? std::move(fd) : UniqueFd{};
}

// A write beyond the limit would be answered by a signal, which the program is not to get.
bool may_grow_files() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY;
}

}  // namespace

void tally_run(const std::string& runtime_dir, Reason reason) {
  const UniqueFd dir = open_own(runtime_dir);
  if (!dir || !may_grow_files()) return;
  constexpr int kFlags = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  const UniqueFd fd{::openat(dir.get(), kName, kFlags, 0600)};
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0 || status.st_size > static_cast<off_t>(kMaxTally)) return;
  const std::string line = std::string(word(reason)) + "\n";
  (void)!::write(fd.get(), line.data(), line.size());
}

std::string take_tally(const std::string& runtime_dir) {
  std::string lines;
  const UniqueFd dir = open_own(runtime_dir);
  if (!dir || ::renameat(dir.get(), kName, dir.get(), kTaken) != 0) return lines;
  const UniqueFd fd{::openat(dir.get(), kTaken, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
  char part[4096];
  for (ssize_t size = 0; fd && (size = ::read(fd.get(), part, sizeof part)) > 0;)
    lines.append(part, static_cast<std::size_t>(size));
  ::unlinkat(dir.get(), kTaken, 0);
  return lines;
}

}  // namespace kiln

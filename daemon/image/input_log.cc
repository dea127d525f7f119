#include "daemon/image/input_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <string_view>

#include "common/path_text.h"

namespace kiln::image {
namespace {

// Libraries beside the standard library's own extension modules that look at no variable, or at none while
// they are loaded.
constexpr std::array<std::string_view, 14> kPlainLibraries{
    "libz.",    "libbz2.", "liblzma.",  "libffi.",   "libexpat.", "libm.",       "libc.",
    "libuuid.", "libdl.",  "libmpdec.", "libgcc_s.", "librt.",    "libpthread.", "libsqlite3."};

bool is_foreign_library(std::string_view path) {
  const std::string_view name = name_of(path);
  if (name.find(".so") == std::string_view::npos || path.find("/lib-dynload/") != std::string_view::npos)
    return false;
  return std::ranges::none_of(kPlainLibraries,
                              [&](std::string_view plain) { return name.starts_with(plain); });
}

std::string target_of(const std::string& link) {
  std::array<char, PATH_MAX> target{};
  const ssize_t size = ::readlink(link.c_str(), target.data(), target.size());
  return size > 0 ? std::string(target.data(), static_cast<std::size_t>(size)) : std::string();
}

std::string path_behind(int fd) {
  return target_of("/proc/self/fd/" + std::to_string(fd));
}

std::string current_dir() {
  std::array<char, PATH_MAX> buffer{};
  return ::getcwd(buffer.data(), buffer.size()) != nullptr ? buffer.data() : std::string();
}

}  // namespace

void InputLog::add(ProgramInput::Kind kind, int dirfd, const std::string& path) {
  std::string absolute = path;
  if (!path.starts_with('/')) {
    if (dirfd == AT_FDCWD) has_read_cwd_ = true;
    absolute = (dirfd == AT_FDCWD ? current_dir() : path_behind(dirfd)) + "/" + path;
  }
  if (!known_.emplace(kind, absolute).second) return;
  if (is_foreign_library(absolute)) has_foreign_library_ = true;
  add(look_again(ProgramInput{kind, absolute, {}, 0}));
}

void InputLog::add_names(int fd, bool importable) {
  const auto kind = importable ? ProgramInput::Kind::importable_names : ProgramInput::Kind::names;
  const std::string path = path_behind(fd);
  if (!known_.emplace(kind, path).second) return;
  struct stat status {};
  if (::fstat(fd, &status) != 0) return;
  add(ProgramInput{kind, path, stamp_of(status), hash_of_names(fd, importable)});
}

void InputLog::add(ProgramInput input) {
  inputs_.push_back(std::move(input));
}

}  // namespace kiln::image

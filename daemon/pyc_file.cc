#include "daemon/pyc_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <stdexcept>

#include "common/path_text.h"
#include "common/unique_fd.h"
#include "daemon/source_walk.h"
#include "daemon/temporary_file.h"

namespace kiln {
namespace {

// As mkdir(2) under that umask; set-group-id, which is inherited, stays. 0 or errno.
int make_directory(const std::string& path, mode_t umask) {
  const mode_t wanted = 0777 & ~umask;
  if (::mkdir(path.c_str(), wanted) != 0) return errno == EEXIST ? 0 : errno;
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return errno;
  if ((status.st_mode & 0777) == wanted) return 0;
  return ::chmod(path.c_str(), (status.st_mode & 07000) | wanted) == 0 ? 0 : errno;
}

// Of a mirrored tree (sys.pycache_prefix) also those above. But where a __pycache__ has nothing to lie in,
// the source's directory was removed or moved away a moment ago, and must not come back.
int make_directories(const std::string& path, mode_t umask) {
  int error = make_directory(path, umask);
  if (error != ENOENT || directory_of(path) == "/" || name_of(path) == "__pycache__") return error;
  error = make_directories(std::string(directory_of(path)), umask);
  return error == 0 ? make_directory(path, umask) : error;
}

constexpr std::size_t kWord = 4;  // bytes; a header's time is one, aligned

// Where the one word begins in which two headers of one size differ; nothing: in none, or in more.
std::optional<std::size_t> differing_word(std::string_view present, std::string_view wanted) {
  const auto differs = std::ranges::mismatch(present, wanted).in1;
  if (differs == present.end()) return std::nullopt;
  const auto word = static_cast<std::size_t>(differs - present.begin()) / kWord * kWord;
  if (word + kWord > wanted.size()) return std::nullopt;
  return present.substr(word + kWord) == wanted.substr(word + kWord) ? std::optional(word) : std::nullopt;
}

bool holds(int fd, std::string_view expected, std::size_t offset) {
  char buffer[64 * 1024];
  while (!expected.empty()) {
    const ssize_t size =
        ::pread(fd, buffer, std::min(expected.size(), sizeof buffer), static_cast<off_t>(offset));
    if (size <= 0 || expected.substr(0, static_cast<std::size_t>(size)) !=
                         std::string_view(buffer, static_cast<std::size_t>(size)))
      return false;
    expected.remove_prefix(static_cast<std::size_t>(size));
    offset += static_cast<std::size_t>(size);
  }
  return true;
}

// Where the file that is there has this body and this mode, and all that is wrong is the time in its header,
// the time is written over, and nothing else. Nobody can see half of an aligned word, whatever is killed or
// loses its power; and it costs a twentieth of creating a file. Not where the file has another name as well.
std::optional<FileStamp> restamp(const std::string& path, const struct stat& present, std::string_view header,
                                 std::string_view body, mode_t mode) {
  if (present.st_size != static_cast<off_t>(header.size() + body.size()) || present.st_nlink != 1 ||
      present.st_uid != ::geteuid() || (present.st_mode & 07777) != mode) {
    return std::nullopt;
  }
  const UniqueFd fd{::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
  std::string start(header.size(), '\0');
  if (!fd || ::pread(fd.get(), start.data(), start.size(), 0) != static_cast<ssize_t>(start.size()))
    return std::nullopt;
  const auto word = differing_word(start, header);
  if (!word || !holds(fd.get(), body, header.size())) return std::nullopt;
  if (::pwrite(fd.get(), header.data() + *word, kWord, static_cast<off_t>(*word)) != kWord)
    return std::nullopt;
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0 || status.st_ino != present.st_ino || status.st_nlink != 1)
    return std::nullopt;
  return stamp_of(status);
}

CompileError unwritable(const std::string& path, int error_number) {
  auto error = system_error(error_number);
  error.message = "cannot write " + path + ": " + error.message;
  return error;
}

}  // namespace

void throw_exception_from_error(const CompileError& error, const boost::source_location&) {
  throw std::logic_error("value() of a failed write: " + error.message);
}

WriteResult write_pyc(const std::string& path, std::string_view header, std::string_view body,
                      mode_t source_mode, mode_t umask, bool makes_directory) {
  struct stat present {};
  const bool exists = ::lstat(path.c_str(), &present) == 0;
  if (exists && !S_ISREG(present.st_mode)) {
    return CompileError{"FileExistsError", path + " is no regular file and would be changed into one"};
  }
  const mode_t mode = (source_mode | 0200) & 0666 & ~umask;
  if (exists) {
    if (const auto stamp = restamp(path, present, header, body, mode)) return *stamp;
  }
  TemporaryFile file;
  FileStamp stamp;
  int error = file.create(path, mode);
  if (error == ENOENT && makes_directory) {
    error = make_directories(std::string(directory_of(path)), umask);
    if (error == 0) error = file.create(path, mode);
  }
  if (error == 0) error = file.set_mode(mode);
  if (error == 0) error = file.write(header, body);
  if (error == 0) error = file.stamp(stamp);
  if (error == 0) error = file.rename_to(path);
  if (error != 0) return unwritable(path, error);
  return stamp;
}

}  // namespace kiln

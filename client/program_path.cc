#include "client/program_path.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

#include "common/paths.h"

namespace kiln {
namespace {

struct FileId {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const FileId&) const = default;
};

std::optional<FileId> executable_id(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  if (::access(path.c_str(), X_OK) != 0) return std::nullopt;
  return FileId{status.st_dev, status.st_ino};
}

const std::optional<FileId>& own_id() {
  static const auto id = executable_id("/proc/self/exe");
  return id;
}

}  // namespace

bool is_python_name(std::string_view name) {
  constexpr std::string_view kPython = "python";
  if (!name.starts_with(kPython)) return false;
  return name.find_first_not_of("0123456789.", kPython.size()) == std::string_view::npos;
}

bool is_own_program(const std::string& path) {
  const auto id = executable_id(path);
  return id && id == own_id();
}

bool is_other_program(const std::string& path) {
  const auto id = executable_id(path);
  return id && id != own_id();
}

std::optional<ProgramOnPath> find_on_path(const std::string& name) {
  bool first = true;
  for (const auto& place : places_on_path(name)) {
    const auto id = executable_id(place);
    if (id && id != own_id()) return ProgramOnPath{made_absolute(place), first};
    if (id) first = false;
  }
  return std::nullopt;
}

std::vector<std::string> places_on_path(const std::string& name) {
  const char* variable = std::getenv("PATH");
  std::string_view rest = variable != nullptr ? variable : "/usr/local/bin:/usr/bin:/bin";
  std::vector<std::string> places;
  while (true) {
    const std::size_t colon = rest.find(':');
    std::string place(rest.substr(0, colon));
    place += place.empty() ? "./" : "/";  // as bash starts it
    places.push_back(place.append(name));
    if (colon == std::string_view::npos) return places;
    rest.remove_prefix(colon + 1);
  }
}

std::string made_absolute(const std::string& path) {
  if (path.starts_with('/')) return path;
  char buffer[4096];
  return absolute_path(path, ::getcwd(buffer, sizeof buffer) != nullptr ? buffer : ".");
}

}  // namespace kiln

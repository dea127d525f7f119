#include "client/interpreter_choice.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

#include "common/paths.h"
#include "common/unique_fd.h"

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

std::string current_dir() {
  char buffer[4096];
  return ::getcwd(buffer, sizeof buffer) != nullptr ? buffer : ".";
}

struct Found {
  std::string path;
  bool first = true;  // nothing was passed over on the way
};

// NAME on PATH, passing over Kiln itself.
std::optional<Found> find_on_path(const std::string& name) {
  const char* variable = std::getenv("PATH");
  std::string_view rest = variable != nullptr ? variable : "/usr/local/bin:/usr/bin:/bin";
  std::optional<FileId> self;
  bool first = true;
  while (true) {
    const std::size_t colon = rest.find(':');
    const std::string dir(rest.substr(0, colon));
    const std::string path = (dir.empty() ? "" : dir + "/") + name;
    if (const auto id = executable_id(path)) {
      if (!self) self = executable_id("/proc/self/exe");
      if (id != self) return Found{path[0] == '/' ? path : absolute_path(path, current_dir()), first};
      first = false;
    }
    if (colon == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(colon + 1);
  }
}

Error missing(const std::string& what, const std::string& command) {
  return Error{Reason::interpreter_missing, "no interpreter " + what,
               "kiln " + command + " --python /usr/bin/python3 ..."};
}

Result<ChosenInterpreter> by_path_or_name(const std::string& given, const std::string& command) {
  if (given.find('/') != std::string::npos) {
    if (!executable_id(given)) return missing(given, command);
    return ChosenInterpreter{absolute_path(given, current_dir()), given};
  }
  const auto found = find_on_path(given);
  if (!found) return missing("named " + given + " on PATH", command);
  // Python looks argv[0] up on PATH by itself; where that would find Kiln, it gets the path.
  return ChosenInterpreter{found->path, found->first ? given : found->path};
}

}  // namespace

Result<ChosenInterpreter> choose_interpreter(const std::optional<std::string>& requested,
                                             const std::string& command) {
  if (requested) return by_path_or_name(*requested, command);
  if (const char* variable = std::getenv("KILN_PYTHON"); variable != nullptr && variable[0] != '\0') {
    return by_path_or_name(variable, command);
  }
  if (const char* venv = std::getenv("VIRTUAL_ENV"); venv != nullptr && venv[0] != '\0') {
    const std::string path = std::string(venv) + "/bin/python";
    if (executable_id(path)) return by_path_or_name(path, command);
  }
  return by_path_or_name("python3", command);
}

Result<ChosenInterpreter> choose_behind_link(const std::string& name) {
  const auto found = find_on_path(name);
  if (!found) return missing("named " + name + " on PATH behind the link to kiln", "run");
  return ChosenInterpreter{found->path, found->path};
}

bool is_script(const std::string& path) {
  const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  char magic[2]{};
  return fd && ::read(fd.get(), magic, sizeof magic) == sizeof magic && magic[0] == '#' && magic[1] == '!';
}

}  // namespace kiln

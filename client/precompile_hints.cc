#include "client/precompile_hints.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "common/error_type.h"
#include "common/path_error.h"
#include "common/shell_word.h"

namespace kiln {
namespace {

// The errno that MESSAGE ends with, as strerror(3) has it; 0: none with a hint.
int trouble_of(const std::string& message) {
  constexpr int kTroubles[] = {ENOENT, EACCES, EPERM, ENOSPC, EDQUOT, EROFS, ENOTDIR, EISDIR, ELOOP, EIO};
  const auto* const found =
      std::ranges::find_if(kTroubles, [&](int trouble) { return message.ends_with(std::strerror(trouble)); });
  return found == std::end(kTroubles) ? 0 : *found;
}

// Where a source can be read, it is its bytecode that cannot be written.
std::string place_of_trouble(const proto::PrecompileEvent::Error& error) {
  const std::string& source = error.path();
  if (error.pyc().empty() || ::access(source.c_str(), R_OK) != 0) return source;
  return std::filesystem::path(source).parent_path() / "__pycache__";
}

// What there is in the place of what is missing.
std::string listing(const std::string& source) {
  std::error_code ignored;
  std::filesystem::path at = std::filesystem::path(source).parent_path();
  while (!at.empty() && !std::filesystem::exists(at, ignored)) at = at.parent_path();
  return "ls " + (at.empty() ? "." : shell_word(at.string()));
}

}  // namespace

void PrecompileHints::add(const proto::PrecompileEvent::Error& error) {
  // What is no regular file, and not written over.
  const bool is_in_the_way = error.type() == "FileExistsError" && !error.pyc().empty();
  const int trouble = is_in_the_way                   ? EEXIST
                      : is_system_error(error.type()) ? trouble_of(error.message())
                                                      : 0;
  if (trouble == 0 || std::ranges::find(hints_, trouble, &Hint::trouble) != hints_.end()) return;
  std::string command = trouble == EEXIST   ? move_aside(error.pyc())
                        : trouble == ENOENT ? listing(error.path())
                                            : path_hint(trouble, place_of_trouble(error));
  if (!command.empty()) hints_.push_back({trouble, std::move(command)});
}

std::string PrecompileHints::text() const {
  std::string text;
  for (const auto& hint : hints_) text += (text.empty() ? "\nhint: " : "hint: ") + hint.command + "\n";
  return text;
}

}  // namespace kiln

#include "client/configuration_mending.h"

#include <charconv>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <optional>
#include <string_view>

#include "common/config_file.h"
#include "common/paths.h"
#include "common/printable.h"
#include "common/shell_word.h"

namespace kiln {
namespace {

constexpr int kMostLines = 20;

struct Spot {
  std::string path;
  std::uint64_t line = 0;
};

// Of "PATH:3: what". Nothing: it is no mistake of a line.
std::optional<Spot> spot_of(std::string_view message) {
  for (std::size_t at = message.find(':'); at != std::string_view::npos; at = message.find(':', at + 1)) {
    const std::string_view rest = message.substr(at + 1);
    Spot spot{std::string(message.substr(0, at)), 0};
    const auto number = std::from_chars(rest.data(), rest.data() + rest.size(), spot.line);
    const std::string_view behind(number.ptr,
                                  static_cast<std::size_t>(rest.data() + rest.size() - number.ptr));
    if (number.ec == std::errc() && behind.starts_with(": ")) return spot;
  }
  return std::nullopt;
}

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

ConfigScope scope_of(const std::string& path) {
  const auto user = config_file();
  return user && *user && **user == path ? ConfigScope::user : ConfigScope::project;
}

// False: there is no such line, or it is one already.
bool make_comment(std::string& text, std::uint64_t line) {
  std::size_t at = 0;
  for (std::uint64_t number = 1; number < line; ++number) {
    at = text.find('\n', at);
    if (at++ == std::string::npos) return false;
  }
  if (at >= text.size() || text[at] == '#') return false;
  text.insert(at, "# ");
  return true;
}

// A script of sed(1) that makes comments of what is mistaken in the file PATH. Empty: none does.
std::string mending_script(const std::string& path) {
  std::string text = read_text(path);
  std::string script;
  for (int count = 0; count < kMostLines; ++count) {
    const auto parsed = parse_config(text, path, scope_of(path));
    if (parsed) return script;
    const auto spot = spot_of(parsed.error().message);
    if (!spot || !make_comment(text, spot->line)) return {};
    script += (script.empty() ? "" : ";") + std::to_string(spot->line) + "s/^/# /";
  }
  return {};
}

}  // namespace

std::string mending_of(const Error& mistake) {
  const auto spot = spot_of(mistake.message);
  if (!spot) return mistake.hint;
  const std::string script = mending_script(spot->path);
  if (script.empty()) return do_without(spot->path);
  return "sed -i --follow-symlinks '" + script + "' " + shell_word(spot->path);
}

}  // namespace kiln

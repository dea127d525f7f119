#include "common/script_start.h"

namespace kiln {
namespace {

constexpr std::size_t kKernelReads = 256;  // BINPRM_BUF_SIZE since Linux 5.1
constexpr std::string_view kBlank = " \t";
// distlib: the shell sees exec, Python a string.
constexpr std::string_view kPipExec = "'''exec' ";
constexpr std::string_view kPipArguments = " \"$0\" \"$@\"";

std::string_view trimmed(std::string_view text) {
  const auto start = text.find_first_not_of(kBlank);
  if (start == std::string_view::npos) return {};
  return text.substr(start, text.find_last_not_of(kBlank) - start + 1);
}

std::string_view first_line(std::string_view text) {
  return text.substr(0, text.find('\n'));
}

// By blanks alone; nothing if a shell, or env, would see more in it.
std::optional<std::vector<std::string>> words(std::string_view text) {
  if (text.find_first_of("'\"\\$`#;&|<>(){}*?~!\r\v\f") != std::string_view::npos) return std::nullopt;
  std::vector<std::string> found;
  for (text = trimmed(text); !text.empty(); text = trimmed(text)) {
    const auto end = std::min(text.find_first_of(kBlank), text.size());
    found.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return found;
}

std::optional<ScriptStart> from_words(const std::optional<std::vector<std::string>>& all, Starter starter) {
  if (!all || all->empty()) return std::nullopt;
  return ScriptStart{all->front(), {all->begin() + 1, all->end()}, starter};
}

// The kernel hands env one argument: a name, or -S with what is to be split. Other options, and variables
// that are to be set, are env's affair.
std::optional<ScriptStart> by_env(std::string_view argument) {
  const bool splits = argument.starts_with("-S");
  const auto all = words(splits ? argument.substr(2) : argument);
  if (!all || all->empty() || (all->size() > 1 && !splits)) return std::nullopt;
  const std::string& name = all->front();
  if (name.starts_with('-') || name.find('=') != std::string::npos) return std::nullopt;
  return from_words(all, Starter::env);
}

// '''exec' "/a path/python" -E "$0" "$@"
std::optional<ScriptStart> by_pips_shell(std::string_view second_line) {
  if (!second_line.starts_with(kPipExec) || !second_line.ends_with(kPipArguments)) return std::nullopt;
  second_line.remove_prefix(kPipExec.size());
  second_line.remove_suffix(kPipArguments.size());
  if (!second_line.starts_with('"')) return from_words(words(second_line), Starter::shell);
  const auto end = second_line.find('"', 1);
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view path = second_line.substr(1, end - 1);
  const auto more = words(second_line.substr(end + 1));
  if (!more || path.empty() || path.find_first_of("\\$`") != std::string_view::npos) return std::nullopt;
  return ScriptStart{std::string(path), *more, Starter::shell};
}

}  // namespace

std::optional<ScriptStart> script_start(std::string_view head) {
  if (!head.starts_with("#!")) return std::nullopt;
  const auto end = head.find('\n');
  // Without a newline among what it reads the kernel would take what is there, cut off.
  if (end == std::string_view::npos || end >= kKernelReads) return std::nullopt;
  const std::string_view line = trimmed(head.substr(2, end - 2));
  if (line.empty() || line.find('\0') != std::string_view::npos) return std::nullopt;
  const auto path_end = std::min(line.find_first_of(kBlank), line.size());
  const std::string_view program = line.substr(0, path_end);
  const std::string_view argument = trimmed(line.substr(path_end));  // one, with whatever blanks are in it
  if (program == "/usr/bin/env" || program == "/bin/env") return by_env(argument);
  if (program == "/bin/sh" && argument.empty()) return by_pips_shell(first_line(head.substr(end + 1)));
  if (program.find('/') == std::string_view::npos)
    return std::nullopt;  // by the working directory: nobody means that
  ScriptStart start{std::string(program), {}};
  if (!argument.empty()) start.arguments.emplace_back(argument);
  return start;
}

}  // namespace kiln

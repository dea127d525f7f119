#include "common/screen.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

namespace kiln {
namespace {

constexpr unsigned kDefaultColumns = 80;
constexpr unsigned kDefaultRows = 24;
constexpr std::string_view kEllipsis = "...";
constexpr std::string_view kFourSpaces = "    ";
constexpr std::size_t kBehindLabel = 2;
constexpr std::string_view kHint = "hint: ";
constexpr std::array<std::string_view, 3> kCommands{": kiln ", ": mv ", ": rm "};
constexpr std::string_view kUsage = "Usage: ";

// Nothing: FD is no terminal, or a dumb one.
bool get_size(int fd, winsize& size) {
  const char* terminal = std::getenv("TERM");
  if (::isatty(fd) == 0 || terminal == nullptr || std::string_view(terminal) == "dumb") return false;
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0) size = {};
  if (size.ws_col == 0) size.ws_col = kDefaultColumns;
  if (size.ws_row == 0) size.ws_row = kDefaultRows;
  return true;
}

// Of the colour that TEXT begins with (ESC [ ... m); 0: it begins with none.
std::size_t colour_size(std::string_view text) {
  if (!text.starts_with("\x1b[")) return 0;
  const std::size_t end = text.find('m');
  return end == std::string_view::npos ? 0 : end + 1;
}

bool continues_character(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

// Bytes of the character, with colours before it, that TEXT begins with.
std::size_t first_size(std::string_view text) {
  std::size_t size = 0;
  while (const std::size_t colour = colour_size(text.substr(size))) size += colour;
  if (size < text.size()) ++size;
  while (size < text.size() && continues_character(text[size])) ++size;
  return size;
}

// Bytes that the first WIDTH characters take.
std::size_t prefix_size(std::string_view text, std::size_t width) {
  std::size_t size = 0;
  for (; width > 0 && size < text.size(); --width) size += first_size(text.substr(size));
  return size;
}

bool is_as_it_is(std::string_view line, Indented indented) {
  if (indented == Indented::others && line.starts_with(kFourSpaces)) return true;
  const std::size_t begin = line.find_first_not_of(' ');
  return begin != std::string_view::npos && line.substr(begin).starts_with(kHint);
}

// Where what goes on from LINE begins: at its last column, if that leaves half of the width, or at its own,
// or behind a label, "Watched: ...", a little further in.
std::size_t hanging_indent(std::string_view line, std::size_t columns) {
  std::size_t indent = std::min(line.find_first_not_of(' '), line.size());
  const std::size_t most = prefix_size(line, columns / 2);
  if (indent == 0 && line.find(": ") < most) return kBehindLabel;
  for (std::size_t at = line.find("  ", indent); at < most; at = line.find("  ", at)) {
    const std::size_t next = std::min(line.find_first_not_of(' ', at), line.size());
    if (next >= most || next == line.size()) break;
    at = indent = next;
  }
  return display_width(line.substr(0, indent));
}

// Where to break REST, which is too long for COLUMNS, its first INDENT bytes being spaces.
std::size_t break_of(std::string_view rest, std::size_t indent, std::size_t columns) {
  const std::size_t fits = prefix_size(rest, columns);
  const std::size_t space = rest.rfind(' ', fits);
  if (space != std::string_view::npos && space > indent) return space;
  return std::min(rest.find(' ', std::max(fits, indent)),
                  rest.size());  // a word that is longer than the line
}

// The command that LINE ends with, "..., and so does: kiln precompile a.py". Empty: it ends with none, or
// with the form of one.
std::string_view command_at_end(std::string_view line) {
  if (line.starts_with(kUsage)) return {};
  for (const std::string_view command : kCommands) {
    const std::size_t colon = line.rfind(command);
    if (colon != std::string_view::npos) return line.substr(colon + 2);
  }
  return {};
}

void append_wrapped(std::string& text, std::string_view line, std::size_t columns, LongWords long_words) {
  const std::size_t hanging = hanging_indent(line, columns);
  if (const auto command = command_at_end(line); !command.empty()) {
    line.remove_suffix(command.size() + 1);
    append_wrapped(text, line, columns, long_words);
    text.append(hanging, ' ').append(command).append("\n");
    return;
  }
  std::string rest(line);
  std::size_t indent = std::min(line.find_first_not_of(' '), line.size());
  while (display_width(rest) > columns) {
    const std::size_t end = break_of(rest, indent, columns);
    const std::size_t last = rest.find_last_not_of(' ', end == 0 ? 0 : end - 1);
    const std::string first = rest.substr(0, last + 1);
    text += (long_words == LongWords::whole ? first : shortened(first, columns)) + "\n";
    const std::size_t next = rest.find_first_not_of(' ', end);
    if (next == std::string::npos) return;
    rest = std::string(hanging, ' ') + rest.substr(next);
    indent = hanging;
  }
  text += rest + "\n";
}

}  // namespace

unsigned terminal_columns(int fd) {
  winsize size{};
  return get_size(fd, size) ? size.ws_col : 0;
}

unsigned terminal_rows(int fd) {
  winsize size{};
  return get_size(fd, size) ? size.ws_row : 0;
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) {
    const std::size_t colour = colour_size(text);
    if (colour == 0 && !continues_character(text.front())) ++width;
    text.remove_prefix(std::max<std::size_t>(colour, 1));
  }
  return width;
}

std::string cut_short(std::string_view text, std::size_t width) {
  if (display_width(text) <= width) return std::string(text);
  const std::string_view dots = kEllipsis.substr(0, width > kEllipsis.size() ? kEllipsis.size() : 0);
  return std::string(text.substr(0, prefix_size(text, width - dots.size()))).append(dots);
}

std::string shortened(std::string_view text, std::size_t width) {
  const std::size_t whole = display_width(text);
  if (whole <= width) return std::string(text);
  if (width <= kEllipsis.size()) return std::string(text.substr(0, prefix_size(text, width)));
  const std::size_t kept = width - kEllipsis.size();
  const std::size_t front = kept / 3;  // the end of a path says more
  std::string shown(text.substr(0, prefix_size(text, front)));
  shown += kEllipsis;
  return shown.append(text.substr(prefix_size(text, whole - (kept - front))));
}

std::string wrapped(std::string_view text, unsigned columns, Indented indented, LongWords long_words) {
  if (columns == 0) return std::string(text);
  std::string lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    if (display_width(line) <= columns || is_as_it_is(line, indented)) {
      lines.append(line).append(end < text.size() ? "\n" : "");
    } else {
      append_wrapped(lines, line, columns, long_words);
      if (end == text.size()) lines.pop_back();
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

void show(std::string_view text, Indented indented) {
  const std::string lines = wrapped(text, terminal_columns(STDOUT_FILENO), indented);
  std::fwrite(lines.data(), 1, lines.size(), stdout);
}

}  // namespace kiln

#include "daemon/watch/mount_table.h"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>

namespace kiln {
namespace {

bool is_octal(std::string_view digits) {
  return digits.size() == 3 && std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '7'; });
}

// Blank, tab, newline and backslash are written as \040, \011, \012 and \134.
std::string unescape(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto digits = text.substr(std::min(i + 1, text.size()), 3);
    if (text[i] == '\\' && is_octal(digits)) {
      plain += static_cast<char>((digits[0] - '0') * 64 + (digits[1] - '0') * 8 + (digits[2] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

std::string_view next_word(std::string_view& line) {
  const auto end = std::min(line.find(' '), line.size());
  const auto word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

}  // namespace

std::multiset<std::string> parse_mounts(std::string_view mountinfo) {
  std::multiset<std::string> mounts;
  while (!mountinfo.empty()) {
    const auto end = std::min(mountinfo.find('\n'), mountinfo.size());
    auto line = mountinfo.substr(0, end);
    mountinfo.remove_prefix(std::min(end + 1, mountinfo.size()));
    const auto number = next_word(line);
    for (int i = 0; i < 3; ++i) next_word(line);  // parent, major:minor, root
    const auto point = next_word(line);
    if (!point.empty()) mounts.insert(std::string(number) + " " + unescape(point));
  }
  return mounts;
}

MountTable::MountTable() : fd_(::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)), mounts_(read()) {}

std::multiset<std::string> MountTable::read() {
  std::string text;
  std::array<char, 16384> buffer;
  if (!fd_ || ::lseek(fd_.get(), 0, SEEK_SET) != 0) return {};
  for (;;) {
    const ssize_t count = ::read(fd_.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return parse_mounts(text);
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

std::vector<std::string> MountTable::take_changes() {
  pollfd poll{fd_.get(), POLLPRI, 0};
  if (!fd_ || ::poll(&poll, 1, 0) <= 0 || (poll.revents & POLLPRI) == 0) return {};
  auto now = read();
  std::vector<std::string> changed;
  std::ranges::set_symmetric_difference(mounts_, now, std::back_inserter(changed));
  mounts_ = std::move(now);
  for (auto& mount : changed) mount.erase(0, mount.find(' ') + 1);
  return changed;
}

}  // namespace kiln

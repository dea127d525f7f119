#include "daemon/image/hot_pages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <string_view>

#include "common/unique_fd.h"
#include "daemon/image/whole_file.h"

namespace kiln::image {
namespace {

constexpr std::uintptr_t kPage = 4096;
constexpr std::size_t kMaxRanges = 2048;

// Of an entry of pagemap (Documentation/admin-guide/mm/pagemap.rst).
constexpr std::uint64_t kPresent = 1ULL << 63;
constexpr std::uint64_t kIsFile = 1ULL << 61;
constexpr std::uint64_t kIsOwnAlone = 1ULL << 56;

// Not in the headers of Debian 11; a kernel before 5.14 refuses them, and nothing is gained.
constexpr int kPopulateRead = 22;
constexpr int kPopulateWrite = 23;

struct Mapping {
  std::uintptr_t start = 0;
  std::uintptr_t end = 0;
  bool is_writable = false;
};

// "7f06c43c4000-7f06c43c5000 rw-p ...": private memory that can be read, and is not the kernel's ("[vdso]").
bool read_mapping(std::string_view line, Mapping& mapping) {
  const char* const end = line.data() + line.size();
  const auto first = std::from_chars(line.data(), end, mapping.start, 16);
  if (first.ec != std::errc() || first.ptr == end) return false;
  const auto second = std::from_chars(first.ptr + 1, end, mapping.end, 16);
  if (second.ec != std::errc() || end - second.ptr < 5) return false;
  const std::string_view access(second.ptr + 1, 4);
  mapping.is_writable = access[1] == 'w';
  return access[0] == 'r' && access[3] == 'p' && line.find("[v") == std::string_view::npos;
}

// What it takes to have the page as it is here; 0: nothing, a fork has it.
int advice_for(std::uint64_t entry, bool is_writable) {
  if ((entry & kPresent) == 0) return 0;
  if ((entry & kIsFile) != 0) return kPopulateRead;  // forks do not inherit that it is mapped
  return is_writable && (entry & kIsOwnAlone) != 0 ? kPopulateWrite : 0;
}

}  // namespace

struct HotPages::Sheet {
  std::size_t count;
  std::array<Range, kMaxRanges> ranges;

  // False if there is no room.
  bool add(std::uintptr_t page, int advice) {
    if (count > 0) {
      Range& last = ranges[count - 1];
      if (last.start + last.bytes == page && last.advice == advice) {
        last.bytes += kPage;
        return true;
      }
    }
    if (count == kMaxRanges) return false;
    ranges[count++] = {page, kPage, advice};
    return true;
  }
};

HotPages::~HotPages() {
  if (sheet_ != nullptr) ::munmap(sheet_, sizeof(Sheet));
}

void HotPages::expect() {
  void* mapped = ::mmap(nullptr, sizeof(Sheet), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (mapped != MAP_FAILED) sheet_ = static_cast<Sheet*>(mapped);
}

void HotPages::note() {
  const std::string maps = whole_file("/proc/self/maps");
  const UniqueFd pagemap{::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)};
  if (sheet_ == nullptr || !pagemap) return;
  std::array<std::uint64_t, 512> entries{};
  for (std::string_view rest = maps; !rest.empty();
       rest.remove_prefix(std::min(rest.find('\n'), rest.size() - 1) + 1)) {
    Mapping mapping;
    if (!read_mapping(rest.substr(0, rest.find('\n')), mapping)) continue;
    for (std::uintptr_t page = mapping.start; page < mapping.end;) {
      const std::size_t wanted = std::min(entries.size(), (mapping.end - page) / kPage);
      const ssize_t size = ::pread(pagemap.get(), entries.data(), wanted * sizeof entries[0],
                                   static_cast<off_t>(page / kPage * sizeof entries[0]));
      if (size <= 0) break;
      for (std::size_t i = 0; i < static_cast<std::size_t>(size) / sizeof entries[0]; ++i, page += kPage) {
        const int advice = advice_for(entries[i], mapping.is_writable);
        if (advice != 0 && !sheet_->add(page, advice)) return;
      }
    }
  }
}

void HotPages::learn() {
  if (sheet_ == nullptr) return;
  const auto noted = sheet_->ranges.begin();
  ranges_.assign(noted, noted + static_cast<std::ptrdiff_t>(std::min(sheet_->count, kMaxRanges)));
  ::munmap(sheet_, sizeof(Sheet));
  sheet_ = nullptr;
}

void HotPages::touch() const {
  for (const Range& range : ranges_)
    ::madvise(reinterpret_cast<void*>(range.start), range.bytes, range.advice);
}

}  // namespace kiln::image

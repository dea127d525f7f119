#include "daemon/image/uncached_list.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <string>

namespace kiln::image {
namespace {

// All of it, eight more bytes a path, fits into one message (common/image_channel.h).
constexpr std::size_t kMaxBytes = 96U << 10;
constexpr std::size_t kMaxPaths = 2048;

}  // namespace

struct UncachedList::Page {
  std::uint32_t umask;
  std::uint32_t optimize;
  std::atomic<std::uint32_t> used;  // bytes of paths, each with a NUL at its end
  char paths[kMaxBytes];
};

UncachedList UncachedList::make() {
  UncachedList list;
  void* mapped = ::mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (mapped != MAP_FAILED) list.page_ = static_cast<Page*>(mapped);
  return list;
}

UncachedList::~UncachedList() {
  if (page_ != nullptr) ::munmap(page_, sizeof(Page));
}

void UncachedList::keep_from_forks() {
  if (page_ != nullptr) ::madvise(page_, sizeof(Page), MADV_DONTFORK);
}

void UncachedList::begin(unsigned umask, int optimize) {
  if (page_ == nullptr) return;
  page_->umask = umask;
  page_->optimize = static_cast<std::uint32_t>(optimize);
}

void UncachedList::add(std::string_view source) {
  if (page_ == nullptr) return;
  const std::size_t used = page_->used;
  if (used + source.size() + 1 > kMaxBytes) return;
  std::memcpy(page_->paths + used, source.data(), source.size());  // zeroes follow
  page_->used = static_cast<std::uint32_t>(used + source.size() + 1);
}

UncachedSources UncachedList::read() const {
  UncachedSources sources;
  if (page_ == nullptr || page_->used == 0) return sources;
  sources.umask = page_->umask;
  sources.optimize = page_->optimize;
  const std::string bytes(page_->paths, std::min<std::size_t>(page_->used, kMaxBytes));
  for (std::size_t at = 0; at < bytes.size() && sources.paths.size() < kMaxPaths;) {
    sources.paths.emplace_back(bytes.c_str() + at);
    at += sources.paths.back().size() + 1;
  }
  return sources;
}

}  // namespace kiln::image

#include "daemon/image/run_notes.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstring>

namespace kiln::image {
namespace {

// All of it fits into one message (common/image_channel.h), in which a path takes 12 bytes more.
constexpr std::size_t kMaxBytes = 64U << 10;
constexpr std::size_t kMaxNotes = 4096;
constexpr std::size_t kMaxPath = 4096;

}  // namespace

// One note is its letter, how many bytes it has in common with the path before it (u16), the others, and a
// NUL: the modules of a large program have long paths, which differ in their last part.
struct RunNotes::Page {
  std::uint32_t umask;
  std::uint32_t optimize;
  pid_t heir;
  char entry[kMaxPath];
  char last[kMaxPath];  // path noted
  std::atomic<std::uint32_t> used;
  char notes[kMaxBytes];
};

RunNotes RunNotes::make() {
  RunNotes notes;
  void* mapped = ::mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (mapped != MAP_FAILED) notes.page_ = static_cast<Page*>(mapped);
  return notes;
}

RunNotes::~RunNotes() {
  if (page_ != nullptr) ::munmap(page_, sizeof(Page));
}

void RunNotes::keep_from_forks() {
  if (page_ != nullptr) ::madvise(page_, sizeof(Page), MADV_DONTFORK);
}

void RunNotes::begin(unsigned umask, int optimize, std::string_view entry) {
  if (page_ == nullptr) return;
  page_->umask = umask;
  page_->optimize = static_cast<std::uint32_t>(optimize);
  if (entry.size() < kMaxPath) std::memcpy(page_->entry, entry.data(), entry.size());  // zeroes follow
}

void RunNotes::begin_as(const RunNotes& before) {
  if (page_ == nullptr || before.page_ == nullptr) return;
  const Page& from = *before.page_;
  page_->umask = from.umask;
  page_->optimize = from.optimize;
  std::memcpy(page_->entry, from.entry, sizeof page_->entry);
  std::memcpy(page_->last, from.last, sizeof page_->last);
  const std::uint32_t used = from.used;
  std::memcpy(page_->notes, from.notes, used);
  page_->used = used;
}

void RunNotes::add(Note note, std::string_view path) {
  if (page_ == nullptr || path.size() >= kMaxPath) return;
  const char* last = page_->last;
  const auto shared =
      static_cast<std::uint16_t>(std::ranges::mismatch(path, std::string_view(last)).in1 - path.begin());
  const auto rest = path.substr(shared);
  const std::size_t used = page_->used;
  if (used + 1 + sizeof shared + rest.size() + 1 > kMaxBytes) return;
  char* at = page_->notes + used;
  *at = static_cast<char>(note);
  std::memcpy(at + 1, &shared, sizeof shared);
  std::memcpy(at + 1 + sizeof shared, rest.data(), rest.size());  // zeroes follow
  std::memcpy(page_->last + shared, rest.data(), rest.size());
  page_->last[path.size()] = '\0';
  page_->used = static_cast<std::uint32_t>(used + 1 + sizeof shared + rest.size() + 1);
}

pid_t* RunNotes::heir() {
  return page_ == nullptr ? nullptr : &page_->heir;
}

pid_t RunNotes::named_heir() const {
  return page_ == nullptr ? 0 : page_->heir;
}

RunRecord RunNotes::read() const {
  RunRecord record;
  if (page_ == nullptr) return record;
  record.uncached.umask = page_->umask;
  record.uncached.optimize = page_->optimize;
  record.entry = std::string(page_->entry, ::strnlen(page_->entry, kMaxPath));
  const std::string notes(page_->notes, std::min<std::size_t>(page_->used, kMaxBytes));
  std::string path;
  for (std::size_t at = 0, count = 0; at + 1 + sizeof(std::uint16_t) < notes.size() && count < kMaxNotes;
       ++count) {
    std::uint16_t shared = 0;
    std::memcpy(&shared, notes.data() + at + 1, sizeof shared);
    const char* rest = notes.c_str() + at + 1 + sizeof shared;
    path.resize(std::min<std::size_t>(shared, path.size()));
    path += rest;
    auto& paths = notes[at] == static_cast<char>(Note::uncached) ? record.uncached.paths : record.imported;
    paths.push_back(path);
    at += 1 + sizeof shared + std::strlen(rest) + 1;
  }
  return record;
}

}  // namespace kiln::image

// What a run compiled in vain: the sources whose bytecode Python could not keep (common/overlay.h). A child
// notes them in memory that it shares with its image, which reads it when the child has ended and tells the
// daemon with its report.
//
// Rejected: a message to the daemon from the program's end. It would make that end longer, and need a
// connection, by a path that is remembered; and what the kernel or os._exit ends would never say anything.
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>

#include "common/image_channel.h"

namespace kiln::image {

class UncachedList {
 public:
  UncachedList() = default;
  // With memory; where there is none the list stays empty.
  static UncachedList make();
  UncachedList(UncachedList&& other) noexcept : page_(std::exchange(other.page_, nullptr)) {}
  UncachedList& operator=(UncachedList&& other) noexcept {
    std::swap(page_, other.page_);
    return *this;
  }
  ~UncachedList();

  // This process's forks from here on will not have the memory, and must not use the list.
  void keep_from_forks();

  // In the child. What does not fit is left to the next run. SOURCE is absolute.
  void begin(unsigned umask, int optimize);
  void add(std::string_view source);

  // In the image. The program may have written there, too: whatever it is, it comes out as strings.
  UncachedSources read() const;

 private:
  struct Page;
  Page* page_ = nullptr;
};

}  // namespace kiln::image

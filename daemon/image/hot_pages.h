// The pages that a run touches. In a fork each is a fault, of microseconds, in the way of the program: some
// two hundred of them are a fourth of what a small program takes. So an image has a child practise a run
// once, which notes what it touched (pagemap in proc(5)); spare children touch the same while they wait.
//
// Rejected: runs that note it at their end. A program may have forbidden itself, by then, to open files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace kiln::image {

class HotPages {
 public:
  HotPages() = default;
  HotPages(const HotPages&) = delete;
  HotPages& operator=(const HotPages&) = delete;
  ~HotPages();

  // In the image, before it forks the child that practises. Without memory nothing will be learned.
  void expect();
  // In that child, at the end.
  void note();
  // In the image, when the child has ended.
  void learn();
  // In a spare: what is not there any more is passed over.
  void touch() const;

 private:
  struct Range {
    std::uintptr_t start = 0;
    std::size_t bytes = 0;
    int advice = 0;  // of madvise(2)
  };
  struct Sheet;

  Sheet* sheet_ = nullptr;  // shared with the child
  std::vector<Range> ranges_;
};

}  // namespace kiln::image

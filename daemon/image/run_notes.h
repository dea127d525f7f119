// What a run notes for the daemon: what was run, which files its imports opened, and the sources whose
// bytecode Python could not keep (common/overlay.h). A child writes it into memory that it shares with its
// image, which reads it when the child has ended and tells the daemon with its report.
//
// Rejected: a message to the daemon from the program's end. It would make that end longer, and need a
// connection, by a path that is remembered; and what the kernel or os._exit ends would never say anything.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "common/image_channel.h"

namespace kiln::image {

enum class Note : char {
  imported = 'i',  // a file that an import opened, bytecode or source; absolute
  uncached = 'u',  // a source that was compiled in vain; absolute
};

class RunNotes {
 public:
  RunNotes() = default;
  // With memory; where there is none nothing is noted.
  static RunNotes make();
  RunNotes(RunNotes&& other) noexcept : page_(std::exchange(other.page_, nullptr)) {}
  RunNotes& operator=(RunNotes&& other) noexcept {
    std::swap(page_, other.page_);
    return *this;
  }
  ~RunNotes();

  // This process's forks from here on will not have the memory, and must not use the notes.
  void keep_from_forks();

  // In the child. What does not fit is left out. ENTRY: what is run (common/image_channel.h).
  void begin(unsigned umask, int optimize, std::string_view entry);
  void add(Note note, std::string_view path);
  // Where the child writes down who has its memory after it (heir.h). Null: there are no notes.
  pid_t* heir();
  // The same as BEFORE has, so far.
  void begin_as(const RunNotes& before);

  // In the image. The program may have written there, too: whatever it is, it comes out as strings.
  RunRecord read() const;
  // 0: it has none.
  pid_t named_heir() const;

 private:
  struct Page;
  Page* page_ = nullptr;
};

}  // namespace kiln::image

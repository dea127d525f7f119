// An image's own loop: keeps spare children forked, learns which of them took which run, reaps them and tells
// each client how its program ended. Runs on the interpreter's main thread, with no Python frame below it,
// and holds the GIL for good: nothing of Python runs in an image once it serves.
#pragma once

#include <sys/types.h>

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "daemon/image/child.h"

namespace kiln::image {

enum class ImageKind {
  bare,     // an interpreter before its program: forked with the interpreter's own handlers around it
  program,  // a program at its stop, which shall not notice: os.register_at_fork is none of Kiln's
};

// What a child does once, for all: what a run does, without one (hot_pages.h), and AT_END.
using Practice =
    std::function<void(const ImageSockets& sockets, pid_t image, const std::function<void()>& at_end)>;

// CHANNEL: the socket to the daemon, a descriptor of its own. GREETING: the first message on it, with
// GREETING_FDS. OTHER_CHILDREN: of this process, but none of the image's. Returns in spare children alone.
Spare serve(ImageKind kind, int channel, const std::string& greeting, const Practice& practise,
            std::span<const int> greeting_fds = {}, std::vector<pid_t> other_children = {});

}  // namespace kiln::image

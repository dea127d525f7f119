// The process group that this process was started in, and in which the program takes its place.
//
// What a terminal, or kill(2), sends to the group must reach the program, and reach it once. So the program's
// process joins the group, and this one leaves it for a group of its own, where it hears only what is sent to
// itself, and forwards that. Before it exits it returns, for whoever waits for members of the group.
//
// Rejected: to stay in the group. A signal to the group then arrives twice, once directly and once forwarded,
// and which of a client's signals were sent to the group cannot be known. Rejected: the group of the image,
// for all its clients. Whoever signals the group of the process that they started (getpgid, then killpg)
// would hit the programs of all.
#pragma once

#include <sys/types.h>

#include "common/result.h"

namespace kiln {

class ProcessGroup {
 public:
  ProcessGroup();
  ~ProcessGroup();  // returns
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  pid_t id() const { return id_; }

  // Does what leaving needs, and may take as long as a vfork.
  void prepare();
  // Call when another process has joined, or the group would be gone.
  Result<void> leave();
  void rejoin();

 private:
  void release_holder();

  const pid_t id_;
  pid_t holder_ = 0;
  bool left_ = false;
};

// Is GROUP, in this session, orphaned (credentials(7), setpgid(2)): has no member a parent in another group
// of the session, that is a shell that would continue it? The kernel lets no terminal stop such a group. Only
// this process and its ancestors are looked at; a group that only others keep from being orphaned passes for
// one that is.
bool is_orphaned(pid_t group);

}  // namespace kiln

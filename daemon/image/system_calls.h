// What each system call does to the world, or learns from it, as a rehearsal sees it. What is not known here,
// changes something.
#pragma once

#include <string>
#include <vector>

#include "daemon/image/fence.h"

namespace kiln::image {

enum class CallKind {
  harmless,  // of this process's own memory and descriptors, or what all runs of an image have in common
  looks,     // at a file by its path; it is an input
  lists,     // a directory; an input
  asks_cwd,
  random,
  thread_id,
  process_id,
  clock,
  descriptor,       // makes one that is no file
  looks_at_stream,  // what kind of file is it, and where does it stand?
  effect,           // all else
};

CallKind kind_of(const SystemCall& call);

// The words for a call that waits for somebody else.
constexpr const char* kWaits = "waits";

// One of the calls by which a new file comes about, with its directory.
bool makes_file(const SystemCall& call);

// One of the calls by which a thread is started, with all signals blocked meanwhile.
bool starts_thread(const SystemCall& call);

// Descriptors that stand in for those of a run: what a program does to them, or asks of them, is an effect.
void set_stand_ins(const std::vector<int>& descriptors);

// The open descriptor that CALL does something to, or asks something of; -1: none.
int descriptor_of(const SystemCall& call);

// fstat(2), by whichever call.
bool asks_of_open_file(const SystemCall& call);

// How many bytes more of this process's own memory CALL asks for.
std::uint64_t memory_asked_for(const SystemCall& call);

// What an effect does, in words that follow the program's name: "creates a socket".
std::string wording_of(const SystemCall& call);

// A path that a call looks at.
struct LookedAt {
  int dirfd = -100;  // AT_FDCWD
  const char* path = nullptr;
  bool follows = true;  // symlinks
  bool opens = false;   // the content, not only what stat(2) says
  bool reads_link = false;
};
LookedAt looked_at(const SystemCall& call);

}  // namespace kiln::image

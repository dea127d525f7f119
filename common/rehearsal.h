// What a daemon and an image say to each other about a rehearsal: a program that is run ahead, in a child of
// a bare image, to its first step that is more than looking at recorded inputs, and stopped there
// (daemon/image/rehearsal.h). Both messages are fields (common/fields.h) in a memfd, for they may be longer
// than a packet.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/file_stamp.h"
#include "common/launch.h"
#include "common/result.h"

namespace kiln {

constexpr std::size_t kMaxRehearsalMessage = 16U << 20;

// Images that one rehearsal can leave on its way: before it read its arguments, before it looked into its own
// project, and where it stops.
constexpr std::size_t kRehearsalStops = 3;
// And the socket of its seed, by which it is told to go on from there once more: kRehearse, with the channels
// of the images that follow.
constexpr std::size_t kRehearsalSockets = kRehearsalStops + 1;

struct RehearsalOrder {
  Launch launch;        // of the run that it repeats; without descriptors
  std::string cwd;      // absolute
  std::string streams;  // kinds of descriptors 0 to 2 (stream_kinds)
  // importlib may write the bytecode of what is imported, as a run would have: nobody has run the program.
  bool writes_bytecode = false;
  std::vector<std::string>
      trusted;               // modules, as patterns of fnmatch(3), that may draw and ask (images.trust)
  std::uint64_t memory = 0;  // that it may take beyond what the interpreter has; in bytes
};

// What a rehearsal says on each channel that it still has, before anything else, and again in each process in
// which it goes on: with a pidfd of it, by which the daemon may end it.
constexpr char kGoesOn = 'g';
// The last message of a rehearsal on a channel, with a memfd that holds a RehearsalReport. From here on there
// is an image at its other end.
constexpr char kStopped = 's';

// What a program looked at on its way.
struct ProgramInput {
  enum class Kind : std::uint8_t {
    content = 0,       // all that stat(2) says
    identity = 1,      // whether it is there, and is the same file or directory
    link_content = 2,  // the same of a symlink itself, lstat(2)
    link_identity = 3,
    names = 4,             // the names in a directory
    importable_names = 5,  // those that an import could mean
    type = 6,              // whether it is there, and is a file, a directory, ...
    link_type = 7,
  };
  Kind kind{};
  std::string path;  // absolute
  FileStamp stamp;   // as it was then; all zero: nothing was there
  std::uint64_t names_hash = 0;

  bool operator==(const ProgramInput&) const = default;
};

// A program at its stop, ready to go on in children.
struct RehearsalReport {
  std::uint64_t pid = 0;
  std::string entry;  // as RunRecord has it
  std::string step;   // what comes next: "reads the clock"
  // Where, "/usr/lib/python3/x.py:12", and for which line of the program's own.
  std::vector<std::string> places;
  bool is_last = false;   // the program went no further
  std::string finalized;  // why runs tear the interpreter down at their end: "an object of m.Thing"; empty:
                          // they need not
  bool has_read_arguments = false;
  bool has_read_cwd = false;
  bool needs_whole_environment = false;  // native code has had the chance to read any variable
  bool has_seed = false;                 // rehearsals can go on from here (daemon/image/seed.h)
  std::vector<std::string> variables;    // names of those that were read
  std::uint64_t modules = 0;             // in sys.modules
  std::uint64_t cpu_us = 0;              // that a run need not spend
  std::vector<ProgramInput> inputs;
};

std::string encode_rehearsal_order(const RehearsalOrder& order);
Result<RehearsalOrder> decode_rehearsal_order(std::string_view message);
std::string encode_rehearsal_report(const RehearsalReport& report);
Result<RehearsalReport> decode_rehearsal_report(std::string_view message);

// What the files say now, where INPUT remembers what they said then.
ProgramInput look_again(const ProgramInput& input);
// The hash of the names in the directory FD, which is read from its beginning; 0: it cannot be read.
// IMPORTABLE: only of names that an import could mean.
std::uint64_t hash_of_names(int fd, bool importable);

// What descriptors 0 to 2 of this process are, as far as a program can tell without asking for more than
// their kind: for each a letter and the preferred size of writes, "n4096 p4096 f4096". Letters: n /dev/null,
// p pipe, f regular file at its beginning, F further on, s socket, t terminal; - closed, o anything else.
std::string stream_kinds();

}  // namespace kiln

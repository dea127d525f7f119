// What an image tells the daemon over their channel, a SOCK_SEQPACKET pair: one message a packet, in fields.
// The other way go one-byte messages: kRun with the connection of a run, or, to a bare image, kRehearse with
// a memfd that holds the order (common/rehearsal.h) and the sockets of what this shall leave.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace kiln {

constexpr std::size_t kMaxChannelMessage = 128U << 10;  // below the default socket buffer of 208 KiB

constexpr char kRun = 'r';
constexpr char kRehearse = 'w';

// The first message. image.py writes the same when it refuses an interpreter before the extension is loaded.
struct ImageGreeting {
  std::string build_id;
  std::string reason;  // "served", or the word of why this interpreter cannot
  std::string detail;
  std::string version;  // 3.11.2
  std::string tag;      // cpython-311
  std::uint64_t magic = 0;
  std::uint64_t pid = 0;
  std::uint64_t whole_environment = 0;  // 1: start-up code may have looked at any variable
  std::vector<std::string> reads;       // else the names of those that it looked at
  std::vector<std::string> inputs;      // paths that the start read, listed, or found absent
};

// Sources that a run compiled, and whose bytecode Python could not keep where it belongs (common/overlay.h).
struct UncachedSources {
  std::vector<std::string> paths;
  std::uint64_t umask = 0;     // the run's
  std::uint64_t optimize = 0;  // its level: 0, 1, 2
};

// What a run was, and what it did with modules.
struct RunRecord {
  std::string entry;  // the script, directory or zip file, absolute and without symlinks; "-m NAME"; "-c"
  std::vector<std::string> imported;  // files that its imports opened: bytecode or source, in this order
  UncachedSources uncached;
  std::uint64_t imports_hash = 0;  // of the sources of IMPORTED (common/imported_sources.h)
};

// After every run.
struct ImageReport {
  std::uint64_t served = 0;
  std::uint64_t running = 0;
  bool same_imports = false;  // as the last run of this entry had: IMPORTED is left out
  RunRecord run;
};

std::string encode_image_greeting(const ImageGreeting& greeting);
Result<ImageGreeting> decode_image_greeting(std::string_view message);
std::string encode_image_report(const ImageReport& report);
Result<ImageReport> decode_image_report(std::string_view message);

}  // namespace kiln

// What a child needs to become the program: everything of the caller that can be handed over. One kLaunch
// frame from client to child, in fields (common/fields.h), with the caller's descriptors; written and read
// here only.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace kiln {

enum class TargetKind : std::uint8_t {
  file = 0,     // script, directory, zip or bytecode file, as Python tells them apart
  module = 1,   // -m
  command = 2,  // -c
};

constexpr std::size_t kResourceLimits = 16;  // RLIM_NLIMITS of Linux

struct Launch {
  TargetKind kind{};
  std::string target;                     // file as spelled, module name, or command text
  std::vector<std::string> arguments;     // sys.argv[1:]
  std::vector<std::string> command_line;  // sys.orig_argv
  std::string name;                       // of the process: the last part of what would be executed
  std::vector<std::string> environment;   // raw NAME=VALUE strings, in order
  std::vector<int> descriptors;  // numbers of the passed descriptors, in order of passing; cwd comes last and
                                 // has no number
  std::uint32_t umask = 0;
  std::uint64_t ignored_signals = 0;  // bit n-1: signal n is ignored
  std::uint64_t blocked_signals = 0;  // the same for the signal mask
  std::array<std::uint64_t, kResourceLimits> soft_limits{};
  std::string affinity;  // raw cpu_set_t bytes as sched_getaffinity(2) gave them
  std::string host;      // its name and domain as uname(2) gives them
  std::int32_t oom_score_adj = 0;
  std::int32_t process_group = 0;  // the caller's, which the child joins
};

std::string encode_launch(const Launch& launch);
Result<Launch> decode_launch(std::string_view payload);

// ready: the child is set up and compiled; nothing of the program ran. Carries, as descriptors, a pidfd of
// the child and the status page.
struct Ready {
  std::int32_t pid = 0;
  std::int32_t image = 0;  // pid of its image
  bool is_ahead = false;   // the program was run ahead, and stands at its first step
};
std::string encode_ready(const Ready& ready);
Result<Ready> decode_ready(std::string_view payload);

// ended: a wait status as wait(2) gives it.
std::string encode_ended(int wait_status);
Result<int> decode_ended(std::string_view payload);

// stopped: the signal that did it.
std::string encode_stopped(int signal);
Result<int> decode_stopped(std::string_view payload);

// refused: a reason word and a detail.
std::string encode_refused(const Error& error);
Error decode_refused(std::string_view payload);

// The status page: shared memory in which a leaving child notes its exit code, for the case that its image,
// whose word counts, is gone by then. A descriptor would be visible to the program; a mapping is not.
struct StatusPage {
  std::uint32_t exited = 0;  // 1: exit_code holds
  std::int32_t exit_code = 0;
};

}  // namespace kiln

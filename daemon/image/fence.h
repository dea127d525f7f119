// A fence around a program that is run ahead: nothing that it does to, or learns from, the world outside its
// own memory goes unseen, whether Python, a library or inline assembly does it.
//
// Every system call is turned into a signal before it happens (Syscall User Dispatch, prctl(2), Linux 5.11),
// and the clock, which the vDSO answers without one, into a fault, by taking the right to execute from the
// vDSO's page. Our handler then either makes the call itself, or stops the program there for good: at this
// very instruction, before anything has happened. Forks have no dispatch; in them the handler returns, and
// the instruction is executed as if nothing had ever been in its way.
//
// Rejected: seccomp, which a forked child keeps for good, so that the program would have to be run once to
// find the place to stop at, and again to stop there. Rejected: audit hooks and a profile function, which
// miss what native code does, os.stat, functools.partial(time.time), and cost the program's own frames.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "common/result.h"

namespace kiln::image {

struct SystemCall {
  long number = 0;  // as in <sys/syscall.h>; -1: of another architecture
  std::array<std::uint64_t, 6> arguments{};
};

// What the fence asks. All are called with the fence open, all signals blocked, and the program stopped in
// between two instructions, possibly without the GIL.
class FenceKeeper {
 public:
  virtual ~FenceKeeper() = default;
  // What CALL results in, as the kernel would say it, where it is not to be made at all.
  virtual std::optional<long> answer(const SystemCall& call) = 0;
  // What CALL would do, if it must not happen: "creates a socket".
  virtual std::string objection(const SystemCall& call) = 0;
  // CALL has happened. RESULT: as the kernel gave it, -errno for a failure.
  virtual void note(const SystemCall& call, long result) = 0;
  // Whether the clock may be read now.
  virtual bool may_read_clock() = 0;
  // The program looks at its arguments for the first time. BLOCKED, and what is returned, are as of stop().
  virtual std::uint64_t look_at_arguments(std::uint64_t blocked) = 0;
  // Asked after an objection: the fence is left open from this call on, until close_fence().
  virtual bool may_leave() = 0;
  // The program has come to its end here, or to a place where a fork of it shall stay. STEP: what it would do
  // next. BLOCKED: the signals that are blocked there (bit n-1: signal n). Returns in processes that are to
  // go on, with what shall be blocked in them: those without the fence, and one that renewed it and objects
  // no more.
  virtual std::uint64_t stop(const std::string& step, std::uint64_t blocked) = 0;
};

// From here on. Fails where the kernel cannot do it. KEEPER stays the caller's.
Result<void> raise_fence(FenceKeeper& keeper);
// No more; in the process that raised it, or in a fork of it.
void lower_fence();
bool is_fenced();

// The program, about to do something that no instruction of its own shows (it has ended), stops here, if it
// is fenced.
void stop_at_fence(const std::string& step);

// It is Kiln that runs at this moment, or a step that it does not look into.
bool is_fence_open();

// After may_leave().
void close_fence();

// For as long as it lives the fence is open: for what Kiln does itself in between.
class OpenFence {
 public:
  OpenFence();
  ~OpenFence();
  OpenFence(const OpenFence&) = delete;
  OpenFence& operator=(const OpenFence&) = delete;

 private:
  char former_;
};

// In a fork that shall stay fenced: the kernel has taken the dispatch away.
void renew_fence();

}  // namespace kiln::image

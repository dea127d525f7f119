// A library's pool of threads that a known step has started, and that wait for work.
//
// No thread survives a fork, so there is none of them in an image: the call that starts one is answered as if
// it had (system_calls.h), and what the C library has noted of it goes with the next fork, as it does with
// every thread's but the forking one's. The library, which keeps the id of the process that started its pool,
// starts another in a fork, before it needs it; a run has it do that at once.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace kiln::image {

struct ThreadPool {
  const char* module;
  const char* count;  // a function of it in C: how many threads there are
  const char* start;  // and one that, given so many, in a fork, starts them
};

// POOL is just being started, by a program behind a fence, which will not be done. Whoever starts it anew
// behind that fence takes a step: half of that would be done before it. False: it is not as we know it. Needs
// a PythonAside.
bool postpone_threads(const ThreadPool& pool);

// Whether this process will be taken for another one than that in which a pool was postponed.
bool may_start_threads();

// Starts what was postponed, in threads that block these signals (bit n-1: signal n), as the program does. No
// Python code runs. All signals are blocked before and after it.
void start_postponed_threads(std::uint64_t blocked);

}  // namespace kiln::image

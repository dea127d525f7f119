// A persistent process of the user's own interpreter that turns source into bytecode
// (daemon/python/compile_worker.py has the protocol). Whatever the compiler does to it costs the one file
// that was being compiled.
//
// Rationale: the interpreter is started as `-s -S -B`, with an environment without PYTHON* variables instead
// of with -I, which would ignore PYTHONHASHSEED as well: up to 3.10 the order of frozensets in the bytecode
// depends on the hash seed, and there is no other way to set it. PYTHONSAFEPATH is the rest of -I where it
// exists (3.11).
#pragma once

#include <cstdint>
#include <chrono>
#include <optional>
#include <string>

#include "common/result.h"
#include "daemon/child.h"
#include "daemon/interpreter.h"

namespace kiln {

struct CompileLimits {
  int startup_ms = 30'000;                    // until a worker greets
  int timeout_ms = 60'000;                    // one file
  std::uint64_t memory_bytes = 4ULL << 30;    // address space of a worker (RLIMIT_AS)
  std::uint64_t answer_bytes = 512ULL << 20;  // longest answer
};

struct CompileRequest {
  std::string source;    // as read: the compiler decodes by itself
  std::string filename;  // what to embed in the code
  int optimize = 0;      // 0, 1, 2
};

// Why a file has no bytecode.
struct CompileError {
  std::string type;  // SyntaxError; or kCrashed, kTimedOut, kOutOfMemory
  std::string message;
  int line = 0;    // from 1; 0: none
  int column = 0;  // from 1; 0: none

  bool operator==(const CompileError&) const = default;
};

// False for what the file system or the machine is to blame for, so that it may be gone the next time.
bool is_of_source(const CompileError& error);

constexpr std::string_view kCrashed = "CompilerCrash";
constexpr std::string_view kTimedOut = "CompilerTimeout";
constexpr std::string_view kOutOfMemory = "MemoryError";  // Python's own word

struct Compiled {
  std::string code;  // marshalled: a pyc without its header; empty when there is an error
  std::optional<CompileError> error;
  std::string
      warnings;  // as Python would print them, but with kFilenameMark for the file's name; may be empty
  std::chrono::microseconds startup{};  // spent until the worker's interpreter was up
};

constexpr char kFilenameMark = '\1';

// WARNINGS about the file of this name, as Python would print them.
std::string name_file_in(std::string_view warnings, std::string_view filename);

// Used by one thread at a time.
class CompileWorker {
 public:
  // Starts nothing yet. LEVEL is what it is started with: 2.7 compiles for its own level only, and fails with
  // a request for another one; later versions do not care.
  CompileWorker(InterpreterInfo interpreter, CompileLimits limits, int level = 0)
      : interpreter_(std::move(interpreter)), limits_(limits), level_(level) {}

  const InterpreterInfo& interpreter() const { return interpreter_; }
  int level() const { return level_; }

  // Before it is started: has Compiled::warnings hold also those that Python leaves out by default.
  void keep_every_warning() { every_warning_ = true; }

  // Starts the process unless it runs. Does not wait for it: several workers start at once.
  Result<void> start();

  // Compiles one file; blocks. What the source or the compiler does wrong is in Compiled::error. An Error is
  // about the worker as such: it cannot be started, it is another interpreter by now (Reason::interpreter),
  // or CANCEL, a descriptor or -1, became readable (Reason::shutting_down).
  Result<Compiled> compile(const CompileRequest& request, int cancel = -1);

 private:
  Result<Compiled> compile_once(const CompileRequest& request, int cancel);
  Result<Compiled> exchange(const CompileRequest& request, int cancel);
  Result<void> greet(int cancel);
  CompileError obituary(const Error& error);
  void stop();

  InterpreterInfo interpreter_;
  CompileLimits limits_;
  int level_;
  bool every_warning_ = false;
  std::optional<Child> child_;
  UniqueFd socket_;
  bool greeted_ = false;
};

}  // namespace kiln

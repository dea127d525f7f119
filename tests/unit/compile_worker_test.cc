#include "daemon/compile_worker.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "common/pyc.h"
#include "tests/unit/pythons.h"
#include "tests/unit/scratch.h"

namespace kiln {
namespace {

// An interpreter whose compiler crashes, hangs or talks nonsense when the source says so; it answers anything
// else with the source itself.
constexpr const char* kFakeInterpreter = R"(#!/usr/bin/python3 -S
import os, signal, socket, struct
number = lambda value: struct.pack("<Q", value)
string = lambda data: number(len(data)) + data
channel = socket.socket(fileno=0)
stream = channel.makefile("rb")
channel.sendall(string(number(1)))
while True:
    raw = stream.read(8)
    if len(raw) < 8:
        break
    request = stream.read(struct.unpack("<Q", raw)[0])
    source = request[8:8 + struct.unpack_from("<Q", request)[0]]
    if source == b"crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif source == b"exit":
        os._exit(3)
    elif source == b"hang":
        signal.pause()
    elif source == b"nonsense":
        channel.sendall(string(b"nonsense"))
    elif source == b"endless":
        channel.sendall(number(1 << 62))
    else:
        channel.sendall(string(number(0) + string(source) + string(b"")))
)";

InterpreterInfo fake_interpreter(const Scratch& scratch) {
  InterpreterInfo info;
  info.executable = scratch.write("python", kFakeInterpreter);
  info.magic = 1;
  ::chmod(info.executable.c_str(), 0755);
  return info;
}

CompileError error_of(CompileWorker& worker, const std::string& source, const std::string& name = "a.py") {
  const auto compiled = worker.compile({source, name, 0});
  if (!compiled) return {"worker", compiled.error().message};
  return compiled->error.value_or(CompileError{});
}

TEST(CompileWorker, ReportsSyntaxErrorsWithTheirPlace) {
  CompileWorker worker(system_python(), {});
  const auto error = error_of(worker, "x = 1\ny = = 2\n");
  EXPECT_EQ(error.type, "SyntaxError");
  EXPECT_EQ(error.message, "invalid syntax");
  EXPECT_EQ(error.line, 2);
  EXPECT_EQ(error.column, 5);
  EXPECT_EQ(error_of(worker, "if 1:\nx\n").type, "IndentationError");
  EXPECT_EQ(error_of(worker, "x = '\xff'\n").type, "SyntaxError");
  EXPECT_FALSE(error_of(worker, std::string("x = 1\0", 6)).type.empty());
  EXPECT_EQ(error_of(worker, "x = 1\n"), CompileError{});
}

// Up to 3.11 the column is that in the expression, up to 3.8 the line is, too: no place is better than a
// wrong one.
TEST(CompileWorker, ReportsNoPlaceInAnFStringThatIsNotTheSources) {
  for (const auto& python : all_pythons()) {
    CompileWorker worker(python, {});
    const auto expression = error_of(worker, "x = 1\nvalue = f'total {a b} end'\n");
    EXPECT_EQ(expression.type, "SyntaxError");
    EXPECT_EQ(expression.line, python.minor >= 9 ? 2 : 0) << python.version;
    EXPECT_EQ(expression.column, python.minor >= 12 ? 18 : 0) << python.version;
    if (python.minor < 9) {
      EXPECT_EQ(expression.message, "f-string: invalid syntax: (a b)");
    }
    const auto beside_one = error_of(worker, "x = 1\n(f'total {a}' b) = 1\n");
    EXPECT_EQ(beside_one.line, 2) << python.version;
    EXPECT_NE(beside_one.column, 0) << python.version;
  }
}

// From 3.9 to 3.12 compile() counts bytes.
TEST(CompileWorker, CountsColumnsInCharacters) {
  for (const auto& python : all_pythons()) {
    CompileWorker worker(python, {});
    EXPECT_EQ(error_of(worker, "变 = '漢字漢字'; y = = 3\n").column, 17) << python.version;
    EXPECT_EQ(error_of(worker, "# coding: latin-1\n\xe9 = 'x'; y = = 3\n").column, 14) << python.version;
    EXPECT_EQ(error_of(worker, "变 = '漢字漢字\n").column, python.minor >= 10 ? 5 : 10) << python.version;
  }
}

TEST(CompileWorker, KeepsWarningsAsPythonPrintsThem) {
  CompileWorker worker(system_python(), {});
  const auto compiled = worker.compile({"x = 1\n  \nx is 1  \n", "dir/w.py", 0});
  ASSERT_TRUE(compiled);
  EXPECT_EQ(compiled->warnings,
            "\1:3: SyntaxWarning: \"is\" with a literal. Did you mean \"==\"?\n  x is 1\n");
  EXPECT_EQ(name_file_in(compiled->warnings, "dir/w.py").substr(0, 12), "dir/w.py:3: ");
  EXPECT_FALSE(compiled->error);
  EXPECT_EQ(worker.compile({"x = 1", "b.py", 0})->warnings, "");
}

TEST(CompileWorker, OneThatWasKilledWhileItWaitedCostsNoFile) {
  CompileWorker worker(system_python(), {});
  ASSERT_TRUE(worker.compile({"x = 1", "a.py", 0}));
  ASSERT_TRUE(shell("pkill -KILL -P " + std::to_string(::getpid()) + " -f [c]ompile_worker"));
  const auto compiled = worker.compile({"x = 1", "b.py", 0});
  ASSERT_TRUE(compiled);
  EXPECT_FALSE(compiled->error);
}

TEST(CompileWorker, AFileNameNeedNotBeText) {
  CompileWorker worker(system_python(), {});
  const auto compiled = worker.compile({"x = 1", "\xff.py", 0});
  ASSERT_TRUE(compiled);
  EXPECT_FALSE(compiled->error) << compiled->error->message;
}

TEST(CompileWorker, TheOptimizationLevelCounts) {
  CompileWorker worker(system_python(), {});
  const std::string source = "'doc'\nassert x, 'text'\n";
  const auto plain = worker.compile({source, "a.py", 0})->code;
  const auto without_asserts = worker.compile({source, "a.py", 1})->code;
  const auto without_docs = worker.compile({source, "a.py", 2})->code;
  EXPECT_NE(plain.find("text"), std::string::npos);
  EXPECT_EQ(without_asserts.find("text"), std::string::npos);
  EXPECT_NE(without_asserts.find("doc"), std::string::npos);
  EXPECT_NE(without_docs, without_asserts);
}

// What the promise is about: compileall's own bytes, from 3.11 on; before, the same bytes every time.
TEST(CompileWorker, WritesTheBytesOfCompileall) {
  const Scratch scratch;
  const std::string source = R"("""Doc."""
from typing import Optional
class A:
    x: Optional[int] = None
    def f(self, *a, k=(1, 2, 'three'), **kw):
        """Doc of f."""
        return {n: [m for m in range(n) if m in {1, 2, 3, 'x', 'y', 'z'}] for n in a if __debug__}
async def g():
    async with h as i:
        assert i, 'text'
        yield lambda: i
NAMES = frozenset({'a', 'b', 'c'}), b'\xff', 1.5, 2j, ..., 10 ** 30
)";
  scratch.write("src/a.py", source);
  for (const auto& python : all_pythons()) {
    CompileWorker worker(python, {});
    for (int level = 0; level <= 2; ++level) {
      const auto compiled = worker.compile({source, "src/a.py", level});
      ASSERT_TRUE(compiled) << python.path << compiled.error().message;
      EXPECT_EQ(compiled->code, worker.compile({source, "src/a.py", level})->code) << python.path;
      if (python.minor < 11) continue;
      const std::string options[] = {"", "-O ", "-OO "};
      ASSERT_TRUE(shell("cd " + scratch.path() + " && " + python.executable + " " + options[level] +
                        "-m compileall -q src"));
      const auto pyc = read_file(scratch / cache_from_source("src/a.py", python.cache_tag, level));
      EXPECT_TRUE(pyc.substr(pyc_header_size(python.magic)) == compiled->code)
          << python.path << " level " << level;
    }
  }
}

TEST(CompileWorker, ACrashCostsOneFile) {
  const Scratch scratch;
  CompileWorker worker(fake_interpreter(scratch), {});
  EXPECT_EQ(error_of(worker, "crash"), (CompileError{"CompilerCrash", "the compiler died of SIGSEGV"}));
  EXPECT_EQ(error_of(worker, "exit"), (CompileError{"CompilerCrash", "the compiler exited with status 3"}));
  EXPECT_EQ(error_of(worker, "nonsense").type, kCrashed);
  EXPECT_EQ(error_of(worker, "endless").type, kCrashed);
  EXPECT_EQ(worker.compile({"fine", "a.py", 0})->code, "fine");
}

TEST(CompileWorker, AHangCostsOneFile) {
  const Scratch scratch;
  CompileLimits limits;
  limits.timeout_ms = 1;
  CompileWorker hasty(fake_interpreter(scratch), limits);
  EXPECT_EQ(error_of(hasty, "hang"), (CompileError{"CompilerTimeout", "not compiled within 1 ms"}));
}

TEST(CompileWorker, MemoryHasALimit) {
  CompileLimits limits;
  limits.memory_bytes = 400U << 20;
  CompileWorker worker(system_python(), limits);
  std::string literal = "x = [";
  for (int i = 0; i < 600'000; ++i) literal += std::to_string(i) + ",";
  const auto type = error_of(worker, literal + "]").type;
  EXPECT_TRUE(type == kOutOfMemory || type == kCrashed) << type;
  EXPECT_EQ(error_of(worker, "x = 1"), CompileError{});
}

TEST(CompileWorker, MayBeCancelled) {
  const Scratch scratch;
  const UniqueFd cancel{::eventfd(1, EFD_CLOEXEC)};
  CompileWorker worker(fake_interpreter(scratch), {});
  const auto compiled = worker.compile({"hang", "a.py", 0}, cancel.get());
  ASSERT_FALSE(compiled);
  EXPECT_EQ(compiled.error().reason, Reason::shutting_down);
  EXPECT_EQ(worker.compile({"fine", "a.py", 0})->code, "fine");
}

TEST(CompileWorker, AnotherPythonThanExpectedIsRefused) {
  auto python = system_python();
  python.magic ^= 1;
  CompileWorker worker(python, {});
  const auto compiled = worker.compile({"x = 1", "a.py", 0});
  ASSERT_FALSE(compiled);
  EXPECT_EQ(compiled.error().reason, Reason::interpreter);
}

TEST(CompileWorker, AMissingPythonIsAnError) {
  auto python = system_python();
  python.executable = "/nonexistent/python";
  CompileWorker worker(python, {});
  EXPECT_EQ(worker.compile({"x = 1", "a.py", 0}).error().reason, Reason::not_found);
}

}  // namespace
}  // namespace kiln

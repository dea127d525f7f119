// How the system starts a script: by which program, and with which arguments before the script's path. Read
// from the file's first line, as the kernel does (execve(2), "Interpreter scripts"; fs/binfmt_script.c), and
// two forms in which that program starts another: env(1), and the /bin/sh header that pip writes where the
// path of an interpreter is too long for the kernel or has a space in it (distlib's ScriptMaker).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

// What the kernel reads of a file to see how it is started (BINPRM_BUF_SIZE), and what pip's header may take.
constexpr std::size_t kScriptHead = 4096;

// Who starts the interpreter: the kernel itself, or what the kernel starts in its place.
enum class Starter { kernel, env, shell };

struct ScriptStart {
  std::string program;                 // a path, or, for env, a name that is to be looked up on PATH
  std::vector<std::string> arguments;  // before the script's path
  Starter starter = Starter::kernel;

  bool operator==(const ScriptStart&) const = default;
};

// HEAD: the first kScriptHead bytes of the file, or all of it. Nothing: it is no script, or one that is
// started in a way that we do not know (a shell's, `env -i`, a first line that the kernel would cut off).
std::optional<ScriptStart> script_start(std::string_view head);

}  // namespace kiln

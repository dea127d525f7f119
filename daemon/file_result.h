// What became of one source file in a precompilation.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "daemon/compile_worker.h"
#include "daemon/file_stamp.h"

namespace kiln {

enum class FileOutcome : std::uint8_t {
  skipped,   // cancelled before its turn
  fresh,     // its bytecode was good
  compiled,  // its bytecode was written
  error,     // it has no bytecode, or none that is new: see FileResult::error
};

struct FileResult {
  std::string source;      // absolute path
  FileStamp source_stamp;  // as it was when it was read, or looked at
  std::string pyc;         // where its bytecode lies, or would lie; absolute
  FileStamp pyc_stamp;     // fresh and compiled only
  FileOutcome outcome = FileOutcome::skipped;
  std::optional<CompileError> error;
};

}  // namespace kiln

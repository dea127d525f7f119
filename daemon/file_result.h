// What became of one bytecode file in a precompilation.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/file_stamp.h"
#include "daemon/compile_worker.h"

namespace kiln {

enum class FileOutcome : std::uint8_t {
  skipped,   // cancelled before its turn, or only looked at
  fresh,     // it was good
  compiled,  // it was written
  restored,  // it was written, out of the store
  error,     // there is none, or none that is new: see FileResult::error
};

struct FileResult {
  std::string source;  // absolute path
  FileStamp
      source_stamp;     // as it was when it was read, or looked at; changed_ns is 0 if that was not settled
  std::string pyc;      // where it lies, or would lie; absolute
  FileStamp pyc_stamp;  // fresh, compiled and restored only
  FileOutcome outcome = FileOutcome::skipped;
  std::optional<CompileError> error;
  std::uint64_t source_content = 0;  // content_id() of the source whose code it is, if that was looked at
  std::uint32_t umask = 0;           // of the user for whom it is, or would be, written
  std::uint64_t elapsed_us = 0;      // that making it took
  std::string warnings;  // what compiling it said, if it was made just now (daemon/compile_worker.h)
};

}  // namespace kiln

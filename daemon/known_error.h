// What is known not to compile, so that it is not tried again before it changes.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "common/file_stamp.h"
#include "daemon/compile_worker.h"

namespace kiln {

struct KnownError {
  std::int64_t source_mtime_ns = 0;    // of the source that was tried
  std::int64_t source_changed_ns = 0;  // its ctime
  std::uint64_t source_size = 0;       // bytes
  std::uint32_t magic = 0;             // of the interpreter that tried
  CompileError error;

  bool is_of(const FileStamp& source) const {
    return source_mtime_ns == source.modified_ns && source_changed_ns == source.changed_ns &&
           source_size == source.size;
  }
};

using KnownErrors = std::map<std::string, KnownError>;  // by path of the bytecode file

}  // namespace kiln

// Reading a source so that its bytes and what stat(2) says of it belong together.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "common/file_stamp.h"
#include "daemon/compile_worker.h"

namespace kiln {

struct SourceText {
  std::string bytes;
  FileStamp stamp;  // of the file that BYTES were read from, unchanged before and after
  mode_t mode = 0;  // st_mode
};

using ReadResult = boost::system::result<SourceText, CompileError>;

// Reads PATH; again, a few times, if it changes meanwhile. py_compile looks after it has read: an edit in
// between would give old code the new time. Errors are in Python's words; sources over 256 MiB are one.
ReadResult read_source(const std::string& path);

// Of what the file PATH says now; nothing if it cannot be read. The first names it (content_id() in
// daemon/digest.h), the second is what hash-based bytecode of MAGIC has of it (common/source_hash.h).
std::optional<std::uint64_t> content_of(const std::string& path);
std::optional<std::uint64_t> source_hash_of(const std::string& path, std::uint32_t magic);

}  // namespace kiln

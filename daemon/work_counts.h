// What is counted beside runs, by name, for `kiln stats`; kept in the index.
//
//   warm, warm_saved_us     runs that went on from where their program was run ahead to, and what computing
//   they
//                           were spared
//   precompile_compiled, precompile_restored, precompile_fresh, precompile_errors
//                           bytecode files, by what `kiln precompile` did with them
//   background_...          the same of what is compiled by itself; fresh is not counted, for that is any
//   look compiled_us, compiled_bytes, restored_us, restored_bytes
//                           what making bytecode took, over how many bytes of source: a file that is restored
//                           saves what compiling so many bytes takes, less what restoring took
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace kiln {

struct FileResult;

using WorkCounts = std::map<std::string, std::uint64_t>;

enum class WorkOf : std::uint8_t { precompile, background };

// Without names that count nothing.
WorkCounts work_counts(WorkOf whose, std::span<const FileResult> files);

}  // namespace kiln

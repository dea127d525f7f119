// The code objects of a bytecode file, for people to look at.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace kiln {

// The texts lie in the body that was read: raw bytes in 2.7, later UTF-8 in which surrogates are encoded,
// too.
struct CodeObject {
  std::string_view name;
  std::string_view qualname;  // empty before 3.11
  std::string_view filename;
  std::int32_t first_line = 0;
  int depth = 0;  // 0: the module
};

// The code objects in BODY, what follows a bytecode file's header, in the order of their begin: each before
// those that it holds. Valid as long as BODY. Fails with Reason::bad_pyc if BODY is damaged, or MAGIC
// unknown.
Result<std::vector<CodeObject>> list_code_objects(std::string_view body, std::uint32_t magic);

}  // namespace kiln

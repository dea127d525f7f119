#include "common/error_type.h"

#include <algorithm>
#include <array>

namespace kiln {

bool is_system_error(std::string_view type) {
  constexpr std::array<std::string_view, 6> kTypes{
      "OSError",         "FileNotFoundError",  "PermissionError",
      "FileExistsError", "NotADirectoryError", "IsADirectoryError"};
  return std::ranges::find(kTypes, type) != kTypes.end();
}

}  // namespace kiln

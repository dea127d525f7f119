#include "client/source_position.h"

namespace kiln {

std::string source_position(std::int32_t line, std::int32_t column) {
  if (line <= 0) return {};
  const std::string text = ":" + std::to_string(line);
  return column <= 0 ? text : text + ":" + std::to_string(column);
}

}  // namespace kiln

// Environment variables, one's own or a client's. An empty one is as good as none.
#pragma once

#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>

namespace kiln {

// A variable's value by its name, null if it is not set.
using Variables = std::function<const char*(const char* name)>;

// Null: it is not set, or empty.
inline const char* value_of(const char* name, const Variables& variables = ::getenv) {
  const char* const value = variables(name);
  return value != nullptr && value[0] != '\0' ? value : nullptr;
}

// Null where it is not absolute, too: the XDG base directory specification has relative ones ignored.
inline const char* absolute_value_of(const char* name, const Variables& variables = ::getenv) {
  const char* const value = value_of(name, variables);
  return value != nullptr && value[0] == '/' ? value : nullptr;
}

inline std::string text_of(const char* name) {
  const char* const value = value_of(name);
  return value != nullptr ? value : "";
}

// A switch, such as KILN_DISABLE=1.
inline bool is_on(const char* name) {
  const char* const value = value_of(name);
  return value != nullptr && std::string_view(value) != "0";
}

}  // namespace kiln

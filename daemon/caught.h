// Where work begins on another thread, its exceptions end. One is a bug, or memory that has run out: it costs
// the request that the work was for, and not the daemon.
#pragma once

#include <exception>
#include <type_traits>
#include <utility>

#include "common/result.h"

namespace kiln {

// What FUNCTION returns, a Result; an exception is an error of it.
template <class Function>
auto caught(Function&& function) -> std::invoke_result_t<Function> {
  try {
    return std::forward<Function>(function)();
  } catch (const std::exception& exception) {
    return Error{Reason::internal, exception.what(), {}};
  }
}

}  // namespace kiln

// Expected failure is a value: Result<T> holds a T or an Error. Exceptions are for bugs.
#pragma once

#include <boost/system/result.hpp>
#include <string>
#include <utility>

#include "common/reason.h"

namespace kiln {

// What went wrong, in a form that people can read and code can branch on.
struct Error {
  Reason reason = Reason::internal;
  std::string message;  // one sentence without a full stop: "cannot open /x: Permission denied"
  std::string hint;     // the exact command that helps, or empty
};

[[noreturn]] void throw_exception_from_error(const Error& error, const boost::source_location&);

template <class T>
using Result = boost::system::result<T, Error>;

// "WHAT: strerror(errno)", as an Error, with a command where a limit is in the way. Reads errno.
// Of paths: path_error.h.
Error errno_error(std::string what, Reason reason = Reason::system);

}  // namespace kiln

// TRY(expression) is the value of a Result, or returns its error from the enclosing function.
#define TRY(expression)                         \
  ({                                            \
    auto try_result = (expression);             \
    if (!try_result) return try_result.error(); \
    std::move(*try_result);                     \
  })

// The same for Result<void>, which has no value.
#define TRY_VOID(expression)                                                    \
  do {                                                                          \
    if (auto try_result = (expression); !try_result) return try_result.error(); \
  } while (0)

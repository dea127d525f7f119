#include "common/result.h"

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace kiln {

void throw_exception_from_error(const Error& error, const boost::source_location&) {
  throw std::logic_error("value() of a failed Result: " + error.message);
}

Error errno_error(std::string what, Reason reason) {
  what += ": ";
  what += std::strerror(errno);
  return Error{reason, std::move(what), {}};
}

}  // namespace kiln

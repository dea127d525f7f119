#include "common/result.h"

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace kiln {

void throw_exception_from_error(const Error& error, const boost::source_location&) {
  throw std::logic_error("value() of a failed Result: " + error.message);
}

namespace {

// Where it is a limit that is in the way.
const char* limit_hint(int error) {
  switch (error) {
    case EMFILE:
      return "ulimit -n $(ulimit -Hn)";
    case ENFILE:
      return "cat /proc/sys/fs/file-nr";
    case EAGAIN:
      return "ulimit -u";
    case ENOMEM:
      return "free -h";
    default:
      return "";
  }
}

}  // namespace

Error errno_error(std::string what, Reason reason) {
  const int why = errno;
  what += ": ";
  what += std::strerror(why);
  return Error{reason, std::move(what), limit_hint(why)};
}

}  // namespace kiln

#include "daemon/image/stand_in_streams.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/rehearsal.h"

namespace kiln::image {
namespace {

Error unable(const char* what) {
  return errno_error(what, Reason::image_failed);
}

Result<UniqueFd> open_null() {
  UniqueFd fd{::open("/dev/null", O_RDWR | O_CLOEXEC)};
  if (!fd) return unable("cannot open /dev/null");
  return fd;
}

// The end for descriptor NUMBER. The other one is closed: nothing is ever read or written here.
Result<UniqueFd> open_pipe(int number) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return unable("cannot create a pipe");
  UniqueFd reading{ends[0]};
  UniqueFd writing{ends[1]};
  return number == STDIN_FILENO ? std::move(reading) : std::move(writing);
}

Result<UniqueFd> open_socket() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return unable("cannot create a socket");
  UniqueFd other{ends[1]};
  return UniqueFd{ends[0]};
}

Result<UniqueFd> open_file(off_t position) {
  UniqueFd fd{::memfd_create("kiln-stream", MFD_CLOEXEC)};
  if (!fd || ::lseek(fd.get(), position, SEEK_SET) != position) return unable("cannot create a file");
  return fd;
}

Result<UniqueFd> open_terminal(UniqueFd& master) {
  if (!master) master.reset(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  char name[64];
  if (!master || ::unlockpt(master.get()) != 0 || ::ptsname_r(master.get(), name, sizeof name) != 0)
    return unable("cannot create a terminal");
  UniqueFd fd{::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)};
  if (!fd) return unable("cannot open a terminal");
  return fd;
}

Result<UniqueFd> open_stand_in(char kind, int number, UniqueFd& master) {
  switch (kind) {
    case 'n':
      return open_null();
    case 'p':
      return open_pipe(number);
    case 's':
      return open_socket();
    case 'f':
      return open_file(0);
    case 'F':
      return open_file(1);
    case 't':
      return open_terminal(master);
    default:
      return Error{Reason::image_failed, "no stand-in for standard streams of this kind", {}};
  }
}

}  // namespace

Result<UniqueFd> place_stand_in_streams(const std::string& kinds) {
  UniqueFd master;
  int number = 0;
  for (std::size_t at = 0; number < 3 && at < kinds.size(); ++number) {
    const UniqueFd fd = TRY(open_stand_in(kinds[at], number, master));
    if (::dup2(fd.get(), number) < 0) return unable("cannot place a stream");
    at = kinds.find(' ', at) + 1;
    if (at == 0) at = kinds.size();
  }
  // Buffers have the size that the file prefers.
  if (stream_kinds() != kinds)
    return Error{Reason::image_failed, "no stand-in for these standard streams", {}};
  return master;
}

}  // namespace kiln::image

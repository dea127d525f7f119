#include "client/settle.h"

#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "client/connection.h"
#include "client/context.h"

namespace kiln {
namespace {

constexpr timeval kLimit{1, 0};

// There is none, it has nothing to do with us, or it has just not answered.
bool is_out_of_reach(Reason why) {
  switch (why) {
    case Reason::disabled:
    case Reason::no_daemon:
    case Reason::daemon_unreachable:
    case Reason::foreign_user:
    case Reason::namespace_differs:
    case Reason::build_mismatch:
    case Reason::shutting_down:
    case Reason::timeout:
    case Reason::system:  // a time limit of the connection's, too
      return true;
    default:
      return false;
  }
}

// A sandbox may kill who opens a socket.
bool may_open_sockets() {
  const auto context = read_context();
  return context && !context->unshared && ::getauxval(AT_SECURE) == 0;
}

}  // namespace

bool settle_bytecode(Reason why) {
  if (is_out_of_reach(why) || !may_open_sockets()) return false;
  auto connection = Connection::open();
  if (!connection) return false;
  ::setsockopt(connection->fd(), SOL_SOCKET, SO_RCVTIMEO, &kLimit, sizeof kLimit);
  ::setsockopt(connection->fd(), SOL_SOCKET, SO_SNDTIMEO, &kLimit, sizeof kLimit);
  proto::Request request;
  request.mutable_settle();
  if (connection->send(std::move(request))) (void)connection->receive();
  return true;
}

}  // namespace kiln

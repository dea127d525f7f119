#include "client/settle.h"

#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <chrono>

#include "client/connection.h"
#include "client/context.h"

namespace kiln {
namespace {

constexpr std::chrono::seconds kLimit{1};
constexpr int kMostLimits = 30;

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

// A daemon with a storm to look at may be late; one that is stopped is not waited for.
void await_reply(Connection& connection) {
  for (int passed = 0; passed < kMostLimits; ++passed) {
    if (connection.await_answer(kLimit)) return (void)connection.receive();
    if (!Connection::ping(kLimit)) return;
  }
}

}  // namespace

bool settle_bytecode(Reason why) {
  if (is_out_of_reach(why) || !may_open_sockets()) return false;
  auto connection = Connection::open();
  if (!connection) return false;
  const timeval limit{kLimit.count(), 0};
  ::setsockopt(connection->fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(connection->fd(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  proto::Request request;
  request.mutable_settle();
  if (connection->send(std::move(request))) await_reply(*connection);
  return true;
}

}  // namespace kiln

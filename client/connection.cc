#include "client/connection.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "client/daemon_start.h"
#include "common/cache_keeper.h"
#include "common/fd_passing.h"
#include "common/paths.h"
#include "common/version.h"

namespace kiln {
namespace {

// A socket path may be longer than sun_path holds: connect through the directory's descriptor then.
sockaddr_un address_of(const std::string& path, int dir) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string usable = path;
  if (usable.size() >= sizeof address.sun_path) {
    usable = "/proc/self/fd/" + std::to_string(dir) + path.substr(path.rfind('/'));
  }
  std::memcpy(address.sun_path, usable.c_str(), usable.size() + 1);
  return address;
}

constexpr timeval kConnectLimit{10, 0};

Error no_daemon() {
  return {Reason::no_daemon, "no daemon is running", "kiln daemon start"};
}

Error connect_error() {
  if (errno == ENOENT || errno == ECONNREFUSED) return no_daemon();
  // EAGAIN: the time limit has passed, while its backlog was full.
  Error error = errno_error("cannot connect to the daemon",
                            errno == EAGAIN ? Reason::timeout : Reason::daemon_unreachable);
  error.hint = "kiln doctor";
  return error;
}

// To the daemon of the runtime directory DIR, of which nothing is made.
Result<UniqueFd> connect_in(const std::string& dir) {
  const UniqueFd dir_fd = TRY(find_private_dir(dir));
  if (!dir_fd) return no_daemon();
  UniqueFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!fd) return errno_error("cannot create a socket", Reason::daemon_unreachable);
  const sockaddr_un address = address_of(socket_path(dir), dir_fd.get());
  // Where the program's own 0 to 2 are closed they shall stay so: ours must not be taken for one.
  if (fd.get() < 3) fd.reset(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
  // A daemon that hangs has a full backlog before long.
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kConnectLimit, sizeof kConnectLimit);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return connect_error();
  TRY(check_peer(fd.get()));
  return fd;
}

// Empty: there is none to go to.
std::string keepers_runtime_dir() {
  const auto keeper = keeper_to_go_to();
  return keeper ? keeper->runtime_dir : std::string();
}

// By its lock, taken for an instant: systemd may listen in its stead, and would start it for who connects.
bool is_daemon_living(const std::string& dir) {
  const UniqueFd lock{::open(lifetime_lock_path(dir).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
  return lock ? ::flock(lock.get(), LOCK_SH | LOCK_NB) != 0 : errno != ENOENT;
}

Result<UniqueFd> connect_to_living_in(const std::string& dir) {
  if (!is_daemon_living(dir)) return no_daemon();
  return connect_in(dir);
}

// By CONNECT, to one's own daemon or, where there is none, to the cache's keeper.
template <class Connect>
Result<UniqueFd> connect_by(Connect connect) {
  const std::string dir = TRY(runtime_dir());
  auto own = connect(dir);
  if (own || own.error().reason != Reason::no_daemon) return own;
  const std::string other = keepers_runtime_dir();
  if (other.empty() || other == dir) return own;
  auto keepers = connect(other);
  return keepers ? std::move(keepers) : std::move(own);
}

}  // namespace

std::optional<CacheKeeper> keeper_to_go_to() {
  const char* const wanted = std::getenv("KILN_RUNTIME_DIR");
  const auto cache = cache_dir();
  if (!cache || (wanted != nullptr && wanted[0] != '\0')) return std::nullopt;
  auto keeper = keeper_of(*cache);
  return keeper && keeper->mount_namespace == own_mount_namespace() ? keeper : std::nullopt;
}

Result<std::string> serving_runtime_dir() {
  std::string own = TRY(runtime_dir());
  if (::access(socket_path(own).c_str(), F_OK) == 0) return own;
  std::string keepers = keepers_runtime_dir();
  return keepers.empty() ? own : keepers;
}

Result<Connection> Connection::open() {
  return Connection(TRY(connect_by(connect_in)));
}

Result<Connection> Connection::open_living() {
  return Connection(TRY(connect_by(connect_to_living_in)));
}

namespace {

void add_place(proto::Request& request) {
  request.set_mount_namespace(own_mount_namespace());
  struct stat status {};
  if (::stat("/", &status) != 0) return;
  request.set_root_device(status.st_dev);
  request.set_root_inode(status.st_ino);
}

// Of what failed with ERROR: a peer that is gone is a daemon that has ended.
Error of_daemon(const Error& error) {
  if (error.reason != Reason::image_lost) return error;
  return {Reason::no_daemon, "the daemon has ended before it answered", "the same again starts another"};
}

}  // namespace

Result<void> Connection::send(proto::Request request) {
  add_place(request);
  request.set_protocol(kProtocolVersion);
  request.set_build_id(std::string(build_id()));
  const auto sent =
      send_with_fds(fd_.get(), encode_frame(FrameType::request, request.SerializeAsString()), {});
  return sent ? sent : of_daemon(sent.error());
}

Result<proto::Reply> Connection::receive(std::vector<UniqueFd>* fds) {
  auto answer = receive_frame(fd_.get());
  if (!answer) return of_daemon(answer.error());
  ReceivedFrame received = std::move(*answer);
  proto::Reply reply;
  if (received.frame.type != FrameType::reply || !reply.ParseFromString(received.frame.payload)) {
    return Error{Reason::protocol, "the daemon sent something that is not a reply", "kiln daemon restart"};
  }
  if (reply.has_refusal()) {
    const auto reason = reason_from_word(reply.refusal().reason());
    return Error{reason.value_or(Reason::protocol), reply.refusal().detail(), reply.refusal().hint()};
  }
  if (fds != nullptr) *fds = std::move(received.fds);
  return reply;
}

Result<void> Connection::await_answer(std::chrono::milliseconds limit) {
  pollfd waited{fd_.get(), POLLIN, 0};
  int ready = 0;
  while ((ready = ::poll(&waited, 1, static_cast<int>(limit.count()))) < 0 && errno == EINTR) {
  }
  if (ready > 0) return {};
  const std::string pid = std::to_string(TRY(check_peer(fd_.get())));
  return Error{Reason::timeout, "the daemon, pid " + pid + ", does not answer; it may be stopped",
               "kill -CONT " + pid};
}

namespace {

// A request without content.
Result<void> ask_for_an_answer(Connection& connection, std::chrono::milliseconds limit) {
  TRY_VOID(connection.send({}));
  TRY_VOID(connection.await_answer(limit));
  TRY(connection.receive());
  return {};
}

}  // namespace

Result<void> Connection::ping(std::chrono::milliseconds limit) {
  Connection connection = TRY(open());
  return ask_for_an_answer(connection, limit);
}

Result<Connection> Connection::open_or_start() {
  auto alive = ping();
  if (!alive && alive.error().reason == Reason::build_mismatch) {
    TRY_VOID(stop_daemon());
    alive = Error{Reason::no_daemon, "", {}};
  }
  if (!alive && alive.error().reason == Reason::no_daemon) alive = start_daemon();
  if (!alive) return alive.error();
  auto connection = open();
  const bool ended = !connection && connection.error().reason == Reason::no_daemon;  // between the two
  if (!ended) return connection;
  TRY_VOID(start_daemon());
  return open();
}

}  // namespace kiln

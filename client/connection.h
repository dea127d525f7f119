// Talking to the daemon: connect, start one when none is there, send a request, read replies.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "common/cache_keeper.h"
#include "common/frame.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "proto/kiln.pb.h"

namespace kiln {

// The daemon that keeps the cache, for who has none of his own. Nothing: there is none, it sees other files,
// or KILN_RUNTIME_DIR says that another is wanted.
std::optional<CacheKeeper> keeper_to_go_to();

// Of the daemon that one goes to, without asking it; one's own where there is none.
Result<std::string> serving_runtime_dir();

class Connection {
 public:
  static constexpr std::chrono::milliseconds kAnswerLimit{5'000};

  // Connects to the living daemon, of the runtime directory, or else the one that keeps the cache
  // (common/cache_keeper.h); no directory is made. Fails with Reason::no_daemon when there is none,
  // daemon_unreachable when a socket is there but cannot be used, foreign_user when directory or daemon
  // belong to somebody else.
  static Result<Connection> open();

  // The same, of a daemon that lives already: where systemd listens, open() has one started.
  static Result<Connection> open_living();

  // The same, but starts a daemon (and replaces one of another build) and waits until it answers.
  static Result<Connection> open_or_start();

  // Sends REQUEST, filling in protocol and build id.
  Result<void> send(proto::Request request);

  // Waits for the beginning of an answer that a daemon gives at once, whatever it does. Reason::timeout: it
  // does not, as one that is stopped.
  Result<void> await_answer(std::chrono::milliseconds limit = kAnswerLimit);
  // Asks a living daemon for such an answer: is it there, and of our build?
  static Result<void> ping(std::chrono::milliseconds limit = kAnswerLimit);

  // The daemon's next reply; blocks. A Refusal comes back as an Error. FDS, if given, gets what came with it.
  Result<proto::Reply> receive(std::vector<UniqueFd>* fds = nullptr);

  int fd() const { return fd_.get(); }

 private:
  explicit Connection(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace kiln

// Serves precompile requests: runs each on a thread of its own and streams its events to the client.
#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <optional>
#include <stop_token>
#include <string>

#include "daemon/compiler_pool.h"
#include "daemon/index_thread.h"
#include "daemon/known_interpreters.h"
#include "daemon/overlay.h"
#include "daemon/precompile.h"
#include "daemon/precompile_memory.h"
#include "daemon/session.h"
#include "daemon/write_behind_store.h"
#include "proto/kiln.pb.h"

namespace kiln {

// Puts what was done into the index, and what can lie in the overlay only into that. UMASK is the user's.
void keep_results(PrecompiledBatch batch, std::uint32_t umask, IndexThread& index, Overlay& overlay);

class PrecompileService {
 public:
  // WATCHER: as of PrecompileMemory.
  PrecompileService(IndexThread& index, WriteBehindStore& store, Overlay& overlay, Watcher* watcher = nullptr)
      : index_(index), store_(store), overlay_(overlay), memory_(watcher) {}
  ~PrecompileService();

  // Ends when the work is done. A client that hangs up withdraws its request.
  boost::asio::awaitable<void> serve(Session& session, const proto::PrecompileRequest& request);

  // Has all requests end early. Does not wait for them.
  void stop() { stopped_.request_stop(); }

  // Blocks until no request is served or waits: for work that nobody waits for.
  void wait_until_idle();

  // What does not compile was found out by another: it is asked of the index again.
  void forget_known_errors();

  // Lets go of compile workers that nobody has wanted for a minute, and of memory that is not used. To be
  // called now and then.
  void tend();

 private:
  struct Job;
  boost::asio::awaitable<void> stream(Session& session, Job& job);
  void run(Job& job);
  Result<proto::PrecompileEvent::Summary> work(Job& job);
  MadeFiles made_files(const proto::PrecompileRequest& request);
  const KnownErrors& known_errors();

  IndexThread& index_;
  WriteBehindStore& store_;
  Overlay& overlay_;
  CompilerPool compilers_;
  PrecompileMemory memory_;
  std::optional<KnownErrors> known_errors_;  // once they were read from the index; kept up here
  std::stop_source stopped_;
  KnownInterpreters interpreters_;
  std::atomic<std::size_t> wanted_{0};  // requests that are served or wait
  // The thread that probes and drives: requests that come together take turns, for each already has as many
  // workers as there are CPUs.
  boost::asio::thread_pool thread_{1};
};

}  // namespace kiln

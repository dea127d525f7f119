// Serves precompile requests: runs each on a thread of its own and streams its events to the client.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <map>
#include <stop_token>
#include <string>

#include "daemon/index_thread.h"
#include "daemon/session.h"
#include "proto/kiln.pb.h"

namespace kiln {

class PrecompileService {
 public:
  explicit PrecompileService(IndexThread& index) : index_(index) {}
  ~PrecompileService();

  // Ends when the work is done. A client that hangs up withdraws its request.
  boost::asio::awaitable<void> serve(Session& session, const proto::PrecompileRequest& request);

  // Has all requests end early. Does not wait for them.
  void stop() { stopped_.request_stop(); }

 private:
  struct Job;
  boost::asio::awaitable<void> stream(Session& session, Job& job);
  void run(Job& job);
  Result<proto::PrecompileEvent::Summary> work(Job& job);
  Result<InterpreterInfo> interpreter(const std::string& path);

  IndexThread& index_;
  std::stop_source stopped_;
  // Known interpreters, and the thread that probes and drives: requests that come together take turns, for
  // each already has as many workers as there are CPUs.
  std::map<std::string, InterpreterInfo> interpreters_;
  boost::asio::thread_pool thread_{1};
};

}  // namespace kiln

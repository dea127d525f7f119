// Answers `kiln explain FILE`: what the index knows of it, and how it is at this moment.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <string>

#include "daemon/index_thread.h"
#include "daemon/session.h"
#include "daemon/watch_service.h"
#include "proto/kiln.pb.h"

namespace kiln {

class ExplainService {
 public:
  // Both outlive this. OVERLAY: where common/overlay.h's files lie.
  ExplainService(IndexThread& index, const WatchService& watch, std::string overlay)
      : index_(index), watch_(watch), overlay_(std::move(overlay)) {}

  boost::asio::awaitable<void> serve(Session& session, const proto::ExplainRequest& request);

 private:
  boost::asio::awaitable<Result<KnownFile>> find(std::string path);
  // Not coroutines themselves, so that no lambda is a temporary of a co_await (see blocking.h).
  boost::asio::awaitable<Result<std::vector<std::string>>> names(std::string path);
  boost::asio::awaitable<Result<proto::ExplainReply>> look(KnownFile file, std::string path);
  // FILE as its files are. PATH is what was asked for.
  Result<proto::ExplainReply> look_here(const KnownFile& file, const std::string& path);
  // What there is to say of a file that the index has not.
  boost::asio::awaitable<Result<KnownFile>> unmet(std::string path);

  IndexThread& index_;
  const WatchService& watch_;
  const std::string overlay_;
  boost::asio::thread_pool thread_{1};  // looks at files; a slow disk must not hold up the index
};

}  // namespace kiln

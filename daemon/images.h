// The images that serve runs: which there are, which serves a run, which must be started, which are no longer
// true.
//
// An image belongs to one key (proto::ImageKey: interpreter, options, start-up environment, context). Where
// start-up code of the user's own (.pth files, sitecustomize) looked at variables, it belongs to their values
// besides. It is valid as long as every path that its start read, listed or found absent is as it was
// (program_inputs.h). An interpreter that cannot be an image leaves a failure under its key,
// so that it is not tried again until one of those paths changes.
//
// The daemon never forks an interpreter itself: the client that wants an image starts it, in its own context.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/file_stamp.h"
#include "common/image_channel.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/environment.h"
#include "daemon/event.h"
#include "daemon/program_images.h"
#include "daemon/program_inputs.h"
#include "daemon/task_group.h"
#include "proto/kiln.pb.h"

namespace kiln {

class Images {
 public:
  using Clock = std::chrono::steady_clock;

  // LIMIT: images, and remembered failures, kept at once. WATCHER and TASKS outlive this.
  Images(boost::asio::any_io_executor executor, TaskGroup& tasks, Watcher& watcher, std::size_t limit);

  struct HandedOver {};
  struct Start {
    UniqueFd channel;  // the image's end
  };
  using Decision = std::variant<HandedOver, Start, Error>;

  // Hands CONNECTION to an image, or says what to do instead. CONNECTION stays the caller's, who closes it.
  // RUN_AHEAD: it may be a program at its stop, and the run may be the reason to make one (program_images.h).
  Decision route(const proto::RunRequest& request, int connection, bool run_ahead);

  // As route() has a run start an image where there is none. Nothing: there is one.
  std::optional<Start> start_if_missing(const proto::RunRequest& request);
  // Has the program of REQUEST run ahead by its image, which may just be starting, and returns when it stands
  // at its last stop, or cannot be brought there. REQUEST must stay.
  boost::asio::awaitable<void> run_ahead(const proto::RunRequest& request);

  // What route() would do, but for starting an image.
  void explain(const proto::RunRequest& request, bool run_ahead, proto::ExplainRunReply& reply);

  // From now on it is LIMIT; the images beyond it go at once.
  void set_limit(std::size_t limit);
  void set_memory_limit(std::uint64_t bytes) { programs_.set_memory_limit(bytes); }
  // Due now and then.
  void tend();

  // Programs that have not ended yet.
  std::uint64_t running() const;

  // Appends one entry an image or failure.
  void describe(proto::Status& status) const;

  // Told of every interpreter that greeted: path, greeting.
  std::function<void(const std::string&, const ImageGreeting&)> on_greeting;

  // Told of what a run of an interpreter compiled in vain: path, greeting, sources.
  std::function<void(const std::string&, const ImageGreeting&, const UncachedSources&)> on_uncached;

  // Told of every run that has ended: path, greeting. With SAME_IMPORTS, as the last run of the same program
  // in this image had them, RunRecord::imported is left out.
  std::function<void(const std::string&, const ImageGreeting&, const RunRecord&, bool same_imports)> on_run;

  // Told of every run that has ended and went on from where its program was run ahead to: what computing it
  // was spared.
  std::function<void(std::chrono::microseconds)> on_warm_run;

  // Lets go of all images: they end after the last of their programs.
  void close();

 private:
  enum class State { starting, ready, outdated, failed };
  struct Image {
    explicit Image(boost::asio::posix::stream_descriptor socket) : channel(std::move(socket)) {}
    proto::ImageKey key;
    std::string key_bytes;
    Environment environment;  // it was started with
    State state = State::starting;
    Error failure;
    int failures = 0;  // of this and those before it that failed for the same key
    ImageGreeting greeting;
    std::optional<ProgramInputs> inputs;  // those that are known: of one that starts, the interpreter alone
    Clock::time_point since = Clock::now();
    Clock::time_point last_used = Clock::now();
    std::int64_t started_ns = 0;  // wall clock: compared with the times of files
    std::uint64_t handed_over = 0;
    ImageReport report;
    boost::asio::posix::stream_descriptor channel;
  };
  // Shared with the coroutine that listens to it: that may be due to run when the image is let go.
  using ImagePointer = std::shared_ptr<Image>;

  ImagePointer find(const std::string& key_bytes, const proto::RunRequest& request);
  Decision decide(Image& image, int connection);
  Decision start(const proto::RunRequest& request, std::string key_bytes);
  Decision restart(const ImagePointer& image, const proto::RunRequest& request, std::string key_bytes);
  boost::asio::awaitable<void> listen(ImagePointer image);
  void end(const ImagePointer& image);
  bool receive(Image& image);
  void note(Image& image, ImageReport report);
  std::string take_inputs(Image& image, const std::vector<std::string>& paths);
  void greet(Image& image, const ImageGreeting& greeting);
  void fail(Image& image, Error error);
  static bool is_obsolete(Image& image);
  static std::string state_text(const Image& image);
  void keep_at_most(std::size_t count);
  void rehearse(const std::string& key_bytes);

  boost::asio::any_io_executor executor_;
  TaskGroup& tasks_;
  Watcher& watcher_;
  std::size_t limit_;
  void let_go(const ImagePointer& image);

  std::list<ImagePointer> images_;
  ProgramImages programs_;
  Event changed_;  // an image has got ready, or failed, or a program has come to its stop
};

}  // namespace kiln

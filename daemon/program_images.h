// Programs that were run ahead, and stopped at their first step (daemon/image/rehearsal.h): which there are,
// and which of them may be the program of a run.
//
// A program is run ahead after a run of it has ended, in a child of the bare image that served that run, with
// that run's launch: one at a time. It may serve a run that would have brought it to the same place: of the
// same bare image's key, with the same launch (target, limits, signal mask, ... ), the same kinds of standard
// streams, the same values of the variables that it has read, the same arguments and working directory if it
// has looked at them; and as long as all files and directories that it has looked at are as they were. That
// is looked at for every run.
//
// Where it was about to look into its own project, a seed stays behind (daemon/image/seed.h): after an edit,
// the same run is rehearsed from there.
//
// What could not be rehearsed is remembered, so that it is not tried again at once.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/image_channel.h"
#include "common/rehearsal.h"
#include "common/unique_fd.h"
#include "daemon/environment.h"
#include "daemon/program_inputs.h"
#include "daemon/task_group.h"
#include "daemon/watch/watcher.h"
#include "proto/kiln.pb.h"

namespace kiln {

class ProgramImages {
 public:
  using Clock = std::chrono::steady_clock;

  // WATCHER and TASKS outlive this.
  ProgramImages(boost::asio::any_io_executor executor, TaskGroup& tasks, Watcher& watcher, std::size_t limit);
  ~ProgramImages() { close(); }
  ProgramImages(const ProgramImages&) = delete;
  ProgramImages& operator=(const ProgramImages&) = delete;

  // Hands CONNECTION to the image that is furthest on the way of this run, if there is one. KEY: the bare
  // image's. CONNECTION stays the caller's.
  bool serve(const std::string& key, const proto::RunRequest& request, int connection);

  // Which stops of this run's program there are, and whether one of them would serve it.
  bool explain(const std::string& key, const proto::RunRequest& request, proto::ExplainRunReply& reply);

  // A run that a bare image, or one before the program's arguments, was given: it may be worth rehearsing.
  void remember(const std::string& key, const proto::RunRequest& request);
  // As if it had been such a run, of a program that is run again and again. What stands at its last stop
  // already is left as it is, if that still holds.
  void want(const std::string& key, const proto::RunRequest& request);
  // It is to be rehearsed, or just is.
  bool is_due(const std::string& key, const proto::RunRequest& request) const;
  // It stands at its last stop, or it is known that it comes to none.
  bool is_settled(const std::string& key, const proto::RunRequest& request) const;
  // The bare image has nothing to do at this moment: it may rehearse what was remembered for its key.
  // CHANNEL: to it.
  void rehearse(const std::string& key, const ImageGreeting& greeting, int channel);

  // All images of this key go: what starting the interpreter depended on has changed.
  void forget(const std::string& key);

  void set_limit(std::size_t limit);
  // Of what all of them take together, less what they share; never more than a quarter of the machine's.
  void set_memory_limit(std::uint64_t bytes);
  // Due now and then: those beyond the limit go, and half of them where memory is short; and what is run
  // ahead for longer than it may, by itself (daemon/image/rehearsal.cc), is killed: it hangs, and lets
  // nothing else be run ahead.
  void tend(Clock::time_point now = Clock::now());
  std::uint64_t running() const;
  void describe(proto::Status& status) const;
  void close();

  // An image has come to its stop, or is gone.
  std::function<void()> on_change;
  // There may be something to rehearse for this key.
  std::function<void(const std::string& key)> on_due;

  // As Images has them.
  std::function<void(const std::string&, const ImageGreeting&, const UncachedSources&)> on_uncached;
  std::function<void(const std::string&, const ImageGreeting&, const RunRecord&, bool same_imports)> on_run;
  std::function<void(std::chrono::microseconds)> on_warm_run;

 private:
  // A run to repeat.
  struct Rehearsed {
    std::string key;
    std::string python;
    proto::RunRequest request;
    Launch launch;
    std::string likeness;  // of the launch, without arguments
    Environment environment;
    UniqueFd seed;  // the daemon's end of its socket, until the image that stops there is known
    std::shared_ptr<Rehearsed> from;  // whose seed this went on from, if it did
    std::size_t from_depth = 0;
    bool was_wanted = false;   // by want()
    bool has_stopped = false;  // a rehearsal came to a stop, whatever that was good for
    bool has_served = false;   // an image of it served a run
  };
  struct Image {
    explicit Image(boost::asio::posix::stream_descriptor socket) : channel(std::move(socket)) {}
    std::shared_ptr<Rehearsed> of;
    std::size_t depth = 0;                // of the stops of one rehearsal, the later are further
    ImageGreeting greeting;               // of the bare image
    std::optional<RehearsalReport> stop;  // without its inputs; nothing: it is on its way
    std::unique_ptr<ProgramInputs> inputs;
    UniqueFd seed;  // of those that go on from here
    std::int64_t started_ns = 0;
    Clock::time_point since = Clock::now();
    UniqueFd process;  // a pidfd, of the one that is on its way
    Clock::time_point last_used = Clock::now();
    std::uint64_t handed_over = 0;
    ImageReport report;
    boost::asio::posix::stream_descriptor channel;
  };
  using ImagePointer = std::shared_ptr<Image>;
  // A rehearsal that left nothing, or a run that was seen once with arguments of its own.
  struct Seen {
    std::string identity;
    int times = 0;
    int in_vain = 0;                 // rehearsals of it, in a row, that served no run
    int failures = 0;                // rehearsals of it, in a row, that came to no stop at all
    Clock::time_point not_before{};  // it is tried again
  };

  static std::shared_ptr<Rehearsed> rehearsed(const std::string& key, const proto::RunRequest& request);
  static std::string identity_of(const Rehearsed& run);
  static bool suits_start(const Image& image, const Rehearsed& run);
  static bool suits(const Image& image, const Rehearsed& run);
  static bool inputs_hold(Image& image);
  static std::string unsuited(Image& image, const Rehearsed& run);
  static void describe(const Image& image, proto::Status::Image& described);
  bool is_worth_it(const Rehearsed& run) const;
  bool is_in_vain(const Rehearsed& run) const;
  Seen& seen(const std::string& identity);
  std::shared_ptr<Rehearsed> next_of(const std::string& key);
  void settle(const Rehearsed& run);
  ImagePointer stop_before_edit(const Rehearsed& run);
  void rehearse_from_start(const std::shared_ptr<Rehearsed>& run, const ImageGreeting& greeting, int channel);
  bool rehearse_from(const ImagePointer& stop, const std::shared_ptr<Rehearsed>& run);
  struct Made {
    std::vector<UniqueFd> theirs;  // their ends of the channels
    std::vector<ImagePointer> images;
  };
  std::optional<Made> make_images(const std::shared_ptr<Rehearsed>& run, const ImageGreeting& greeting,
                                  std::size_t first_depth);
  void expect(const std::vector<ImagePointer>& made);
  void supersede(const Rehearsed& run);
  boost::asio::awaitable<void> listen(ImagePointer image);
  void end(const ImagePointer& image);
  bool receive(Image& image);
  bool take_report(Image& image, int fd);
  void end_overdue(Clock::time_point now);
  void keep_at_most(std::size_t count);
  void keep_within_memory();
  ImagePointer least_used() const;
  void let_go(ImagePointer image);

  boost::asio::any_io_executor executor_;
  TaskGroup& tasks_;
  Watcher& watcher_;
  std::size_t limit_;
  std::uint64_t memory_limit_ = std::numeric_limits<std::uint64_t>::max();
  std::list<ImagePointer> images_;
  std::list<std::shared_ptr<Rehearsed>> remembered_;
  std::list<Seen> seen_;
};

}  // namespace kiln

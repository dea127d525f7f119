#include "daemon/program_images.h"

#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <utility>

#include "common/fd_passing.h"
#include "daemon/channel.h"
#include "daemon/process_memory.h"

namespace kiln {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kRemembered = 16;
constexpr std::size_t kSeen = 1024;
constexpr int kOften = 2;  // runs with the same arguments, which make them worth images of their own
constexpr std::uint64_t kProcesses = 3;  // an image, with its spare children; a seed is one more
// After a rehearsal that came while files still changed; and after the first failure, which may have been the
// machine's (it was slow, or short of memory). Each doubles.
constexpr std::chrono::milliseconds kSettles{100};
constexpr std::chrono::milliseconds kTryAgainAfter{1'000};
constexpr int kMostDoublings = 13;
constexpr std::chrono::seconds kHangs{70};  // a rehearsal gives up by itself after 60

// What must be equal of two launches for one program to be the other, up to its arguments.
std::string likeness_of(Launch launch) {
  launch.arguments.clear();
  launch.command_line.clear();
  launch.environment.clear();
  launch.process_group = 0;
  return encode_launch(launch);
}

std::string by_whom(const RehearsalReport& stop) {
  return stop.places.size() > 1 ? ", by " + stop.places.front() : std::string();
}

std::optional<std::string> read_all(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0 || status.st_size > static_cast<off_t>(kMaxRehearsalMessage))
    return std::nullopt;
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  if (::pread(fd, text.data(), text.size(), 0) != status.st_size) return std::nullopt;
  return text;
}

UniqueFd packed(const std::string& text) {
  UniqueFd fd{::memfd_create("kiln-order", MFD_CLOEXEC)};
  std::size_t at = 0;
  while (fd && at < text.size()) {
    const ssize_t written = ::write(fd.get(), text.data() + at, text.size() - at);
    if (written <= 0) return {};
    at += static_cast<std::size_t>(written);
  }
  return fd;
}

std::vector<int> numbers_of(const std::vector<UniqueFd>& fds) {
  std::vector<int> numbers;
  for (const UniqueFd& fd : fds) numbers.push_back(fd.get());
  return numbers;
}

}  // namespace

ProgramImages::ProgramImages(asio::any_io_executor executor, TaskGroup& tasks, Watcher& watcher,
                             std::size_t limit)
    : executor_(std::move(executor)), tasks_(tasks), watcher_(watcher), limit_(limit) {}

std::shared_ptr<ProgramImages::Rehearsed> ProgramImages::rehearsed(const std::string& key,
                                                                   const proto::RunRequest& request) {
  if (request.launch().empty() || request.cwd().empty()) return nullptr;
  auto launch = decode_launch(request.launch());
  if (!launch) return nullptr;
  auto run = std::make_shared<Rehearsed>();
  run->key = key;
  run->python = request.key().python();
  run->request = request;
  run->launch = std::move(*launch);
  run->likeness = likeness_of(run->launch);
  for (const auto& module : request.trusted()) run->likeness += '\0' + module;
  run->environment = Environment(request.environment());
  return run;
}

std::string ProgramImages::identity_of(const Rehearsed& run) {
  std::string identity =
      run.key + '\0' + run.likeness + '\0' + run.request.cwd() + '\0' + run.request.streams();
  for (const std::string& argument : run.launch.arguments) identity += '\0' + argument;
  return identity;
}

// As the bare image that it was forked from had to (daemon/images.h).
bool ProgramImages::suits_start(const Image& image, const Rehearsed& run) {
  const Environment& environment = image.of->environment;
  return image.greeting.whole_environment != 0 ? environment.equals(run.environment)
                                               : environment.agrees(run.environment, image.greeting.reads);
}

bool ProgramImages::suits(const Image& image, const Rehearsed& run) {
  if (!image.stop || image.of->key != run.key || image.of->likeness != run.likeness) return false;
  if (!suits_start(image, run)) return false;
  const RehearsalReport& stop = *image.stop;
  if (image.of->request.streams() != run.request.streams()) return false;
  if (stop.has_read_arguments && image.of->launch.arguments != run.launch.arguments) return false;
  if (stop.has_read_cwd && image.of->request.cwd() != run.request.cwd()) return false;
  return stop.needs_whole_environment ? image.of->environment.equals(run.environment) &&
                                            image.of->environment.agrees(run.environment, stop.variables)
                                      : image.of->environment.agrees(run.environment, stop.variables);
}

bool ProgramImages::inputs_hold(Image& image) {
  if (image.inputs->hold()) return true;
  spdlog::info("{} has changed since {} {} was run ahead", image.inputs->changed(), image.of->python,
               image.stop->entry);
  return false;
}

bool ProgramImages::serve(const std::string& key, const proto::RunRequest& request, int connection) {
  if (images_.empty()) return false;
  const auto run = rehearsed(key, request);
  if (run == nullptr) return false;
  std::vector<ImagePointer> candidates;
  for (const ImagePointer& image : images_) {
    if (suits(*image, *run)) candidates.push_back(image);
  }
  std::ranges::stable_sort(candidates, std::greater<>{},
                           [](const ImagePointer& image) { return image->depth; });
  for (const ImagePointer& image : candidates) {
    if (!inputs_hold(*image)) {
      let_go(image);
      continue;
    }
    const std::array fds{connection};
    if (!send_with_fds(image->channel.native_handle(), std::string(1, kRun), fds)) continue;
    ++image->handed_over;
    image->last_used = Clock::now();
    image->of->has_served = true;
    if (!image->stop->is_last) remember(key, request);
    return true;
  }
  return false;
}

ProgramImages::Seen& ProgramImages::seen(const std::string& identity) {
  const auto found = std::ranges::find(seen_, identity, &Seen::identity);
  if (found != seen_.end()) return *found;
  if (seen_.size() >= kSeen) seen_.pop_back();
  return seen_.emplace_front(Seen{identity});
}

// There is no image for it yet that is as far as it can be; and where there is one for other arguments, it
// has been run more than once.
bool ProgramImages::is_worth_it(const Rehearsed& run) const {
  const auto known = std::ranges::find(seen_, identity_of(run), &Seen::identity);
  if (known != seen_.end() && Clock::now() < known->not_before) return false;
  bool is_of_known_program = false;
  for (const ImagePointer& image : images_) {
    if (image->of->key != run.key || image->of->likeness != run.likeness ||
        image->of->request.streams() != run.request.streams())
      continue;
    if (!image->stop) return false;  // on its way
    is_of_known_program = true;
    if (image->stop->is_last && suits(*image, run)) return false;
  }
  return !is_of_known_program || (known != seen_.end() && known->times >= kOften);
}

// The more images of the very same run served nobody, the longer it takes until it is run ahead again. So a
// variable that is another in each run costs no more and more work.
void ProgramImages::settle(const Rehearsed& run) {
  const std::string identity = identity_of(run);
  const bool in_vain = std::ranges::any_of(images_, [&](const ImagePointer& image) {
    return !image->of->has_served && identity_of(*image->of) == identity;
  });
  Seen& known = seen(identity);
  known.in_vain = in_vain ? std::min(known.in_vain + 1, kMostDoublings) : 0;
  known.not_before = Clock::now() + kSettles * (1 << known.in_vain);
}

// There are newer images of RUN now. Those that it came by are as good as ever.
void ProgramImages::supersede(const Rehearsed& run) {
  const std::string identity = identity_of(run);
  for (const ImagePointer& image : std::list<ImagePointer>(images_)) {
    const bool is_on_its_way = image->of == run.from && image->depth <= run.from_depth;
    if (image->of.get() != &run && !is_on_its_way && identity_of(*image->of) == identity) let_go(image);
  }
}

void ProgramImages::remember(const std::string& key, const proto::RunRequest& request) {
  const auto run = rehearsed(key, request);
  if (run == nullptr) return;
  const std::string identity = identity_of(*run);
  ++seen(identity).times;
  if (!is_worth_it(*run)) return;
  std::erase_if(remembered_, [&](const auto& other) { return identity_of(*other) == identity; });
  if (remembered_.size() >= kRemembered) remembered_.pop_front();
  remembered_.push_back(run);
}

void ProgramImages::want(const std::string& key, const proto::RunRequest& request) {
  const auto run = rehearsed(key, request);
  if (run == nullptr) return;
  for (const ImagePointer& image : std::list<ImagePointer>(images_)) {
    if (suits(*image, *run) && !inputs_hold(*image)) let_go(image);
  }
  Seen& known = seen(identity_of(*run));
  known.times = std::max(known.times, kOften);
  known.not_before = {};
  remember(key, request);
  for (const auto& other : remembered_) {
    if (identity_of(*other) == known.identity) other->was_wanted = true;
  }
}

bool ProgramImages::is_due(const std::string& key, const proto::RunRequest& request) const {
  const auto run = rehearsed(key, request);
  if (run == nullptr) return false;
  const std::string identity = identity_of(*run);
  const auto is_it = [&](const auto& other) { return identity_of(*other) == identity; };
  return std::ranges::any_of(remembered_, is_it) ||
         std::ranges::any_of(images_,
                             [&](const ImagePointer& image) { return !image->stop && is_it(image->of); });
}

bool ProgramImages::is_settled(const std::string& key, const proto::RunRequest& request) const {
  const auto run = rehearsed(key, request);
  return run == nullptr || is_in_vain(*run) || std::ranges::any_of(images_, [&](const ImagePointer& image) {
           // Its own rehearsal may have written bytecode that it had looked for in vain.
           return image->stop && image->stop->is_last && suits(*image, *run) && image->inputs->hold();
         });
}

bool ProgramImages::is_in_vain(const Rehearsed& run) const {
  const auto known = std::ranges::find(seen_, identity_of(run), &Seen::identity);
  return known != seen_.end() && known->failures > 0 && Clock::now() < known->not_before;
}

// The last one that was remembered for KEY, if it is still worth it.
std::shared_ptr<ProgramImages::Rehearsed> ProgramImages::next_of(const std::string& key) {
  for (auto at = remembered_.end(); at != remembered_.begin();) {
    --at;
    if ((*at)->key != key) continue;
    const auto run = *at;
    at = remembered_.erase(at);
    if (is_worth_it(*run)) return run;
  }
  return nullptr;
}

void ProgramImages::rehearse(const std::string& key, const ImageGreeting& greeting, int channel) {
  const bool is_busy = std::ranges::any_of(images_, [](const ImagePointer& image) { return !image->stop; });
  const auto run = is_busy ? nullptr : next_of(key);
  if (run == nullptr) return;
  settle(*run);
  keep_at_most(limit_ - std::min(limit_, kRehearsalStops));
  const auto before = stop_before_edit(*run);
  if (before != nullptr && rehearse_from(before, run)) return;
  rehearse_from_start(run, greeting, channel);
}

// Of a rehearsal of the very same run, where it was about to look into its project, if all is as it was
// there.
ProgramImages::ImagePointer ProgramImages::stop_before_edit(const Rehearsed& run) {
  const std::string identity = identity_of(run);
  if (seen(identity).failures > 0) return nullptr;
  for (const ImagePointer& image : images_) {
    const Rehearsed& of = *image->of;
    if (!image->seed || identity_of(of) != identity || !of.environment.equals(run.environment)) continue;
    if ((of.was_wanted || !run.was_wanted) && inputs_hold(*image)) return image;
  }
  return nullptr;
}

bool ProgramImages::rehearse_from(const ImagePointer& stop, const std::shared_ptr<Rehearsed>& run) {
  run->from = stop->of;
  run->from_depth = stop->depth;
  const auto made = make_images(run, stop->greeting, stop->depth + 1);
  if (!made) return false;
  const std::vector<int> fds = numbers_of(made->theirs);
  if (fds.empty() || !send_with_fds(stop->seed.get(), std::string(1, kRehearse), fds)) return false;
  spdlog::debug("{} {} is run ahead from where it looks into its project", run->python, run->launch.target);
  expect(made->images);
  return true;
}

void ProgramImages::rehearse_from_start(const std::shared_ptr<Rehearsed>& run, const ImageGreeting& greeting,
                                        int channel) {
  RehearsalOrder order{run->launch,
                       run->request.cwd(),
                       run->request.streams(),
                       run->was_wanted,
                       {run->request.trusted().begin(), run->request.trusted().end()},
                       memory_limit_};
  order.launch.environment.assign(run->request.environment().begin(), run->request.environment().end());
  const UniqueFd message = packed(encode_rehearsal_order(order));
  const auto made = message ? make_images(run, greeting, 0) : std::nullopt;
  if (!made) return;
  auto seed = make_channel();
  if (!seed) return;
  std::vector<int> fds = numbers_of(made->theirs);
  fds.insert(fds.begin(), message.get());
  fds.push_back(seed->theirs.get());
  if (!send_with_fds(channel, std::string(1, kRehearse), fds)) return;
  run->from = nullptr;
  run->seed = std::move(seed->ours);
  spdlog::debug("{} {} is run ahead", run->python, run->launch.target);
  expect(made->images);
}

std::optional<ProgramImages::Made> ProgramImages::make_images(const std::shared_ptr<Rehearsed>& run,
                                                              const ImageGreeting& greeting,
                                                              std::size_t first_depth) {
  Made made;
  for (std::size_t depth = first_depth; depth < kRehearsalStops; ++depth) {
    auto channel = make_channel();
    if (!channel) return std::nullopt;
    made.theirs.push_back(std::move(channel->theirs));
    const auto image =
        std::make_shared<Image>(asio::posix::stream_descriptor(executor_, channel->ours.release()));
    image->of = run;
    image->depth = depth;
    image->greeting = greeting;
    image->started_ns = file_time_now_ns();
    made.images.push_back(image);
  }
  return made;
}

void ProgramImages::expect(const std::vector<ImagePointer>& made) {
  for (const ImagePointer& image : made) {
    images_.push_back(image);
    tasks_.spawn(listen(image));
  }
}

asio::awaitable<void> ProgramImages::listen(ImagePointer image) {
  while (co_await is_readable(image->channel)) {
    const bool goes_on = receive(*image);
    if (!goes_on) end(image);
    if (on_change) on_change();
    if (!goes_on) co_return;
  }
}

// Its process is gone, or what it says is of no use.
void ProgramImages::end(const ImagePointer& image) {
  let_go(image);
  const bool has_sibling =
      std::ranges::any_of(images_, [&](const ImagePointer& other) { return other->of == image->of; });
  if (has_sibling) return;
  if (!image->stop) {
    Seen& known = seen(identity_of(*image->of));
    known.failures = image->of->has_stopped ? 0 : std::min(known.failures + 1, kMostDoublings);
    known.not_before =
        Clock::now() + (known.failures > 0 ? kTryAgainAfter * (1 << (known.failures - 1)) : kSettles);
    if (known.failures > 0)
      spdlog::info("{} {} could not be run ahead", image->of->python, image->of->launch.target);
  }
  if (on_due) on_due(image->of->key);
}

// One message. False: there will be no more.
bool ProgramImages::receive(Image& image) {
  auto message = receive_with_fds(image.channel.native_handle(), kMaxChannelMessage, MSG_DONTWAIT);
  if (!message || message->bytes.empty()) return false;
  if (!image.stop) {
    if (message->fds.size() != 1) return false;
    if (message->bytes[0] == kStopped) return take_report(image, message->fds[0].get());
    image.process = std::move(message->fds[0]);
    image.since = Clock::now();
    return message->bytes[0] == kGoesOn;
  }
  auto report = decode_image_report(message->bytes);
  if (!report) return false;
  if (on_uncached && !report->run.uncached.paths.empty())
    on_uncached(image.of->python, image.greeting, report->run.uncached);
  if (on_run && !report->run.entry.empty())
    on_run(image.of->python, image.greeting, report->run, report->same_imports);
  if (on_warm_run && !report->run.entry.empty()) on_warm_run(std::chrono::microseconds(image.stop->cpu_us));
  report->run = {};
  image.report = std::move(*report);
  if (on_due) on_due(image.of->key);
  return true;
}

bool ProgramImages::take_report(Image& image, int fd) {
  const auto text = read_all(fd);
  auto stop =
      text ? decode_rehearsal_report(*text) : Result<RehearsalReport>{Error{Reason::protocol, {}, {}}};
  if (!stop) return false;
  image.of->has_stopped = true;
  seen(identity_of(*image.of)).failures = 0;
  // The bytecode of what was edited a moment ago is written by every run until that moment is over.
  const bool writes_bytecode =
      stop->step.starts_with("opens for writing ") && stop->step.find("/__pycache__/") != std::string::npos;
  if (writes_bytecode) return false;
  // What changed after the program was started may have been read before it changed.
  for (const ProgramInput& input : stop->inputs) {
    if (input.stamp.changed_ns < image.started_ns) continue;
    spdlog::info("{} changed while {} was run ahead", input.path, stop->entry);
    return false;
  }
  spdlog::info("image {} of {} {} stops at {}: {}", stop->pid, image.of->python, stop->entry,
               stop->places.empty() ? "its end" : stop->places.back(), stop->step + by_whom(*stop));
  image.inputs = std::make_unique<ProgramInputs>(watcher_, std::exchange(stop->inputs, {}));
  image.stop = std::move(*stop);
  if (image.stop->has_seed) image.seed = std::move(image.of->seed);
  image.process.reset();
  image.since = Clock::now();
  supersede(*image.of);
  if (!image.stop->is_last) return true;
  image.of->seed.reset();
  keep_within_memory();
  if (on_due) on_due(image.of->key);
  return true;
}

// Whoever listens to it may have it for a moment yet.
void ProgramImages::let_go(ImagePointer image) {
  image->channel.close();
  image->seed.reset();
  image->inputs.reset();
  images_.remove(image);
}

void ProgramImages::forget(const std::string& key) {
  for (const ImagePointer& image : std::list<ImagePointer>(images_)) {
    if (image->of->key == key) let_go(image);
  }
}

ProgramImages::ImagePointer ProgramImages::least_used() const {
  return *std::ranges::min_element(images_, {}, [](const ImagePointer& image) { return image->last_used; });
}

void ProgramImages::keep_at_most(std::size_t count) {
  while (images_.size() > count) let_go(least_used());
}

// Of an image's pages each of its spare children has a share, for as long as it has not written to them.
void ProgramImages::keep_within_memory() {
  std::uint64_t sum = 0;
  std::map<const Image*, std::uint64_t> taken;
  for (const ImagePointer& image : images_) {
    if (image->stop) {
      const std::uint64_t processes = kProcesses + (image->seed ? 1 : 0);
      sum += taken[image.get()] = proportional_set_bytes(image->stop->pid) * processes;
    }
  }
  while (sum > memory_limit_ && !images_.empty()) {
    const ImagePointer least = least_used();
    spdlog::info("images take {} of {} bytes: one of {} goes", sum, memory_limit_, least->of->launch.target);
    sum -= taken[least.get()];
    let_go(least);
  }
}

void ProgramImages::set_limit(std::size_t limit) {
  limit_ = limit;
  keep_at_most(limit_);
}

void ProgramImages::set_memory_limit(std::uint64_t bytes) {
  memory_limit_ = std::min(bytes, physical_memory_bytes() / 4);
  keep_within_memory();
}

void ProgramImages::end_overdue(Clock::time_point now) {
  const Rehearsed* told = nullptr;
  for (const ImagePointer& image : std::list<ImagePointer>(images_)) {
    if (image->stop || now - image->since < kHangs) continue;
    const Rehearsed& run = *image->of;
    if (std::exchange(told, &run) != &run)
      spdlog::warn("{} {} is run ahead for too long: it is killed", run.python, run.launch.target);
    if (image->process) ::syscall(SYS_pidfd_send_signal, image->process.get(), SIGKILL, nullptr, 0);
    end(image);
  }
}

void ProgramImages::tend(Clock::time_point now) {
  end_overdue(now);
  if (images_.empty()) return;
  keep_within_memory();
  if (!is_memory_short()) return;
  spdlog::info("memory is short: half of the {} images of programs go", images_.size());
  keep_at_most(images_.size() / 2);
}

std::uint64_t ProgramImages::running() const {
  std::uint64_t running = 0;
  for (const ImagePointer& image : images_)
    running += image->handed_over - std::min(image->handed_over, image->report.served);
  return running;
}

namespace {

// As a RehearsalReport names it, which is to come.
std::string entry_of(const Launch& launch) {
  switch (launch.kind) {
    case TargetKind::module:
      return "-m " + launch.target;
    case TargetKind::command:
      return "-c";
    case TargetKind::file:
      break;
  }
  return launch.target;
}

}  // namespace

void ProgramImages::describe(const Image& image, proto::Status::Image& described) {
  described.set_python(image.of->python);
  for (const auto& option : image.of->request.key().options()) described.add_options(option);
  described.set_kind("program");
  described.set_state(image.stop ? "ready" : "starting");
  described.set_runs(image.handed_over);
  described.set_running(image.handed_over - std::min(image.handed_over, image.report.served));
  described.set_age_s(static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - image.since).count()));
  if (!image.stop) return described.set_entry(entry_of(image.of->launch));
  const RehearsalReport& stop = *image.stop;
  described.set_pid(static_cast<int>(stop.pid));
  described.set_memory_bytes(proportional_set_bytes(stop.pid));
  described.set_entry(stop.entry);
  if (stop.has_read_arguments) {
    for (const auto& argument : image.of->launch.arguments) described.add_arguments(argument);
  }
  described.set_step(stop.step);
  if (!stop.places.empty()) described.set_place(stop.places.back());
  described.set_modules(stop.modules);
  described.set_inputs(image.inputs->size());
  described.set_inputs_by_stat(image.inputs->by_stat());
  described.set_saved_us(stop.cpu_us);
  described.set_last(stop.is_last);
  described.set_finalized(stop.finalized);
}

void ProgramImages::describe(proto::Status& status) const {
  auto& limit = *status.add_limits();
  limit.set_name("programs");
  limit.set_used(images_.size());
  limit.set_limit(limit_);
  for (const ImagePointer& image : images_) describe(*image, *status.add_images());
}

// Why IMAGE does not serve RUN, whose program it is; empty: it does.
std::string ProgramImages::unsuited(Image& image, const Rehearsed& run) {
  const RehearsalReport& stop = *image.stop;
  const Rehearsed& of = *image.of;
  if (of.request.streams() != run.request.streams()) return "its standard streams were of other kinds";
  if (stop.has_read_arguments && of.launch.arguments != run.launch.arguments)
    return "it has read other arguments";
  if (stop.has_read_cwd && of.request.cwd() != run.request.cwd()) return "it was run in " + of.request.cwd();
  for (const std::string& name : stop.variables) {
    if (!of.environment.agrees(run.environment, {name})) return name + " had another value";
  }
  if (!suits(image, run))
    return "some variable of the environment was another, which native code may have read";
  return image.inputs->hold() ? std::string() : image.inputs->changed() + " has changed";
}

bool ProgramImages::explain(const std::string& key, const proto::RunRequest& request,
                            proto::ExplainRunReply& reply) {
  const auto run = rehearsed(key, request);
  if (run == nullptr) return false;
  bool serves = false;
  for (auto at = images_.rbegin(); at != images_.rend(); ++at) {  // those of one rehearsal lie in their order
    Image& image = **at;
    if (!image.stop || image.of->key != key || image.of->likeness != run->likeness) continue;
    auto& stop = *reply.add_stops();
    describe(image, *stop.mutable_image());
    stop.set_unsuited(unsuited(image, *run));
    stop.set_directory(image.stop->has_read_cwd);
    for (const auto& name : image.stop->variables) stop.add_variables(name);
    stop.set_whole_environment(image.stop->needs_whole_environment);
    for (const auto& path : image.inputs->paths()) stop.add_inputs(path);
    serves = serves || stop.unsuited().empty();
  }
  reply.set_in_vain(reply.stops().empty() && is_in_vain(*run) && !is_due(key, request));
  return serves;
}

void ProgramImages::close() {
  while (!images_.empty()) let_go(images_.front());
}

}  // namespace kiln

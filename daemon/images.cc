#include "daemon/images.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>

#include "common/fd_passing.h"
#include "common/version.h"
#include "daemon/channel.h"
#include "daemon/process_memory.h"

namespace kiln {

namespace asio = boost::asio;

namespace {

constexpr std::uint64_t kMaxRunsInFlight = 1024;  // of one image
constexpr auto kStartLimit = std::chrono::seconds(30);
// All runs of one image hash alike (PYTHONHASHSEED): an order that shows today does not for ever.
constexpr auto kMostAge = std::chrono::hours(1);
// An image that ended before it could say why may have been unlucky; it is tried again after this.
constexpr auto kRetryAfter = std::chrono::seconds(5);
// An interpreter that was killed while it started says nothing of the next one; two in a row do.
constexpr int kFailuresByChance = 1;
constexpr int kMostTries = 5;  // of bringing a program to its stop, while files still change

std::uint64_t in_flight(std::uint64_t handed_over, const ImageReport& report) {
  return handed_over > report.served ? handed_over - report.served : 0;
}

ProgramInput input_as_it_is(const std::string& path) {
  return {ProgramInput::Kind::content, path, stamp_of(path)};
}

}  // namespace

Images::Images(asio::any_io_executor executor, TaskGroup& tasks, Watcher& watcher, std::size_t limit)
    : executor_(std::move(executor)),
      tasks_(tasks),
      watcher_(watcher),
      limit_(limit),
      programs_(executor_, tasks, watcher, limit),
      changed_(executor_) {
  programs_.on_change = [this] { changed_.notify(); };
  programs_.on_due = [this](const std::string& key) { rehearse(key); };
  programs_.on_uncached = [this](const auto&... told) {
    if (on_uncached) on_uncached(told...);
  };
  programs_.on_run = [this](const auto&... told) {
    if (on_run) on_run(told...);
  };
  programs_.on_warm_run = [this](std::chrono::microseconds saved) {
    if (on_warm_run) on_warm_run(saved);
  };
}

Images::Decision Images::route(const proto::RunRequest& request, int connection, bool run_ahead) {
  std::string key_bytes = request.key().SerializeAsString();
  const auto found = find(key_bytes, request);
  if (found != nullptr && request.start_only()) return Error{Reason::image_starting, {}, {}};
  if (found == nullptr) return start(request, std::move(key_bytes));
  if (is_obsolete(*found)) return restart(found, request, std::move(key_bytes));
  if (!run_ahead || found->state != State::ready) return decide(*found, connection);
  if (programs_.serve(key_bytes, request, connection)) return HandedOver{};
  auto decision = decide(*found, connection);
  if (std::holds_alternative<HandedOver>(decision)) programs_.remember(key_bytes, request);
  return decision;
}

Images::Decision Images::restart(const ImagePointer& image, const proto::RunRequest& request,
                                 std::string key_bytes) {
  spdlog::info("image {} of {} is no longer valid", image->greeting.pid, image->key.python());
  programs_.forget(key_bytes);
  let_go(image);
  auto decision = start(request, std::move(key_bytes));
  if (std::holds_alternative<Start>(decision)) images_.back()->failures = image->failures;
  return decision;
}

std::optional<Images::Start> Images::start_if_missing(const proto::RunRequest& request) {
  std::string key_bytes = request.key().SerializeAsString();
  const auto found = find(key_bytes, request);
  if (found != nullptr && !is_obsolete(*found)) return std::nullopt;
  auto decision =
      found == nullptr ? start(request, std::move(key_bytes)) : restart(found, request, std::move(key_bytes));
  auto* const begun = std::get_if<Start>(&decision);
  return begun == nullptr ? std::nullopt : std::optional(std::move(*begun));
}

asio::awaitable<void> Images::run_ahead(const proto::RunRequest& request) {
  const std::string key_bytes = request.key().SerializeAsString();
  const auto is_in = [&](State state) {
    const auto found = find(key_bytes, request);
    return found != nullptr && found->state == state;
  };
  while (is_in(State::starting)) co_await changed_.next();
  // What has just been edited may change while it is read: again then.
  for (int tries = 0; tries < kMostTries && is_in(State::ready); ++tries) {
    programs_.want(key_bytes, request);
    while (is_in(State::ready) && programs_.is_due(key_bytes, request)) {
      rehearse(key_bytes);
      if (programs_.is_due(key_bytes, request)) co_await changed_.next();
    }
    if (programs_.is_settled(key_bytes, request)) break;
  }
}

void Images::explain(const proto::RunRequest& request, bool run_ahead, proto::ExplainRunReply& reply) {
  const auto executed = [&](const Error& error) {
    reply.set_how("exec");
    reply.set_reason(std::string(word(error.reason)));
    reply.set_detail(error.message);
  };
  reply.set_run_ahead(run_ahead);
  const std::string key_bytes = request.key().SerializeAsString();
  const auto found = find(key_bytes, request);
  if (found == nullptr || is_obsolete(*found)) return executed({Reason::no_image, {}, {}});
  if (found->state == State::starting) return executed({Reason::image_starting, {}, {}});
  if (found->state == State::failed) return executed(found->failure);
  reply.set_how(run_ahead && programs_.explain(key_bytes, request, reply) ? "program" : "bare");
}

Images::ImagePointer Images::find(const std::string& key_bytes, const proto::RunRequest& request) {
  const Environment environment(request.environment());
  ImagePointer starting;
  for (const ImagePointer& image : images_) {
    if (image->key_bytes != key_bytes) continue;
    // What one that still starts will be good for is not known yet: it may be what is looked for.
    if (image->state == State::starting) {
      starting = image;
    } else if (image->greeting.whole_environment != 0
                   ? image->environment.equals(environment)
                   : image->environment.agrees(environment, image->greeting.reads)) {
      return image;
    }
  }
  return starting;
}

bool Images::is_obsolete(Image& image) {
  const auto age = Clock::now() - image.since;
  switch (image.state) {
    case State::starting:
      return age > kStartLimit;
    case State::ready:
      return age > kMostAge || !image.inputs->hold();
    case State::outdated:
      return true;
    case State::failed:
      return !image.inputs->hold() || (image.failure.reason == Reason::image_failed &&
                                       (image.failures <= kFailuresByChance || age > kRetryAfter));
  }
  return true;
}

Images::Decision Images::decide(Image& image, int connection) {
  if (image.state == State::starting) return Error{Reason::image_starting, {}, {}};
  if (image.state == State::failed) return image.failure;
  if (in_flight(image.handed_over, image.report) >= kMaxRunsInFlight)
    return Error{Reason::overloaded, {}, {}};
  const std::array fds{connection};
  if (!send_with_fds(image.channel.native_handle(), std::string(1, kRun), fds))
    return Error{Reason::overloaded, {}, {}};
  ++image.handed_over;
  image.last_used = Clock::now();
  return HandedOver{};
}

Images::Decision Images::start(const proto::RunRequest& request, std::string key_bytes) {
  keep_at_most(limit_ - 1);
  auto channel = make_channel();
  if (!channel) return channel.error();
  const auto image = images_.emplace_back(
      std::make_shared<Image>(asio::posix::stream_descriptor(executor_, channel->ours.release())));
  image->key = request.key();
  image->key_bytes = std::move(key_bytes);
  image->environment = Environment(request.environment());
  image->started_ns = file_time_now_ns();
  image->inputs.emplace(watcher_, std::vector{input_as_it_is(request.key().python())});
  tasks_.spawn(listen(image));
  return Start{std::move(channel->theirs)};
}

// The image's end of the channel closes when it dies. A closed or erased image cancels the wait.
asio::awaitable<void> Images::listen(ImagePointer image) {
  while (co_await is_readable(image->channel)) {
    const bool goes_on = receive(*image);
    if (!goes_on) end(image);
    changed_.notify();
    if (!goes_on) co_return;
  }
}

void Images::end(const ImagePointer& image) {
  image->channel.close();
  if (image->state == State::starting) {
    fail(*image, Error{Reason::image_failed, "the interpreter ended before it could serve", {}});
  } else if (image->state == State::ready) {
    spdlog::info("image {} ended", image->greeting.pid);
    images_.remove(image);
  }
}

// One message. False: there will be no more.
bool Images::receive(Image& image) {
  const auto message = receive_with_fds(image.channel.native_handle(), kMaxChannelMessage, MSG_DONTWAIT);
  if (!message || message->bytes.empty()) return false;
  if (image.state == State::ready) {
    const auto report = decode_image_report(message->bytes);
    if (report) note(image, *report);
    return report.has_value();
  }
  const auto greeting = decode_image_greeting(message->bytes);
  if (!greeting) {
    fail(image, greeting.error());
    return false;
  }
  greet(image, *greeting);
  return image.state == State::ready;
}

void Images::note(Image& image, ImageReport report) {
  if (on_uncached && !report.run.uncached.paths.empty()) {
    on_uncached(image.key.python(), image.greeting, report.run.uncached);
  }
  if (on_run && !report.run.entry.empty()) {
    on_run(image.key.python(), image.greeting, report.run, report.same_imports);
  }
  report.run = {};
  image.report = std::move(report);
  programs_.rehearse(image.key_bytes, image.greeting, image.channel.native_handle());
}

void Images::rehearse(const std::string& key_bytes) {
  for (const ImagePointer& image : images_) {
    if (image->state == State::ready && image->key_bytes == key_bytes)
      return programs_.rehearse(key_bytes, image->greeting, image->channel.native_handle());
  }
}

// Programs that run for long are run ahead while they do.
void Images::tend() {
  programs_.tend();
  for (const ImagePointer& image : std::list<ImagePointer>(images_)) rehearse(image->key_bytes);
}

// What changed after the interpreter was started may have been read before it changed: the first of that.
std::string Images::take_inputs(Image& image, const std::vector<std::string>& paths) {
  const bool is_same_interpreter = image.inputs->hold();
  std::vector<ProgramInput> inputs{input_as_it_is(image.key.python())};
  for (const std::string& path : std::set(paths.begin(), paths.end())) inputs.push_back(input_as_it_is(path));
  const auto late = std::ranges::find_if(
      inputs, [&](const ProgramInput& input) { return input.stamp.changed_ns >= image.started_ns; });
  std::string changed = late != inputs.end() ? late->path : is_same_interpreter ? "" : image.key.python();
  image.inputs.emplace(watcher_, std::move(inputs));
  return changed;
}

void Images::greet(Image& image, const ImageGreeting& greeting) {
  image.greeting = greeting;
  const std::string changed = take_inputs(image, greeting.inputs);
  if (on_greeting) on_greeting(image.key.python(), greeting);
  const auto reason = reason_from_word(greeting.reason).value_or(Reason::protocol);
  if (reason != Reason::served) return fail(image, Error{reason, greeting.detail, {}});
  if (greeting.build_id != build_id()) return fail(image, Error{Reason::build_mismatch, {}, {}});
  if (!changed.empty()) {
    spdlog::info("{} changed while the interpreter started", changed);
    image.state = State::outdated;
    return;
  }
  image.state = State::ready;
  spdlog::info("image {} of {} {} is ready", greeting.pid, image.key.python(), greeting.version);
}

void Images::fail(Image& image, Error error) {
  spdlog::warn("no image of {}: {} {}", image.key.python(), word(error.reason), error.message);
  image.state = State::failed;
  ++image.failures;
  image.failure = std::move(error);
  image.since = Clock::now();
}

// Its listener ends, and with it the image, after its last program.
void Images::let_go(const ImagePointer& image) {
  image->channel.close();
  images_.remove(image);
}

// The least recently used idle image, or an old failure, goes.
void Images::keep_at_most(std::size_t count) {
  while (images_.size() > count) {
    const ImagePointer oldest =
        *std::ranges::min_element(images_, {}, [](const ImagePointer& image) { return image->last_used; });
    let_go(oldest);
  }
}

std::string Images::state_text(const Image& image) {
  switch (image.state) {
    case State::starting:
      return "starting";
    case State::ready:
      return "ready";
    case State::outdated:
      return "outdated";
    case State::failed:
      return "failed: " + std::string(word(image.failure.reason));
  }
  return "";
}

void Images::set_limit(std::size_t limit) {
  programs_.set_limit(limit);
  limit_ = limit;
  keep_at_most(limit_);
}

std::uint64_t Images::running() const {
  std::uint64_t running = programs_.running();
  for (const auto& image : images_) running += in_flight(image->handed_over, image->report);
  return running;
}

void Images::describe(proto::Status& status) const {
  auto& limit = *status.add_limits();
  limit.set_name("images");
  limit.set_used(images_.size());
  limit.set_limit(limit_);
  for (const ImagePointer& pointer : images_) {
    const Image& image = *pointer;
    auto& described = *status.add_images();
    described.set_python(image.key.python());
    for (const auto& option : image.key.options()) described.add_options(option);
    for (const auto& variable : image.key.environment()) described.add_environment(variable);
    described.set_pid(static_cast<int>(image.greeting.pid));
    described.set_kind("bare");
    described.set_state(state_text(image));
    described.set_runs(image.handed_over);
    described.set_running(in_flight(image.handed_over, image.report));
    described.set_age_s(static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - image.since).count()));
    if (image.state == State::ready) described.set_memory_bytes(proportional_set_bytes(image.greeting.pid));
  }
  programs_.describe(status);
}

void Images::close() {
  programs_.close();
  for (const ImagePointer& image : images_) image->channel.close();
  images_.clear();
  changed_.notify();
}

}  // namespace kiln

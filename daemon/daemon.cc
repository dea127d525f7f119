#include "daemon/daemon.h"

#include <fcntl.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <csignal>
#include <ctime>
#include <optional>
#include <thread>

#include "common/cache_keeper.h"
#include "common/file_stamp.h"
#include "common/overlay.h"
#include "common/path_text.h"
#include "common/paths.h"
#include "common/place.h"
#include "common/start_lock.h"
#include "common/unique_fd.h"
#include "common/version.h"
#include "daemon/explain_service.h"
#include "daemon/handlers.h"
#include "daemon/images.h"
#include "daemon/index_thread.h"
#include "daemon/overlay.h"
#include "daemon/precompile_service.h"
#include "daemon/recompile.h"
#include "daemon/run_counts.h"
#include "daemon/server.h"
#include "daemon/service_manager.h"
#include "daemon/settings.h"
#include "daemon/store_thread.h"
#include "daemon/task_group.h"
#include "daemon/watch_service.h"

namespace kiln {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kLogBytes = 1U << 20;
constexpr std::size_t kLogFiles = 2;
// What an earlier daemon left is looked over when the work for which this one was started is done.
constexpr auto kFirstShrink = std::chrono::minutes(1);
constexpr auto kUseCheck = std::chrono::seconds(2);
constexpr auto kTend = std::chrono::seconds(30);
constexpr std::size_t kMaxRecordedImports = 65'536;

std::int64_t now_ns() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

// Whoever waits for us is to know why; spdlog throws.
Result<void> open_log(const std::string& path, bool foreground) {
  if (!UniqueFd{::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666)}) {
    auto error = errno_error("cannot write the log " + path);
    error.hint = make_way_for(path, errno, "KILN_CACHE_DIR");
    return error;
  }
  std::vector<spdlog::sink_ptr> sinks{
      std::make_shared<spdlog::sinks::rotating_file_sink_mt>(path, kLogBytes, kLogFiles)};
  if (foreground) sinks.push_back(std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  auto logger = std::make_shared<spdlog::logger>("kilnd", sinks.begin(), sinks.end());
  logger->set_pattern("%Y-%m-%d %H:%M:%S.%e %P %l %v");
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
  return {};
}

bool has_terminal() {
  return static_cast<bool>(UniqueFd{::open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY)});
}

// SIGHUP has two meanings: a daemon in the foreground ends with its terminal, unless nohup(1) started it.
bool ends_with_terminal() {
  struct sigaction action {};
  ::sigaction(SIGHUP, nullptr, &action);
  return action.sa_handler != SIG_IGN && has_terminal();
}

// Whose socket it is lives; any other daemon has lost its own and ends, or is about to end already.
enum class OtherDaemon { lives, ends };

constexpr auto kAskers = std::chrono::seconds(10);
constexpr auto kAskersPause = std::chrono::milliseconds(1);

// False: another daemon has it. Who asks whether one lives holds it, too, but shared, and for an instant
// (client/connection.cc); that he has gone is no event.
bool take_from_askers(const UniqueFd& lock) {
  const auto end = std::chrono::steady_clock::now() + kAskers;
  while (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    const bool is_asked_for = errno == EWOULDBLOCK && ::flock(lock.get(), LOCK_SH | LOCK_NB) == 0;
    if (!is_asked_for || std::chrono::steady_clock::now() > end) return false;
    ::flock(lock.get(), LOCK_UN);
    std::this_thread::sleep_for(kAskersPause);
  }
  return true;
}

// Empty: another daemon holds it. One that ends is waited for, as long as the service manager has patience.
Result<std::optional<UniqueFd>> take_lifetime_lock(const std::string& path, OtherDaemon other) {
  UniqueFd lock{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  if (!lock) {
    Error error = errno_error("cannot open " + path);
    error.hint = make_way_for(path, errno, "KILN_RUNTIME_DIR");
    return error;
  }
  const bool is_taken =
      other == OtherDaemon::ends ? ::flock(lock.get(), LOCK_EX) == 0 : take_from_askers(lock);
  if (is_taken) return std::optional(std::move(lock));
  if (errno == EWOULDBLOCK) return std::optional<UniqueFd>();
  return errno_error("cannot lock " + path);
}

DaemonFacts facts_of(const std::string& runtime, const std::string& cache, bool service) {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const FileStamp root = stamp_of("/");
  return {socket_path(runtime),  cache,       log_path(cache), static_cast<std::uint64_t>(now.tv_sec),
          own_mount_namespace(), root.device, root.inode,      service};
}

std::string own_binary() {
  const auto bin = own_bin_dir();
  return bin ? *bin + "/kilnd" : std::string();
}

// Of INPUTS, what an interpreter's start depended on: bytecode without optimization of the user's own
// start-up code, not of the standard library.
std::vector<std::string> start_up_bytecode(const std::vector<std::string>& inputs) {
  const auto os = std::ranges::find_if(inputs, [](const auto& path) { return path.ends_with("/os.py"); });
  const std::string standard = os == inputs.end() ? std::string() : std::string(directory_of(*os));
  std::vector<std::string> bytecode;
  for (const auto& path : inputs) {
    const bool is_standard = !standard.empty() && directory_of(path) == standard + "/__pycache__";
    if (path.ends_with(".pyc") && !is_standard && path.find(".opt-") == std::string::npos)
      bytecode.push_back(path);
  }
  return bytecode;
}

class Daemon {
 public:
  // INDEX: path of the database; empty: it is to be this daemon's alone, and gone with it. ENDS_FOR_INDEX: in
  // that case another may begin in its place, as soon as the cache's index has no keeper.
  Daemon(asio::io_context& context, asio::local::stream_protocol::acceptor socket, DaemonFacts facts,
         const std::string& index, bool ends_for_index)
      : socket_path_(facts.socket),
        unkept_cache_(index.empty() && ends_for_index ? facts.cache_dir : ""),
        tasks_(context.get_executor()),
        watcher_({.watch_limit = watch_limit(settings_.config())}),
        images_(context.get_executor(), tasks_, watcher_, settings_.config().images_limit),
        index_(index, overlay_dir(facts.cache_dir), &watcher_),
        store_(facts.cache_dir + "/store", store_limit()),
        overlay_(overlay_dir(facts.cache_dir), overlay_limit(), index_),
        precompile_(index_, store_.store(), overlay_, &watcher_),
        recompiler_(index_, store_.store(), overlay_, precompile_, &watcher_),
        watch_(settings_, index_, recompiler_, watcher_),
        explain_(index_, watch_, overlay_.dir()),
        counts_(index_, std::string(directory_of(facts.socket))),
        handlers_(
            std::move(facts), settings_, images_, index_, store_, precompile_, overlay_, recompiler_, watch_,
            explain_, counts_, [this] { reload(); }, [this] { stop(); }),
        server_(std::move(socket), handlers_),
        signals_(context, SIGTERM, SIGINT, SIGHUP),
        check_(context),
        shrink_(context),
        tend_(context) {
    index_.on_doubt = [this](std::vector<std::string> sources) {
      recompiler_.look_at({std::move(sources), {}, {}});
    };
    index_.on_unwatched([this, executor = context.get_executor()](std::vector<std::string> directories) {
      asio::post(executor, [this, directories = std::move(directories)] { watch_indexed(directories); });
    });
    configure();
  }

  asio::awaitable<void> run() {
    images_.on_greeting = [this](const std::string& path, const ImageGreeting& greeting) {
      note(path, greeting);
    };
    images_.on_uncached = [this](const std::string& path, const ImageGreeting& greeting,
                                 const UncachedSources& sources) { fill_overlay(path, greeting, sources); };
    images_.on_run = [this](const std::string& path, const ImageGreeting& greeting, const RunRecord& run,
                            bool same_imports) { note_run(path, greeting, run, same_imports); };
    images_.on_warm_run = [this](std::chrono::microseconds saved) { counts_.add_warm(saved); };
    recompiler_.look_at_interpreters();
    tasks_.spawn(watch_.run());
    tasks_.spawn(watch_recorded_imports());
    tasks_.spawn(wait_for_signals());
    tasks_.spawn(watch_use());
    tasks_.spawn(shrink_later());
    tasks_.spawn(tend());
    tell_service_manager("READY=1\nSTATUS=Accepting connections");
    co_await server_.run();
    tell_service_manager("STOPPING=1\nSTATUS=Letting go");
    spdlog::info("stopping");
    precompile_.stop();
    recompiler_.stop();
    watch_.stop();
    overlay_.stop();
    index_.interrupt();
    store_.interrupt();
    co_await server_.drain();
    images_.close();
    tasks_.cancel();
    co_await tasks_.join();
    recompiler_.join();
    overlay_.join();
    counts_.write();
    index_.close();
    store_.close();
  }

 private:
  void stop() { server_.stop(); }

  // An interpreter that became an image has said what it is.
  static std::optional<InterpreterInfo> interpreter_of(const std::string& path,
                                                       const ImageGreeting& greeting) {
    const auto binary = identify_binary(path);
    if (!binary || greeting.tag.empty()) return std::nullopt;
    // By now the path may lead to another one than was started.
    const FileStamp started = stamp_of("/proc/" + std::to_string(greeting.pid) + "/exe");
    if (started.device != binary->device || started.inode != binary->inode) return std::nullopt;
    InterpreterInfo info;
    info.path = info.executable = path;
    info.binary = *binary;
    info.implementation = "cpython";
    info.version = greeting.version;
    info.cache_tag = greeting.tag;
    info.magic = static_cast<std::uint32_t>(greeting.magic);
    return info;
  }

  void note(const std::string& path, const ImageGreeting& greeting) {
    const auto info = interpreter_of(path, greeting);
    if (!info) return;
    index_.record(*info, 0, {});
    recompiler_.look_at_interpreters();
    if (settings_.config().watch_policy == WatchPolicy::none) return;
    auto start_up = start_up_bytecode(greeting.inputs);
    watch_.watch_imports(start_up);
    index_.record_start(*info, std::move(start_up));
  }

  void fill_overlay(const std::string& path, const ImageGreeting& greeting, const UncachedSources& sources) {
    if (const auto info = interpreter_of(path, greeting)) overlay_.fill({*info, sources});
  }

  void note_run(const std::string& path, const ImageGreeting& greeting, const RunRecord& run,
                bool same_imports) {
    counts_.add_served();
    if (settings_.config().watch_policy == WatchPolicy::none) return;
    if (same_imports) {
      index_.record_time(path, {run.entry, run.imports_hash, now_ns()});
      return;
    }
    const auto info = interpreter_of(path, greeting);
    if (!info) return;
    watch_.watch_imports(run.imported);
    index_.record_run(*info, run, now_ns());
  }

  // So that not all that was ever made has to be looked at before each answer.
  void watch_indexed(const std::vector<std::string>& directories) {
    if (settings_.config().watch_policy != WatchPolicy::none) watch_.watch_indexed(directories);
  }

  // What was imported while former daemons lived.
  asio::awaitable<void> watch_recorded_imports() {
    if (settings_.config().watch_policy == WatchPolicy::none) co_return;
    const auto modules = co_await index_.imported_modules(kMaxRecordedImports);
    if (modules) watch_.watch_imports(*modules);
  }

  // With a mistake from the start there is none: what the user's limit is cannot be known, and what is
  // removed is gone.
  std::uint64_t store_limit() const {
    return settings_.error() ? Store::kNoLimit : settings_.config().store_limit.count;
  }

  std::uint64_t overlay_limit() const {
    return settings_.error() ? Store::kNoLimit : settings_.config().overlay_limit.count;
  }

  void configure() {
    if (settings_.error()) return spdlog::error("configuration ignored: {}", settings_.error()->message);
    const Config& config = settings_.config();
    const auto level = spdlog::level::from_str(config.log_level);
    spdlog::set_level(level);
    spdlog::flush_on(level);  // whoever follows the log sees each line as it is written
    images_.set_limit(config.images_limit);
    images_.set_memory_limit(config.images_memory.count);
    store_.set_limit(config.store_limit.count);
    overlay_.set_limit(config.overlay_limit.count);
    watcher_.set_watch_limit(watch_limit(config));
  }

  void reload() {
    spdlog::info("reads its configuration again");
    settings_.reload();
    configure();
    watch_.renew();
  }

  asio::awaitable<void> wait_for_signals() {
    boost::system::error_code failed;
    while (true) {
      const int signal = co_await signals_.async_wait(asio::redirect_error(asio::use_awaitable, failed));
      if (failed) co_return;
      spdlog::info("SIG{}", ::sigabbrev_np(signal));
      const bool hung_up = ends_with_terminal_ && !has_terminal();
      if (signal != SIGHUP || hung_up) break;
      reload();
    }
    stop();
  }

  // A runtime directory may vanish with its session. Nobody can reach this daemon then, so it ends. So does
  // one whose package was removed, one that nobody has used for as long as is configured, and one without the
  // cache's index, as soon as the next would have it.
  asio::awaitable<void> watch_use() {
    boost::system::error_code failed;
    const auto why_to_end = [&]() -> const char* {
      if (stamp_of(socket_path_).inode != bound_.inode) return "the socket is gone";
      if (is_uninstalled()) return "kilnd is not installed any more";
      if (can_have_index()) return "the index has no keeper any more: the next daemon is to keep it";
      return is_idle_for_long() ? "not used for as long as daemon.idle_exit says" : nullptr;
    };
    const char* why = nullptr;
    while (!failed && (why = why_to_end()) == nullptr) {
      watch_.renew();  // a kiln.toml above a root, or the user's, makes no event
      check_.expires_after(kUseCheck);
      co_await check_.async_wait(asio::redirect_error(asio::use_awaitable, failed));
    }
    if (failed) co_return;
    spdlog::info(why);
    stop();
  }

  // An upgrade puts another file in its place, which is there at every moment.
  bool is_uninstalled() const {
    return !binary_.empty() && ::access(binary_.c_str(), F_OK) != 0 && errno == ENOENT;
  }

  bool is_idle_for_long() const {
    const Lapse limit = settings_.config().daemon_idle_exit;
    return limit && is_idle_for(*limit);
  }

  bool is_idle_for(std::chrono::steady_clock::duration limit) const {
    return server_.idle() >= limit && images_.running() == 0 && !watch_.has_roots();
  }

  // To be tried, for it may be that nobody can. From then on who starts a daemon waits for the end of this
  // one.
  bool can_have_index() {
    if (unkept_cache_.empty() || !is_idle_for(kUseCheck)) return false;
    keeping_ = keep_cache(unkept_cache_,
                          {::getpid(), own_mount_namespace(), std::string(directory_of(socket_path_))});
    return static_cast<bool>(keeping_);
  }

  asio::awaitable<void> shrink_later() {
    boost::system::error_code failed;
    shrink_.expires_after(kFirstShrink);
    co_await shrink_.async_wait(asio::redirect_error(asio::use_awaitable, failed));
    if (failed) co_return;
    store_.shrink();
    overlay_.shrink();
  }

  // What is due now and then.
  asio::awaitable<void> tend() {
    boost::system::error_code failed;
    while (!failed) {
      tend_.expires_after(kTend);
      co_await tend_.async_wait(asio::redirect_error(asio::use_awaitable, failed));
      if (!failed) precompile_.tend();
      if (!failed) images_.tend();
      index_.write_times();
      counts_.write();
      index_.look_for_damage();
    }
  }

  std::string socket_path_;
  const std::string unkept_cache_;  // whose index it does not have, and would end for; empty: none
  UniqueFd keeping_;                // that cache, while it ends
  const FileStamp bound_ = stamp_of(socket_path_);  // before anybody hears that we are ready
  const std::string binary_ = own_binary();
  const bool ends_with_terminal_ = ends_with_terminal();
  Settings settings_;
  TaskGroup tasks_;
  Watcher watcher_;
  Images images_;
  IndexThread index_;
  StoreThread store_;
  Overlay overlay_;
  PrecompileService precompile_;
  Recompiler recompiler_;
  WatchService watch_;
  ExplainService explain_;
  RunCounts counts_;
  Handlers handlers_;
  Server server_;
  asio::signal_set signals_;
  asio::steady_timer check_;
  asio::steady_timer shrink_;
  asio::steady_timer tend_;
};

void warn_of_keeper(const std::string& cache) {
  const auto keeper = keeper_of(cache);
  spdlog::warn("the index of {} is kept by {}; this daemon has one of its own, which ends with it", cache,
               keeper ? fmt::format("the daemon of {}, pid {}", keeper->runtime_dir, keeper->pid)
                      : "nobody, for its lock cannot be had");
}

void tell_ready(int fd) {
  if (fd < 0) return;
  (void)!::write(fd, "r", 1);
  ::close(fd);
}

}  // namespace

Result<void> run_daemon(const DaemonOptions& options) {
  const std::string runtime = TRY(runtime_dir());
  const std::string cache = TRY(cache_dir());
  const UniqueFd runtime_fd = TRY(open_private_dir(runtime));
  auto passed = TRY(passed_socket(socket_path(runtime)));
  const bool is_passed = static_cast<bool>(passed);
  const auto lock = TRY(
      take_lifetime_lock(lifetime_lock_path(runtime), is_passed ? OtherDaemon::ends : OtherDaemon::lives));
  if (!lock && options.ready_fd >= 0) return {};
  if (!lock) return Error{Reason::already_running, "a daemon already runs in " + runtime, "kiln daemon stop"};
  TRY(open_private_dir(cache, "KILN_CACHE_DIR"));
  TRY_VOID(open_log(log_path(cache), options.foreground));
  spdlog::info("kilnd {} starts", build_id());
  if (::chdir("/") != 0) return errno_error("cannot enter /");
  UniqueFd starts = options.ready_fd < 0 ? hold_starts(cache) : UniqueFd();  // else who waits for us holds it
  const UniqueFd keeping = keep_cache(cache, {::getpid(), own_mount_namespace(), runtime});
  if (!keeping) warn_of_keeper(cache);

  asio::io_context context(1);
  auto socket = TRY(is_passed ? take_over(context.get_executor(), std::move(passed))
                              : listen_on(context.get_executor(), socket_path(runtime)));
  Daemon daemon(context, std::move(socket), facts_of(runtime, cache, is_passed),
                keeping ? cache + "/index.db" : "", is_passed || !options.foreground);
  asio::co_spawn(context, daemon.run(), [](std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
  });
  const FileStamp bound = stamp_of(socket_path(runtime));
  starts.reset();
  tell_ready(options.ready_fd);
  context.run();
  // In a directory that was made anew there may be another daemon's; a socket that was passed is not ours.
  if (!is_passed && stamp_of(socket_path(runtime)).inode == bound.inode)
    ::unlink(socket_path(runtime).c_str());
  spdlog::info("stopped");
  return {};
}

}  // namespace kiln

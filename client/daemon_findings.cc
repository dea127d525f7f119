#include "client/daemon_findings.h"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "client/configuration_mending.h"
#include "client/configuration_mistake.h"
#include "client/connection.h"
#include "client/daemon_cache.h"
#include "client/place_findings.h"
#include "client/program_output.h"
#include "common/cache_keeper.h"
#include "common/config.h"
#include "common/overlay.h"
#include "common/paths.h"
#include "common/place.h"
#include "common/printable.h"
#include "common/quantity.h"
#include "common/reason.h"
#include "common/shell_word.h"
#include "common/unique_fd.h"

namespace kiln {
namespace {

// A large index takes its time, and there may be a queue before it.
constexpr std::chrono::milliseconds kExamineLimit{60'000};
// With less, one large project may be too much.
constexpr std::uint64_t kComfortableWatches = 65'536;
constexpr std::uint64_t kGoodWatches = 524'288;

Findings none_to_ask(const Examined& examined) {
  const bool none = examined.error().reason == Reason::no_daemon;
  return {{Severity::skip, none ? "only a running daemon can tell" : "the daemon cannot be asked"}};
}

// What an image was started with that another of the same interpreter need not have: " -I", " with
// PYTHONHOME=/nosuch".
std::string start_of(const proto::Status::Image& image) {
  std::string text;
  for (const auto& option : image.options()) text += " " + shell_argument(option);
  std::string variables;
  for (const auto& variable : image.environment()) {
    if (variable.starts_with("PYTHON")) variables += " " + printable(variable);
  }
  return printable(text) + (variables.empty() ? "" : " with" + variables);
}

Finding of_image(const proto::Status::Image& image) {
  const std::string reason = image.state().substr(image.state().find(": ") + 2);
  const auto known = reason_from_word(reason);
  const std::string why = known ? std::string(wording(*known)) : reason;
  return {Severity::warn, "runs of " + printable(image.python()) + start_of(image) + " are executed: " + why,
          "kiln daemon logs -n 20"};
}

// The daemon, too, is to look at the file once it is mended; it may be by now.
std::string mending_of_root(const proto::Status::Root& root) {
  const auto config = load_config(root.path());
  return (config ? "" : mending_of(config.error()) + " && ") + "kiln daemon reload";
}

bool has_met_mistake(const Examined& examined) {
  return examined && !examined->status().daemon().configuration_error().empty();
}

// Where it is the kernel that refuses there is nothing to be granted.
std::string hint_for(const proto::Status::Root& root) {
  const bool is_mending = !root.hint().empty() && root.hint() != "kiln doctor";
  return is_mending ? root.hint() : "kiln unwatch " + shell_word(root.path());
}

Findings of_root(const proto::Status::Root& root) {
  Findings findings;
  const std::string path = printable(root.path());
  if (root.state() == "missing")
    findings.push_back(
        {Severity::warn, path + " is watched, but not there", "kiln unwatch " + shell_word(root.path())});
  if (!root.reason().empty())
    findings.push_back(
        {Severity::bad, path + " cannot be watched: " + printable(root.reason()), hint_for(root)});
  if (!root.configuration_error().empty())
    findings.push_back({Severity::bad, path + " is watched by former settings: " + root.configuration_error(),
                        mending_of_root(root)});
  for (const auto& directory : root.unwatched())
    findings.push_back({Severity::warn, "not watched below " + path + ": " + printable(directory)});
  return findings;
}

std::uintmax_t size_of(const std::string& path) {
  std::error_code missing;
  const auto size = std::filesystem::file_size(path, missing);
  return missing ? 0 : size;
}

const proto::Status::Limit* find_limit(const proto::Status& status, std::string_view name) {
  for (const auto& limit : status.limits()) {
    if (limit.name() == name) return &limit;
  }
  return nullptr;
}

std::optional<std::uint64_t> system_watch_limit() {
  std::uint64_t limit = 0;
  const bool is_read = static_cast<bool>(std::ifstream("/proc/sys/fs/inotify/max_user_watches") >> limit);
  return is_read ? std::optional(limit) : std::nullopt;
}

// Of LIMIT, which is reached: Kiln's own, or the kernel's.
std::string more_watches(const proto::Status::Limit& limit) {
  const std::uint64_t all = system_watch_limit().value_or(0);
  if (limit.limit() < all) return "KILN_WATCH_LIMIT=100% kiln daemon restart";
  return "sudo sysctl fs.inotify.max_user_watches=" + std::to_string(std::max(kGoodWatches, 2 * all));
}

// Imports are watched when there is room; runs are never wrong without.
Finding of_imports(const proto::Status& status) {
  const auto* limit = find_limit(status, "watches");
  const bool full = limit != nullptr && limit->used() >= limit->limit();
  const bool one = status.unwatched_imports() == 1;
  std::string what =
      count_text(status.unwatched_imports()) + (one ? " directory of what was imported is not watched"
                                                    : " directories of what was imported are not watched");
  if (!status.unwatched_directories().empty())
    what += (one ? ": " : ", such as ") + printable(status.unwatched_directories(0));
  return {Severity::warn, what, full ? more_watches(*limit) : "kiln status"};
}

// Whether PATH, a file or directory in Kiln's own cache, can be used: it is there, of the right TYPE, ours,
// and MODE allows the owner everything.
std::optional<Finding> fault_of(const std::string& path, mode_t type, const std::string& mode) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  const std::string word = shell_word(path);
  if ((status.st_mode & S_IFMT) != type)
    return Finding{Severity::bad, printable(path) + (type == S_IFDIR ? " is no directory" : " is no file"),
                   move_aside(path)};
  if (status.st_uid != ::geteuid())
    return Finding{Severity::bad, printable(path) + " belongs to another user",
                   "sudo chown -R " + std::to_string(::geteuid()) + " " + word};
  const int wanted = R_OK | W_OK | (type == S_IFDIR ? X_OK : 0);
  if (::access(path.c_str(), wanted) == 0 || errno == EROFS) return std::nullopt;
  return Finding{Severity::bad, printable(path) + " cannot be read and written: " + std::strerror(errno),
                 "chmod " + mode + " " + word};
}

// ", of DIRECTORY", if SOCKET lies in another one than ours.
std::string of_runtime_dir(const std::string& socket) {
  const auto dir = runtime_dir();
  if (!dir || socket == socket_path(*dir)) return {};
  return ", of " + printable(socket.substr(0, socket.rfind('/')));
}

// 0, or why nobody can watch anything here, whatever the limits: a sandbox may forbid it.
int try_inotify() {
  const UniqueFd instance{::inotify_init1(IN_CLOEXEC)};
  return instance ? 0 : errno;
}

}  // namespace

Examined examine_by_daemon() {
  TRY(Connection::open_living());  // nor is systemd to start one
  TRY_VOID(Connection::ping());
  Connection connection = TRY(Connection::open());
  proto::Request request;
  request.mutable_examine();
  TRY_VOID(connection.send(std::move(request)));
  if (!connection.await_answer(kExamineLimit))
    return Error{Reason::timeout, "the daemon is too busy to examine its index and store",
                 "kiln daemon restart"};
  return TRY(connection.receive()).examine();
}

Findings socket_findings(const std::string& socket) {
  struct stat status {};
  const std::string path = printable(socket);
  if (::lstat(socket.c_str(), &status) != 0) {
    if (errno == ENOENT) return {{Severity::ok, path + ", not there yet"}};
    return {{Severity::bad, path + " cannot be reached: " + std::strerror(errno),
             use_another("KILN_RUNTIME_DIR")}};
  }
  const std::string remove = "rm -r " + shell_word(socket);
  if (!S_ISSOCK(status.st_mode)) return {{Severity::bad, path + " is no socket", remove}};
  if (status.st_uid != ::geteuid()) return {{Severity::bad, path + " belongs to another user", remove}};
  return {{Severity::ok, path}};
}

Findings daemon_findings(const std::string& cache_dir, const Examined& examined) {
  if (examined) {
    const auto& daemon = examined->status().daemon();
    auto other = not_keeping(daemon);
    if (daemon.cache_dir() != cache_dir) other = of_another_cache(daemon);
    if (other) return {{Severity::warn, other->message, other->hint}};
    return {{Severity::ok, "pid " + std::to_string(daemon.pid()) + ", " + daemon.build_id() +
                               of_runtime_dir(daemon.socket())}};
  }
  const Error& error = examined.error();
  if (error.reason == Reason::no_daemon)
    return {{Severity::ok, "none is running; the first run starts one, or: kiln daemon start"}};
  if (error.reason == Reason::build_mismatch)
    return {{Severity::warn, error.message + ", this kiln is not", "kiln daemon restart"}};
  return {{Severity::bad, error.message, error.hint}};
}

Findings configuration_findings(const std::string& path, const Examined& examined) {
  const auto config = load_config(path);
  if (!config) {
    const std::string reload = has_met_mistake(examined) ? " && kiln daemon reload" : "";
    return {{Severity::bad, config.error().message, mending_of(config.error()) + reload}};
  }
  if (has_met_mistake(examined)) {
    return {{Severity::bad,
             "the daemon has met a mistake: " + examined->status().daemon().configuration_error(),
             "kiln daemon restart"}};
  }
  if (const auto missing = missing_configuration())
    return {{Severity::warn, missing->message, missing->hint}};
  return {{Severity::ok, "no mistakes; kiln config shows all settings"}};
}

Examined examine_cache_by(const Examined& examined) {
  if (examined || examined.error().reason != Reason::no_daemon) return examined;
  const std::string program = TRY(own_bin_dir()) + "/kilnd";
  const auto said = program_output({program, "--examine"});
  proto::ExamineReply found;
  if (!said || !found.ParseFromString(*said)) return examined.error();
  return found;
}

Findings index_findings(const std::string& cache_dir, const Examined& examined) {
  if (!examined) return none_to_ask(examined);
  const std::string index = cache_dir + "/index.db";
  if (::access(index.c_str(), F_OK) != 0) return {{Severity::ok, printable(index) + ", not there yet"}};
  for (const char* part : {"", "-wal", "-shm"}) {
    if (const auto fault = fault_of(index + part, S_IFREG, "600")) return {*fault};
  }
  const bool is_daemons = examined->status().has_daemon();
  if (const auto keeper = is_daemons ? std::nullopt : keeper_of(cache_dir))
    return {{Severity::skip, "it is in use by the daemon of " + printable(keeper->runtime_dir)}};
  if (!is_daemons && size_of(index + "-wal") > 0)
    return {{Severity::skip, "a daemon was killed: the next one takes over first what that has left"}};
  Findings findings;
  const std::string& problem = examined->index_problem();
  if (!problem.empty()) {
    const bool full = problem.ends_with("disk is full");  // as SQLite has it; else a new start sets it aside
    findings.push_back({Severity::bad, printable(problem),
                        full ? make_room(cache_dir, kRoomToBegin) : "kiln daemon restart"});
  }
  const std::string aside = cache_dir + "/index.db.set-aside";
  if (::access(aside.c_str(), F_OK) == 0) {
    findings.push_back({Severity::warn, "a former index was unusable, and begun anew: " + printable(aside),
                        "rm " + shell_word(aside) + "*"});
  }
  if (findings.empty()) return {{Severity::ok, "SQLite finds nothing wrong"}};
  return findings;
}

namespace {

bool is_out_of_descriptors(const std::string& problem) {
  return problem.ends_with(std::strerror(EMFILE)) || problem.ends_with(std::strerror(ENFILE));
}

}  // namespace

Findings store_findings(const std::string& cache_dir, const Examined& examined) {
  if (!examined) return none_to_ask(examined);
  const std::string store = cache_dir + "/store";
  for (const auto& directory : {store, overlay_dir(cache_dir)})
    if (const auto fault = fault_of(directory, S_IFDIR, "700")) return {*fault};
  if (!examined->store_problem().empty())
    return {{Severity::bad, printable(examined->store_problem()),
             is_out_of_descriptors(examined->store_problem())
                 ? "ulimit -n $(ulimit -Hn) && kiln daemon restart"
                 : move_aside(store)}};
  const std::string sample = "objects examined: " + count_text(examined->store_examined()) + " of " +
                             count_text(examined->store_objects());
  if (examined->store_damaged().empty()) return {{Severity::ok, sample}};
  const auto damaged = static_cast<std::uint64_t>(examined->store_damaged_size());
  return {{Severity::bad, sample + "; damaged: " + count_text(damaged), "kiln gc"}};
}

Findings image_findings(const Examined& examined) {
  if (!examined) return none_to_ask(examined);
  Findings findings;
  for (const auto& image : examined->status().images()) {
    if (image.state().starts_with("failed: ")) findings.push_back(of_image(image));
  }
  if (findings.empty()) return {{Severity::ok, "no interpreter failed to become one"}};
  return findings;
}

Finding inotify_finding(int failure) {
  const std::string late = "; what changes in watched directories is found late, by looking";
  if (failure == EMFILE) {
    return {Severity::warn, "all inotify instances of this user are taken" + late,
            "sudo sysctl fs.inotify.max_user_instances=1024"};
  }
  return {Severity::warn,
          std::string("the kernel refuses inotify here, as in a sandbox: ") + std::strerror(failure) + late};
}

Finding watch_limit_finding(std::optional<std::uint64_t> system_limit) {
  if (!system_limit) return {Severity::skip, "fs.inotify.max_user_watches cannot be read"};
  const std::string text = "fs.inotify.max_user_watches is " + count_text(*system_limit);
  if (*system_limit >= kComfortableWatches) return {Severity::ok, text};
  return {Severity::warn, text + ": few for large projects",
          "sudo sysctl fs.inotify.max_user_watches=" + std::to_string(kGoodWatches)};
}

Findings watch_findings(const Examined& examined) {
  const int refused = try_inotify();
  Findings findings{refused == 0 ? watch_limit_finding(system_watch_limit()) : inotify_finding(refused)};
  if (!examined) return findings;
  for (const auto& root : examined->status().roots()) {
    for (auto& finding : of_root(root)) findings.push_back(std::move(finding));
  }
  if (examined->status().unwatched_imports() > 0) findings.push_back(of_imports(examined->status()));
  return findings;
}

}  // namespace kiln

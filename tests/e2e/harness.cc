#include "tests/e2e/harness.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <regex>
#include <set>
#include <sstream>

namespace kiln::e2e {
namespace fs = std::filesystem;
namespace {

constexpr int kOldestMinor = 8;
constexpr int kNewestMinor = 13;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool is_elf(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::array<char, 4> magic{};
  file.read(magic.data(), magic.size());
  return std::string_view(magic.data(), magic.size()) ==
             "\x7f"
             "ELF" &&
         ::access(path.c_str(), X_OK) == 0;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, separator);) parts.push_back(part);
  return parts;
}

std::vector<fs::path> candidate_binaries() {
  std::vector<fs::path> paths{"/usr/bin/python3"};
  for (const std::string& dir : split(variable("PATH"), ':')) {
    for (int minor = kOldestMinor; minor <= kNewestMinor; ++minor) {
      paths.push_back(fs::path(dir) / ("python3." + std::to_string(minor)));
    }
  }
  std::set<fs::path> managed;  // sorted: the order of tests is the same on every run
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(variable("HOME") + "/.pyenv/versions", none)) {
    managed.insert(entry.path() / "bin/python3");
    managed.insert(entry.path() / "bin/python");
  }
  paths.insert(paths.end(), managed.begin(), managed.end());
  return paths;
}

// "cpython 3 11", asked from the binary itself; empty if it cannot say.
std::string identity(const std::string& python) {
  return run({.argv =
                  {python, "-c",
                   "import sys; print(getattr(sys, 'implementation', sys).__dict__.get('name', 'cpython'),"
                   " sys.version_info[0], sys.version_info[1])"},
              .cwd = "/"})
      .out;
}

struct Found {
  std::vector<Python> served;
  std::vector<Python> unserved;
};

void add(Found& found, const std::string& path, int major, int minor) {
  const bool served = major == 3 && minor >= kOldestMinor && minor <= kNewestMinor;
  std::vector<Python>& list = served ? found.served : found.unserved;
  std::string name = "py" + std::to_string(major) + std::to_string(minor);
  const auto same = [&](const Python& other) { return other.name == name; };
  while (std::ranges::any_of(list, same)) name += "b";
  list.push_back({name, path, minor});
}

Found find_interpreters() {
  Found found;
  std::set<fs::path> seen;
  for (const fs::path& path : candidate_binaries()) {
    std::error_code missing;
    const fs::path real = fs::canonical(path, missing);
    if (missing || !is_elf(real) || !seen.insert(real).second) continue;
    std::istringstream words(identity(path));
    std::string name;
    int major = 0;
    int minor = 0;
    if (words >> name >> major >> minor) add(found, path, major, minor);
  }
  const std::vector<std::string> wanted = split(variable("KILN_E2E_PYTHONS"), ',');
  if (!wanted.empty()) {
    std::erase_if(found.served,
                  [&](const Python& python) { return std::ranges::count(wanted, python.name) == 0; });
  }
  return found;
}

const Found& found_interpreters() {
  static const Found found = find_interpreters();
  return found;
}

std::string make_home() {
  std::string name = fs::temp_directory_path() / "kiln-e2e.XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) std::abort();
  for (const char* part : {"home", "tmp", "run", "cache"}) fs::create_directory(fs::path(name) / part);
  ::chmod((name + "/run").c_str(), 0700);
  return name;
}

std::string file_or_empty(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();  // unlike an iterator, throws nothing where a process ends while it is read of
  return content.str();
}

// Session of process PID: the sixth field of its stat, counted after the name, which may hold anything.
pid_t session_of(pid_t pid) {
  const std::string stat = file_or_empty("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t end_of_name = stat.rfind(')');
  if (end_of_name == std::string::npos) return -1;
  std::istringstream rest(stat.substr(end_of_name + 1));
  std::string state;
  pid_t parent = 0;
  pid_t group = 0;
  pid_t session = 0;
  rest >> state >> parent >> group >> session;
  return state == "Z" ? -1 : session;
}

bool carries_our_runtime_dir(pid_t pid) {
  const std::string environment = file_or_empty("/proc/" + std::to_string(pid) + "/environ");
  return ('\0' + environment).find('\0' + ("KILN_RUNTIME_DIR=" + runtime_dir()) + '\0') != std::string::npos;
}

bool is_own(pid_t pid) {
  return session_of(pid) == ::getsid(0) || carries_our_runtime_dir(pid);
}

std::string describe_process(pid_t pid) {
  std::string command = file_or_empty("/proc/" + std::to_string(pid) + "/cmdline");
  std::ranges::replace(command, '\0', ' ');
  return std::to_string(pid) + ": " + command;
}

// Leaves the session that the terminal belongs to. A group leader cannot: its child goes on in its place.
void become_session_leader() {
  if (::setsid() >= 0) return;
  const pid_t child = ::fork();
  if (child == 0) {
    ::setsid();
    return;
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  std::_Exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

}  // namespace

void PrintTo(const Python& python, std::ostream* out) {
  *out << python.path;
}

const std::vector<Python>& interpreters() {
  return found_interpreters().served;
}
const std::vector<Python>& unserved_interpreters() {
  return found_interpreters().unserved;
}
const Python& any_python() {
  return interpreters().front();
}

const std::string& kiln_binary() {
  static const std::string path =
      variable("KILN_UNDER_TEST").empty() ? KILN_BINARY : variable("KILN_UNDER_TEST");
  return path;
}

std::string programs_dir() {
  return KILN_PROGRAMS_DIR;
}

const std::string& home_dir() {
  static const std::string dir = make_home();
  return dir;
}

const std::string& runtime_dir() {
  static const std::string dir = home_dir() + "/run";
  return dir;
}

const std::string& cache_dir() {
  static const std::string dir = home_dir() + "/cache";
  return dir;
}

std::string work_dir() {
  return home_dir() + "/work";
}

bool programs_are_run_ahead() {
  const char* programs = std::getenv("KILN_TEST_PROGRAMS");
  return programs != nullptr && std::string_view(programs) == "true";
}

std::vector<std::string> base_environment() {
  return {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + home_dir() + "/home", "LANG=C.UTF-8",
          "TMPDIR=" + home_dir() + "/tmp", "KILN_RUNTIME_DIR=" + runtime_dir(),
          "KILN_CACHE_DIR=" + cache_dir(), "KILN_CONFIG=" + home_dir() + "/kiln.toml",
          // program_image_test.cc has them; KILN_TEST_PROGRAMS=true: all other tests, too.
          std::string("KILN_IMAGES_PROGRAMS=") + (programs_are_run_ahead() ? "true" : "false"), "KILN_LOG=1"};
}

void apply_change(std::vector<std::string>& environment, const std::string& change) {
  const std::string name = change.substr(0, change.find('='));
  const auto found = std::ranges::find_if(
      environment, [&](const std::string& entry) { return entry.substr(0, entry.find('=')) == name; });
  const bool removes = change.find('=') == std::string::npos;
  if (found == environment.end()) {
    if (!removes) environment.push_back(change);
  } else if (removes) {
    environment.erase(found);
  } else {
    *found = change;
  }
}

std::vector<std::string> environment_with(const std::vector<std::string>& changes) {
  std::vector<std::string> environment = base_environment();
  for (const std::string& change : changes) apply_change(environment, change);
  return environment;
}

// "error: what", an empty line, "hint: the command": whoever is told that something is wrong is told what
// helps.
static void expect_hints(const std::string& err) {
  static const std::regex unhelpful("(^|\n)(error: [^\n]*)\n(?!\nhint: )");
  std::smatch found;
  if (std::regex_search(err, found, unhelpful)) ADD_FAILURE() << "no hint comes with \"" << found[2] << "\"";
}

Outcome kiln(const std::vector<std::string>& arguments, const std::vector<std::string>& changes) {
  Invocation invocation{.argv = {kiln_binary()}, .environment = environment_with(changes)};
  invocation.argv.insert(invocation.argv.end(), arguments.begin(), arguments.end());
  Outcome outcome = run(invocation);
  const bool is_programs = !arguments.empty() && (arguments[0] == "run" || arguments[0] == "x");
  if (!is_programs) expect_hints(outcome.err);
  return outcome;
}

bool await(const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kDeadlineMs);
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    kiln({"status", "--json"});
  }
  return true;
}

std::string python_output(const Python& python, const std::string& code) {
  return run({.argv = {python.path, "-c", code}}).out;
}

LogLine take_log_line(std::string& err) {
  static const std::regex form("kiln: (warm|bare|exec) reason=([a-z-]+).*");
  std::vector<std::pair<std::size_t, std::size_t>> lines;  // offset, length with the newline
  for (std::size_t at = 0; at < err.size();) {
    const std::size_t end = std::min(err.find('\n', at), err.size() - 1) + 1;
    if (err.compare(at, 6, "kiln: ") == 0) lines.emplace_back(at, end - at);
    at = end;
  }
  if (lines.size() != 1) return {};
  std::string line = err.substr(lines[0].first, lines[0].second);
  err.erase(lines[0].first, lines[0].second);
  std::smatch match;
  if (line.empty() || line.back() != '\n') return {"", "", line};
  line.pop_back();
  if (!std::regex_match(line, match, form)) return {"", "", line};
  return {match[1], match[2], line};
}

LogLine run_until_bare(const Python& python, const std::vector<std::string>& arguments,
                       const std::vector<std::string>& environment) {
  constexpr int kMostTries = 200;
  Invocation invocation{
      .argv = {kiln_binary(), "run", "--python", python.path}, .environment = environment, .cwd = "/"};
  invocation.argv.insert(invocation.argv.end(), arguments.begin(), arguments.end());
  LogLine last;
  for (int i = 0; i < kMostTries && !last.is_served(); ++i) {
    Outcome outcome = run(invocation);
    last = take_log_line(outcome.err);
  }
  return last;
}

std::map<std::string, std::string> snapshot(const std::string& dir) {
  std::map<std::string, std::string> files;
  std::error_code none;
  for (const auto& entry : fs::recursive_directory_iterator(dir, none)) {
    const std::string name = fs::relative(entry.path(), dir);
    if (entry.is_symlink()) {
      files[name] = "-> " + fs::read_symlink(entry.path()).string();
    } else if (entry.is_directory()) {
      files[name + "/"] = "";
    } else {
      files[name] = entry.is_regular_file() ? file_or_empty(entry.path()) : "(special)";
    }
  }
  return files;
}

void write_file(const std::string& path, std::string_view content) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

std::string read_file(const std::string& path) {
  return file_or_empty(path);
}

void reset_work_dir() {
  fs::remove_all(work_dir());
  fs::create_directory(work_dir());
}

pid_t daemon_pid() {
  const Outcome status = kiln({"status", "--json"});
  static const std::regex form("\"daemon\"[^{}]*\\{[^{}]*\"pid\"\\s*:\\s*([0-9]+)");
  std::smatch match;
  return std::regex_search(status.out, match, form) ? std::stoi(match[1]) : -1;
}

std::vector<pid_t> own_processes(std::string_view name) {
  std::vector<pid_t> pids;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator("/proc", none)) {
    const pid_t pid = std::atoi(entry.path().filename().c_str());
    if (pid <= 0 || pid == ::getpid() || !is_own(pid)) continue;
    if (!name.empty() && fs::read_symlink(entry.path() / "exe", none).filename() != name) continue;
    pids.push_back(pid);
  }
  return pids;
}

std::vector<pid_t> children_of(pid_t pid) {
  std::istringstream text(
      read_file("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children"));
  return {std::istream_iterator<pid_t>(text), {}};
}

bool wait_gone(pid_t pid, int timeout_ms) {
  const UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!fd) return errno == ESRCH;
  pollfd polled{fd.get(), POLLIN, 0};
  int ready = 0;
  while ((ready = ::poll(&polled, 1, timeout_ms)) < 0 && errno == EINTR) {
  }
  return ready == 1;
}

void enter_private_session() {
  ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  become_session_leader();
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // orphans come to us, not to some init that we cannot ask
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::umask(022);
  reset_work_dir();
  // Trees are made anew under the same names: what is compiled by itself would fall into the next test's.
  write_file(home_dir() + "/kiln.toml", "watch.policy = \"none\"\n");
}

std::vector<std::string> leave_private_session() {
  constexpr int kGraceMs = 15'000;
  reset_work_dir();
  kiln({"daemon", "stop"});
  std::vector<std::string> leftovers;
  const auto started = std::chrono::steady_clock::now();
  for (const pid_t pid : own_processes()) {
    const auto spent = std::chrono::steady_clock::now() - started;
    const auto spent_ms = std::chrono::duration_cast<std::chrono::milliseconds>(spent).count();
    const std::string description = describe_process(pid);
    if (wait_gone(pid, std::max<int>(0, kGraceMs - static_cast<int>(spent_ms)))) continue;
    leftovers.push_back(description);
    ::kill(pid, SIGKILL);
  }
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {
  }
  fs::remove_all(home_dir());
  return leftovers;
}

}  // namespace kiln::e2e

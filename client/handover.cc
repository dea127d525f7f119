#include "client/handover.h"
#include "client/own_umask.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "common/fd_passing.h"
#include "common/name_pattern.h"
#include "common/paths.h"
#include "common/rehearsal.h"

extern char** environ;

namespace kiln {
namespace {

// Patterns (common/name_pattern.h) of variables that act while a process starts: on the dynamic
// linker, the C library and the interpreter. A bare image has them as they were when it was started.
constexpr std::array<std::string_view, 13> kStartupVariables{
    "LD_*", "MALLOC_*", "GLIBC_TUNABLES", "_STDBUF_*", "GCONV_PATH", "NLSPATH", "LOCPATH",
    "LC_*", "LANG",     "LANGUAGE",       "TZ",        "TZDIR",      "PYTHON*"};
// Start-up variables that hold paths, or lists of them; relative ones mean another place in each working
// directory.
constexpr std::array<std::string_view, 6> kPathVariables{
    "PYTHONPATH=",     "PYTHONHOME=",       "PYTHONPYCACHEPREFIX=",
    "PYTHONUSERBASE=", "PYTHONPLATLIBDIR=", "LD_LIBRARY_PATH="};

bool has_relative_entry(std::string_view list) {
  while (true) {
    const std::size_t colon = list.find(':');
    const std::string_view entry = list.substr(0, colon);
    if (entry.empty() || entry[0] != '/') return true;
    if (colon == std::string_view::npos) return false;
    list.remove_prefix(colon + 1);
  }
}

// Does any start-up setting mean something else in another working directory?
bool depends_on_cwd(const proto::ImageKey& key) {
  for (const std::string& variable : key.environment()) {
    for (const std::string_view name : kPathVariables) {
      if (variable.starts_with(name) && has_relative_entry(std::string_view(variable).substr(name.size())))
        return true;
    }
    if (variable.starts_with("LD_PRELOAD=")) return true;  // entries are separated by spaces, too; rare
  }
  for (const std::string& option : key.options()) {
    if (option.starts_with("pycache_prefix=") && !option.starts_with("pycache_prefix=/")) return true;
  }
  return !key.argv0().empty() && key.argv0()[0] != '/' && key.argv0().find('/') != std::string::npos;
}

std::string current_dir() {
  std::array<char, 4096> buffer{};
  return ::getcwd(buffer.data(), buffer.size()) != nullptr ? buffer.data() : std::string();
}

// Where the configuration of the program's project is looked for.
std::string place_of(const PythonCommand& command) {
  const std::string cwd = current_dir();
  if (command.kind != TargetKind::file) return cwd;
  const bool is_unknown = cwd.empty() && !command.target.starts_with('/');
  return is_unknown ? std::string() : absolute_path(command.target, cwd);
}

// All open descriptors but OWN_FD, ascending.
Result<std::vector<int>> open_descriptors(int own_fd) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir{::opendir("/proc/self/fd"), ::closedir};
  if (!dir) return errno_error("cannot read /proc/self/fd", Reason::descriptors);
  std::vector<int> fds;
  while (const dirent* entry = ::readdir(dir.get())) {
    if (entry->d_name[0] == '.') continue;
    const int fd = std::atoi(entry->d_name);
    if (fd != own_fd && fd != ::dirfd(dir.get())) fds.push_back(fd);
  }
  std::ranges::sort(fds);
  return fds;
}

std::int32_t oom_score_adj() {
  const UniqueFd fd{::open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC)};
  std::array<char, 16> text{};
  if (!fd || ::read(fd.get(), text.data(), text.size() - 1) <= 0) return 0;
  return std::atoi(text.data());
}

// A program that was run ahead may have asked for it.
std::string host() {
  utsname names{};
  if (::uname(&names) != 0) return {};
  return std::string(names.nodename) + '.' + names.domainname;
}

std::string affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return {};
  return {reinterpret_cast<const char*>(&set), sizeof set};
}

}  // namespace

proto::RunRequest make_run_request(const Context& context, const ChosenInterpreter& interpreter,
                                   const PythonCommand& command) {
  proto::RunRequest request;
  proto::ImageKey& key = *request.mutable_key();
  key.set_python(interpreter.path);
  key.set_argv0(interpreter.argv0);
  for (const auto& option : command.options) key.add_options(option);
  for (const auto& line : context.lines) key.add_context(line);
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view entry = *variable;
    const std::string_view name = entry.substr(0, entry.find('='));
    if (matches_any(name, kStartupVariables)) key.add_environment(*variable);
    request.add_environment(*variable);
  }
  std::ranges::sort(*key.mutable_environment());
  if (depends_on_cwd(key)) key.set_cwd(current_dir());
  request.set_place(place_of(command));
  request.set_mount_namespace(context.mount_namespace);
  request.set_root_device(context.root_device);
  request.set_root_inode(context.root_inode);
  return request;
}

void describe_launch(const Launch& launch, proto::RunRequest& request) {
  // With very many arguments, or without its standard streams, a program is not run ahead.
  constexpr std::size_t kMaxArguments = 1000;
  const bool has_streams = launch.descriptors.size() >= 3 && launch.descriptors[2] == 2;  // ascending
  if (!has_streams || launch.arguments.size() > kMaxArguments) return;
  Launch described = launch;
  described.environment.clear();
  request.set_launch(encode_launch(described));
  request.set_cwd(current_dir());
  request.set_streams(stream_kinds());
}

Result<Handover> make_handover(const Context& context, const PythonCommand& command,
                               const ChosenInterpreter& interpreter, std::span<char* const> arguments,
                               std::uint64_t blocked_signals, int own_fd) {
  Handover handover;
  Launch& launch = handover.launch;
  launch.kind = command.kind;
  launch.target = command.target;
  launch.arguments = command.arguments;
  launch.command_line = {interpreter.argv0};
  launch.command_line.insert(launch.command_line.end(), arguments.begin(), arguments.end());
  const std::string& executed = interpreter.executed();
  launch.name = executed.substr(executed.rfind('/') + 1);
  for (char** variable = environ; *variable != nullptr; ++variable)
    launch.environment.emplace_back(*variable);
  launch.descriptors = TRY(open_descriptors(own_fd));
  if (launch.descriptors.size() + 1 > kMaxPassedFds) {
    return Error{
        Reason::descriptors, std::to_string(launch.descriptors.size()) + " descriptors are open", {}};
  }
  launch.umask = own_umask();
  launch.ignored_signals = context.ignored_signals;
  launch.blocked_signals = blocked_signals;
  static_assert(kResourceLimits == RLIM_NLIMITS);
  std::ranges::transform(context.limits, launch.soft_limits.begin(), &rlimit::rlim_cur);
  launch.affinity = affinity();
  launch.host = host();
  launch.oom_score_adj = oom_score_adj();
  launch.process_group = ::getpgrp();
  handover.cwd.reset(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!handover.cwd) return errno_error("cannot open the working directory", Reason::setup);
  handover.fds = launch.descriptors;
  handover.fds.push_back(handover.cwd.get());
  return handover;
}

}  // namespace kiln

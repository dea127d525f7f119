#include "client/context.h"

#include <fcntl.h>
#include <linux/keyctl.h>
#include <sys/auxv.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <span>
#include <string_view>

#include "client/proc_stat.h"
#include "client/process_group.h"
#include "common/unique_fd.h"
#include "common/variables.h"

namespace kiln {
namespace {

// A /proc file in one read; they are all small. Empty when it cannot be read.
std::optional<std::string> read_proc(const char* path) {
  const UniqueFd fd{::open(path, O_RDONLY | O_CLOEXEC)};
  if (!fd) return std::nullopt;
  std::string text(16384, '\0');
  const ssize_t size = ::read(fd.get(), text.data(), text.size());
  if (size < 0) return std::nullopt;
  text.resize(static_cast<std::size_t>(size));
  return text;
}

// The value of "NAME:\tvalue\n" in /proc/self/status.
std::string_view status_value(std::string_view status, std::string_view name) {
  std::size_t at = 0;
  while (at < status.size()) {
    const std::size_t end = status.find('\n', at);
    const std::string_view line = status.substr(at, end - at);
    if (line.starts_with(name) && line.size() > name.size() && line[name.size()] == ':') {
      return line.substr(std::min(name.size() + 2, line.size()));
    }
    if (end == std::string_view::npos) break;
    at = end + 1;
  }
  return {};
}

// Lines of /proc/self/status that children of an image take from the image.
constexpr std::array<std::string_view, 14> kStatusLines{"Uid",
                                                        "Gid",
                                                        "Groups",
                                                        "CapInh",
                                                        "CapPrm",
                                                        "CapEff",
                                                        "CapBnd",
                                                        "CapAmb",
                                                        "NoNewPrivs",
                                                        "Seccomp",
                                                        "Seccomp_filters",
                                                        "Speculation_Store_Bypass",
                                                        "SpeculationIndirectBranch",
                                                        "Mems_allowed_list"};
// What a sandbox leaves there. Which filters, and which Landlock domain, cannot be read.
constexpr std::array<std::string_view, 3> kSandboxLines{"NoNewPrivs", "Seccomp", "Seccomp_filters"};
constexpr int kIoprioWhoProcess = 1;  // IOPRIO_WHO_PROCESS: <linux/ioprio.h> is no C++
constexpr std::array<const char*, 8> kNamespaces{"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"};

// struct sched_attr of <linux/sched/types.h>, which does not go together with glibc's <sched.h>.
struct SchedulingAttributes {
  std::uint32_t size;
  std::uint32_t policy;
  std::uint64_t flags;
  std::int32_t nice;
  std::uint32_t priority;
  std::array<std::uint64_t, 3> deadline;
  std::array<std::uint32_t, 2> utilization;
};
constexpr std::uint64_t kResetOnFork = 1;  // SCHED_FLAG_RESET_ON_FORK

class Reader {
 public:
  std::optional<Context> read() {
    const auto status = read_proc("/proc/self/status");
    if (!status || !namespaces() || !root()) return std::nullopt;
    from_status(*status);
    session_ = ::getsid(0);
    number("sid", session_);
    if (is_sandboxed(*status)) context_.unshared = Reason::sandboxed;
    // cgroup v1 and v2 alike: one line a hierarchy. Absent without the controller, equal for all then.
    text("cgroup", read_proc("/proc/self/cgroup").value_or(""));
    text("label", read_proc("/proc/self/attr/current").value_or(""));
    text("core", read_proc("/proc/self/coredump_filter").value_or(""));
    limits();
    scheduling();
    attributes();
    return std::move(context_);
  }

 private:
  void text(std::string name, std::string_view value) {
    name += '=';
    name += value;
    context_.lines.push_back(std::move(name));
  }
  void number(std::string name, std::int64_t value) { text(std::move(name), std::to_string(value)); }

  bool namespaces() {
    for (const char* name : kNamespaces) {
      const auto target = namespace_of(name);
      if (!target) return false;
      text(std::string("ns.") + name, *target);
      if (std::string_view(name) == "mnt")
        context_.mount_namespace = std::strtoull(target->c_str() + 5, nullptr, 10);
      // Children live in another one than their parent after unshare(2): an image would, and python does not.
      if (std::string_view(name) != "pid" && std::string_view(name) != "time") continue;
      if (namespace_of(std::string(name) + "_for_children") != target) context_.unshared = Reason::unshared;
    }
    return context_.mount_namespace != 0;
  }

  // Empty, but there, for a kind that the kernel does not have.
  static std::optional<std::string> namespace_of(const std::string& name) {
    char target[64];
    const ssize_t size = ::readlink(("/proc/self/ns/" + name).c_str(), target, sizeof target);
    if (size < 0) return errno == ENOENT ? std::optional<std::string>("") : std::nullopt;
    return std::string(target, static_cast<std::size_t>(size));
  }

  bool root() {
    struct stat status {};
    if (::stat("/", &status) != 0) return false;
    context_.root_device = status.st_dev;
    context_.root_inode = status.st_ino;
    text("root", std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino));
    return true;
  }

  void from_status(std::string_view status) {
    for (const auto name : kStatusLines) text(std::string(name), status_value(status, name));
    context_.ignored_signals =
        std::strtoull(std::string(status_value(status, "SigIgn")).c_str(), nullptr, 16);
    context_.tracer_pid = std::atoi(std::string(status_value(status, "TracerPid")).c_str());
  }

  // Was this process put into a sandbox that its session's leader is not in? Others, in the same session, may
  // look alike from outside and live in another. Within one, as in a container, all are alike.
  bool is_sandboxed(std::string_view status) const {
    if (status_value(status, "NoNewPrivs") != "1" && status_value(status, "Seccomp") == "0") return false;
    const auto leader = read_proc(("/proc/" + std::to_string(session_) + "/status").c_str());
    return !leader || !std::ranges::all_of(kSandboxLines, [&](std::string_view name) {
      return status_value(*leader, name) == status_value(status, name);
    });
  }

  void limits() {
    for (int resource = 0; resource < RLIM_NLIMITS; ++resource) {
      rlimit& limit = context_.limits[static_cast<std::size_t>(resource)];
      ::getrlimit(static_cast<__rlimit_resource>(resource), &limit);
      number("hard." + std::to_string(resource), static_cast<std::int64_t>(limit.rlim_max));
      // The main thread's stack and the layout of mappings are fixed by the soft limit at exec.
      if (resource == RLIMIT_STACK) number("stack", static_cast<std::int64_t>(limit.rlim_cur));
    }
  }

  void scheduling() {
    SchedulingAttributes attributes{};
    ::syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0);
    if ((attributes.flags & kResetOnFork) != 0) context_.unshared = Reason::unshared;
    text("scheduling", {reinterpret_cast<const char*>(&attributes), sizeof attributes});
    number("ioprio", ::syscall(SYS_ioprio_get, kIoprioWhoProcess, 0));
    int mode = 0;
    unsigned long nodes[16]{};
    ::syscall(SYS_get_mempolicy, &mode, nodes, sizeof nodes * 8, nullptr, 0UL);
    number("mempolicy", mode);
    number("memnodes", static_cast<std::int64_t>(nodes[0]));
  }

  void attributes() {
    number("personality", ::personality(0xffffffffU));
    number("keyring", ::syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0));
    number("securebits", ::prctl(PR_GET_SECUREBITS));
    number("timerslack", ::prctl(PR_GET_TIMERSLACK));
    number("thp", ::prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
    number("dumpable", ::prctl(PR_GET_DUMPABLE));
    number("mce", ::prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
    int of_parent_death = 0;
    int reaps = 0;
    ::prctl(PR_GET_PDEATHSIG, &of_parent_death);
    ::prctl(PR_GET_CHILD_SUBREAPER, &reaps);
    if (of_parent_death != 0 || reaps != 0) context_.unshared = Reason::unshared;  // this process's alone
  }

  Context context_;
  pid_t session_ = 0;
};

bool has_controlling_terminal() {
  const UniqueFd fd{::open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC)};
  // ENXIO: no controlling terminal. ENOENT: no /dev/tty at all, as in bare containers, so no way to tell by
  // it.
  if (fd || errno == ENXIO) return static_cast<bool>(fd);
  constexpr int kTerminal = 7;
  return proc_stat_field(::getpid(), kTerminal).value_or(1) != 0;
}

// Variables by which a service manager speaks to exactly this pid (sd_notify(3), sd_listen_fds(3)).
constexpr std::array<const char*, 3> kSupervision{"LISTEN_PID", "NOTIFY_SOCKET", "WATCHDOG_PID"};
// Variables that ask for watching, or for another mode, from the interpreter's first moment on.
constexpr std::array<const char*, 17> kInstrumentation{
    "PYTHONDEVMODE",           "COVERAGE_PROCESS_START",  "COV_CORE_SOURCE",    "PYTHONTRACEMALLOC",
    "PYTHONPROFILEIMPORTTIME", "PYTHONINSPECT",           "PYTHONFAULTHANDLER", "PYTHONDUMPREFS",
    "PYTHONMALLOCSTATS",       "PYTHONVERBOSE",           "PYTHONDEBUG",        "PYTHONPERFSUPPORT",
    "PYTHONDUMPREFSFILE",      "COVERAGE_PROCESS_CONFIG", "COV_CORE_DATAFILE",  "PYTHON_PERF_JIT_SUPPORT",
    "COV_CORE_CONFIG"};

bool any_set(std::span<const char* const> names) {
  return std::ranges::any_of(names, [](const char* name) { return value_of(name) != nullptr; });
}

// The debug hooks check each block as it is freed. Where an image's child of 3.8 is finalized they find one
// that was made without them, and end it.
bool has_checked_memory() {
  const char* allocator = std::getenv("PYTHONMALLOC");
  return allocator != nullptr && std::string_view(allocator).find("debug") != std::string_view::npos;
}

// Interval timers survive an exec, alarm(2)'s among them, and so may be meant for the program.
bool has_running_timer() {
  return std::ranges::any_of(std::array{ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF}, [](__itimer_which kind) {
    itimerval timer{};
    return ::getitimer(kind, &timer) == 0 && (timer.it_value.tv_sec != 0 || timer.it_value.tv_usec != 0);
  });
}

}  // namespace

std::optional<Context> read_context() {
  return Reader().read();
}

std::optional<Reason> must_exec(const Context& context) {
  if (context.tracer_pid != 0) return Reason::traced;
  if (::getauxval(AT_SECURE) != 0) return Reason::secure;
  if (::getpid() == 1) return Reason::init;
  if (any_set(kSupervision)) return Reason::supervised;
  if (any_set(kInstrumentation) || has_checked_memory()) return Reason::instrumented;
  const auto is_limited = [&](auto resource) {
    return context.limits[static_cast<std::size_t>(resource)].rlim_cur != RLIM_INFINITY;
  };
  if (is_limited(RLIMIT_AS) || is_limited(RLIMIT_DATA)) return Reason::limited;
  if (has_running_timer()) return Reason::timer;
  // Its child would have a parent in the session, the image, and so be stopped where this process is not.
  if (has_controlling_terminal() && is_orphaned(::getpgrp())) return Reason::orphaned;
  // An image belongs to a session and ends with its leader: for this run it would come too late.
  if (::getsid(0) == ::getpid()) return Reason::session;
  return context.unshared;
}

}  // namespace kiln

#include "daemon/image/system_calls.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace kiln::image {
namespace {

constexpr int kStandard = 3;  // below it are the standard streams
constexpr int kNear = 90;     // numbers from there on may be beyond what is looked for
std::vector<int>& stand_ins() {
  static auto* descriptors = new std::vector<int>;
  return *descriptors;
}

int descriptor(std::uint64_t argument) {
  return static_cast<int>(argument);
}

const char* text(std::uint64_t argument) {
  return reinterpret_cast<const char*>(argument);
}

bool is_stand_in(int fd) {
  return std::ranges::find(stand_ins(), fd) != stand_ins().end();
}

bool is_standard(const SystemCall& call) {
  return is_stand_in(descriptor(call.arguments[0]));
}

// Inherited besides the standard streams, whose kinds are a part of the key.
bool is_other_stand_in(const SystemCall& call) {
  return is_standard(call) && descriptor(call.arguments[0]) >= kStandard;
}

bool is_below(const char* path, std::string_view directory) {
  while (path[0] == '/' && path[1] == '/') ++path;
  return std::string_view(path).starts_with(directory);
}

// Where a standard stream stands: whoever wraps it asks. It cannot be told of a pipe, a socket or a terminal;
// and the kind of a file says whether it stands at its beginning.
bool asks_known_position(const SystemCall& call) {
  const bool asks = call.arguments[1] == 0 && call.arguments[2] == SEEK_CUR;
  return asks && !is_other_stand_in(call) && ::lseek(descriptor(call.arguments[0]), 0, SEEK_CUR) <= 0;
}

// Paths that mean this process's own descriptors, or are relative to one that only stands in.
bool names_stand_in(int dirfd, const char* path) {
  if (path == nullptr) return false;
  return is_below(path, "/dev/fd") || is_below(path, "/dev/std") ||
         (path[0] != '/' && path[0] != '\0' && is_stand_in(dirfd));
}

CallKind unless_standard(const SystemCall& call) {
  return is_standard(call) ? CallKind::effect : CallKind::harmless;
}

// File systems whose files are made up when somebody looks at them, as of <linux/magic.h>.
bool is_made_up(const struct statfs& system) {
  constexpr std::array<long, 10> kMadeUp{
      PROC_SUPER_MAGIC, SYSFS_MAGIC,      CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC,
      TRACEFS_MAGIC,    SECURITYFS_MAGIC, BPF_FS_MAGIC,       DEVPTS_SUPER_MAGIC,  NSFS_MAGIC};
  return std::ranges::find(kMadeUp, system.f_type) != kMadeUp.end();
}

// A link into a process, whatever path leads there.
bool is_link_of_proc(int dirfd, const char* path) {
  const int link = ::openat(dirfd, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  struct statfs system {};
  const bool is_made_up_link = link >= 0 && ::fstatfs(link, &system) == 0 && is_made_up(system);
  if (link >= 0) ::close(link);
  return is_made_up_link;
}

// Files whose content is made up when they are read, or that do something when they are opened.
bool is_plain(int dirfd, const char* path, std::uint64_t flags) {
  const std::string_view name = path;
  if (name == "/dev/null") return true;
  // How many processors there are: the C library asks, and all runs of an image may use the same.
  if (name.starts_with("/sys/devices/system/cpu/")) return true;
  for (const char* made_up : {"/proc", "/sys/", "/dev/"}) {
    if (is_below(path, made_up)) return false;
  }
  if (dirfd != AT_FDCWD && path[0] != '/') return false;  // statfs(2) knows no other place
  struct stat status {};
  if (::fstatat(dirfd, path, &status, (flags & O_NOFOLLOW) != 0 ? AT_SYMLINK_NOFOLLOW : 0) != 0) return true;
  if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) return false;
  struct statfs system {};
  // A symlink into /proc, say.
  return name.empty() || ::statfs(path, &system) != 0 || !is_made_up(system);
}

CallKind kind_of_open(int dirfd, const char* path, std::uint64_t flags) {
  if (path == nullptr) return CallKind::harmless;  // EFAULT
  if (std::string_view(path) == "/dev/urandom" || std::string_view(path) == "/dev/random")
    return CallKind::random;
  if (std::string_view(path) == "/dev/null" && (flags & O_CREAT) == 0) return CallKind::looks;
  constexpr std::uint64_t kChanges = O_CREAT | O_TRUNC | O_TMPFILE;
  if (names_stand_in(dirfd, path)) return CallKind::effect;
  const bool reads =
      (flags & O_ACCMODE) == O_RDONLY && (flags & (kChanges & ~std::uint64_t{O_DIRECTORY})) == 0;
  return reads && is_plain(dirfd, path, flags) ? CallKind::looks : CallKind::effect;
}

CallKind kind_of_ioctl(const SystemCall& call) {
  switch (call.arguments[1]) {
    case FIOCLEX:
    case FIONCLEX:
      return unless_standard(call);
    case TCGETS:
      if (is_other_stand_in(call)) return CallKind::effect;
      // isatty(3): the kinds of the standard streams are the image's key; of a terminal this would also tell
      // its modes.
      if (!is_standard(call)) return CallKind::harmless;
      return ::isatty(descriptor(call.arguments[0])) == 1 ? CallKind::effect : CallKind::harmless;
    case TIOCGWINSZ:
      if (is_other_stand_in(call)) return CallKind::effect;
      return ::isatty(descriptor(call.arguments[0])) == 1 ? CallKind::effect : CallKind::harmless;
    default:
      return CallKind::effect;
  }
}

CallKind kind_of_fcntl(const SystemCall& call) {
  switch (call.arguments[1]) {
    case F_GETFD:
      return CallKind::harmless;
    case F_GETFL:
    case F_SETFD:
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
      return unless_standard(call);
    default:
      return CallKind::effect;
  }
}

// Only memory of this process: files are never open for writing here.
CallKind kind_of_mmap(const SystemCall& call) {
  const bool is_shared = (call.arguments[3] & MAP_SHARED) != 0 && (call.arguments[3] & MAP_PRIVATE) == 0;
  const bool is_anonymous = (call.arguments[3] & MAP_ANONYMOUS) != 0;
  if (is_shared && is_anonymous) return CallKind::effect;  // children of one image would share it
  return !is_anonymous && is_stand_in(descriptor(call.arguments[4])) ? CallKind::effect : CallKind::harmless;
}

// Nobody else is there to wait for; but a time may be over.
CallKind kind_of_futex(const SystemCall& call) {
  constexpr std::uint64_t kCommand = 127;  // FUTEX_CMD_MASK
  constexpr std::uint64_t kWait = 0;       // FUTEX_WAIT
  constexpr std::uint64_t kWaitBitset = 9;
  const std::uint64_t command = call.arguments[1] & kCommand;
  return command == kWait || command == kWaitBitset ? CallKind::effect : CallKind::harmless;
}

CallKind kind_of_madvise(const SystemCall& call) {
  const auto advice = static_cast<int>(call.arguments[2]);
  return advice == MADV_DONTFORK || advice == MADV_WIPEONFORK ? CallKind::effect : CallKind::harmless;
}

CallKind look(int dirfd, const char* path) {
  return names_stand_in(dirfd, path) ? CallKind::effect : CallKind::looks;
}

CallKind read_link(int dirfd, const char* path) {
  return path != nullptr && is_link_of_proc(dirfd, path) ? CallKind::effect : look(dirfd, path);
}

// By which it cancels threads, and has all of them change their user: nobody else can handle these, and forks
// keep what it does.
bool is_c_librarys_signal(std::uint64_t signal) {
  return signal >= 32 && signal < static_cast<std::uint64_t>(SIGRTMIN);
}

CallKind if_null(std::uint64_t argument) {
  return argument == 0 ? CallKind::harmless : CallKind::effect;
}

}  // namespace

void set_stand_ins(const std::vector<int>& descriptors) {
  stand_ins() = descriptors;
}

bool makes_file(const SystemCall& call) {
  constexpr std::array<long, 9> kCalls{SYS_open,   SYS_openat,   SYS_write,  SYS_mkdir,   SYS_mkdirat,
                                       SYS_rename, SYS_renameat, SYS_unlink, SYS_unlinkat};
  return std::ranges::find(kCalls, call.number) != kCalls.end();
}

bool starts_thread(const SystemCall& call) {
  const auto flags = [&]() -> std::uint64_t {
    if (call.number == SYS_clone) return call.arguments[0];
    return call.number == SYS_clone3 ? *reinterpret_cast<const std::uint64_t*>(call.arguments[0]) : 0;
  };
  return call.number == SYS_rt_sigprocmask || (flags() & CLONE_THREAD) != 0;
}

int descriptor_of(const SystemCall& call) {
  const auto& a = call.arguments;
  switch (call.number) {
    case SYS_read:
    case SYS_pread64:
    case SYS_readv:
    case SYS_preadv:
    case SYS_write:
    case SYS_pwrite64:
    case SYS_writev:
    case SYS_close:
    case SYS_dup:
    case SYS_dup2:
    case SYS_dup3:
    case SYS_lseek:
    case SYS_fstat:
    case SYS_fstatfs:
    case SYS_ftruncate:
    case SYS_fchdir:
    case SYS_fchmod:
    case SYS_fsync:
    case SYS_fdatasync:
    case SYS_flock:
    case SYS_ioctl:
    case SYS_fcntl:
    case SYS_getdents64:
    case SYS_fadvise64:
    case SYS_openat:
    case SYS_newfstatat:
    case SYS_statx:
    case SYS_faccessat:
    case SYS_readlinkat:
    case SYS_getsockopt:
    case SYS_getsockname:
    case SYS_getpeername:
      return descriptor(a[0]);
    case SYS_mmap:
      return (a[3] & MAP_ANONYMOUS) != 0 ? -1 : descriptor(a[4]);
    default:
      return -1;
  }
}

bool asks_of_open_file(const SystemCall& call) {
  const bool is_at = call.number == SYS_newfstatat || call.number == SYS_statx;
  const char* path = text(call.arguments[1]);
  return call.number == SYS_fstat || (is_at && (path == nullptr || *path == '\0'));
}

std::uint64_t memory_asked_for(const SystemCall& call) {
  const auto& a = call.arguments;
  static auto heap_end = reinterpret_cast<std::uint64_t>(::sbrk(0));
  switch (call.number) {
    case SYS_mmap:
      return (a[2] & PROT_WRITE) != 0 ? a[1] : 0;
    case SYS_mprotect:
      return (a[2] & PROT_WRITE) != 0 ? a[1] : 0;
    case SYS_mremap:
      return a[2] > a[1] ? a[2] - a[1] : 0;
    case SYS_brk: {
      const std::uint64_t former = heap_end;
      heap_end = std::max(heap_end, a[0]);
      return heap_end - former;
    }
    default:
      return 0;
  }
}

CallKind kind_of(const SystemCall& call) {
  const auto& a = call.arguments;
  switch (call.number) {
    case SYS_brk:
    case SYS_umask:  // runs that go on from here have the same, before and now
    case SYS_munmap:
    case SYS_mprotect:
    case SYS_mremap:
    case SYS_sched_yield:
    case SYS_getuid:
    case SYS_geteuid:
    case SYS_getgid:
    case SYS_getegid:
    case SYS_getgroups:
    case SYS_getresuid:
    case SYS_getresgid:
    case SYS_uname:
    case SYS_getrlimit:
    case SYS_clock_getres:
    case SYS_fadvise64:
      return CallKind::harmless;
    case SYS_madvise:
      return kind_of_madvise(call);
    case SYS_futex:
      return kind_of_futex(call);
    case SYS_sched_getaffinity:
      return if_null(a[0]);  // else of another process
    case SYS_prlimit64:
      return a[0] == 0 ? if_null(a[2]) : CallKind::effect;
    case SYS_rt_sigaction:
      return is_c_librarys_signal(a[0]) ? CallKind::harmless : if_null(a[1]);
    case SYS_mmap:
      return kind_of_mmap(call);
    case SYS_read:
    case SYS_pread64:
    case SYS_readv:
    case SYS_preadv:
    case SYS_close:
    case SYS_dup:
      return unless_standard(call);
    case SYS_lseek:
      return is_standard(call) && !asks_known_position(call) ? CallKind::looks_at_stream : CallKind::harmless;
    case SYS_fstat:
      return is_standard(call) ? CallKind::looks_at_stream : CallKind::harmless;
    case SYS_dup2:
    case SYS_dup3:
      return is_standard(call) || is_stand_in(descriptor(a[1])) || descriptor(a[1]) >= kNear
                 ? CallKind::effect
                 : CallKind::harmless;
    case SYS_ioctl:
      return kind_of_ioctl(call);
    case SYS_fcntl:
      return kind_of_fcntl(call);
    case SYS_open:
      return kind_of_open(AT_FDCWD, text(a[0]), a[1]);
    case SYS_openat:
      return kind_of_open(descriptor(a[0]), text(a[1]), a[2]);
    case SYS_newfstatat:
      // fstat(3)
      if (text(a[1]) != nullptr && *text(a[1]) == '\0')
        return is_standard(call) ? CallKind::looks_at_stream : CallKind::harmless;
      return look(descriptor(a[0]), text(a[1]));
    case SYS_statx:
      if (text(a[1]) == nullptr || *text(a[1]) == '\0') return unless_standard(call);
      return look(descriptor(a[0]), text(a[1]));
    case SYS_stat:
    case SYS_lstat:
    case SYS_access:
      return look(AT_FDCWD, text(a[0]));
    case SYS_faccessat:
    case 439:  // faccessat2
      return look(descriptor(a[0]), text(a[1]));
    case SYS_readlink:
      return read_link(AT_FDCWD, text(a[0]));
    case SYS_readlinkat:
      return read_link(descriptor(a[0]), text(a[1]));
    case SYS_getdents64:
      return CallKind::lists;
    case SYS_getcwd:
      return CallKind::asks_cwd;
    case SYS_getrandom:
      return CallKind::random;
    case SYS_gettid:
      return CallKind::thread_id;
    case SYS_getpid:
      return CallKind::process_id;
    case SYS_clock_gettime:
    case SYS_gettimeofday:
    case SYS_time:
      return CallKind::clock;
    case SYS_epoll_create1:
      return CallKind::descriptor;
    default:
      return CallKind::effect;
  }
}

LookedAt looked_at(const SystemCall& call) {
  const auto& a = call.arguments;
  switch (call.number) {
    case SYS_open:
      return {.path = text(a[0]), .opens = true};
    case SYS_openat:
      return {.dirfd = descriptor(a[0]), .path = text(a[1]), .opens = true};
    case SYS_newfstatat:
      return {.dirfd = descriptor(a[0]), .path = text(a[1]), .follows = (a[3] & AT_SYMLINK_NOFOLLOW) == 0};
    case SYS_statx:
      return {.dirfd = descriptor(a[0]), .path = text(a[1]), .follows = (a[2] & AT_SYMLINK_NOFOLLOW) == 0};
    case SYS_stat:
    case SYS_access:
      return {.path = text(a[0])};
    case SYS_faccessat:
    case 439:
      return {.dirfd = descriptor(a[0]), .path = text(a[1])};
    case SYS_lstat:
      return {.path = text(a[0]), .follows = false};
    case SYS_readlink:
      return {.path = text(a[0]), .follows = false, .reads_link = true};
    case SYS_readlinkat:
      return {.dirfd = descriptor(a[0]), .path = text(a[1]), .follows = false, .reads_link = true};
    default:
      return {};
  }
}

std::string wording_of(const SystemCall& call) {
  const auto& a = call.arguments;
  static constexpr std::string_view kStreams[] = {"standard input", "standard output", "standard error"};
  const auto stream = [&] {
    const int fd = descriptor(a[0]);
    return fd >= 0 && fd < kStandard ? std::string(kStreams[fd]) : "descriptor " + std::to_string(fd);
  };
  const auto opening = [&](const char* path, std::uint64_t flags) {
    const bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT) != 0;
    return std::string(writes ? "opens for writing " : "opens ") + (path != nullptr ? path : "");
  };
  switch (call.number) {
    case SYS_open:
      return opening(text(a[0]), a[1]);
    case SYS_openat:
      return opening(text(a[1]), a[2]);
    case SYS_write:
    case SYS_writev:
    case SYS_pwrite64:
      return "writes to " + stream();
    case SYS_read:
    case SYS_readv:
      return "reads from " + stream();
    case SYS_lseek:
    case SYS_fstat:
    case SYS_newfstatat:
    case SYS_statx:
    case SYS_fcntl:
    case SYS_dup:
      return "looks at " + stream();
    case SYS_close:
      return "closes " + stream();
    case SYS_ioctl:
      return a[1] == TIOCGWINSZ ? "asks for the terminal's size" : "asks for the modes of " + stream();
    case SYS_getrandom:
      return "draws random numbers";
    case SYS_gettid:
      return "asks for its thread's id";
    case SYS_getpid:
      return "asks for its process id";
    case SYS_getppid:
      return "asks for its parent's process id";
    case SYS_clock_gettime:
    case SYS_gettimeofday:
    case SYS_time:
      return "reads the clock";
    case SYS_futex:
      return kWaits;
    case SYS_nanosleep:
    case SYS_clock_nanosleep:
      return "sleeps";
    case SYS_rt_sigaction:
      return "sets a signal's handler";
    case SYS_rt_sigprocmask:
      return "sets the signal mask";
    case SYS_sigaltstack:
      return "sets a stack for signals";
    case SYS_socket:
    case SYS_socketpair:
      return "creates a socket";
    case SYS_pipe:
    case SYS_pipe2:
      return "creates a pipe";
    case SYS_clone:
    case SYS_clone3:
      return "starts a thread or a process";
    case SYS_fork:
    case SYS_vfork:
      return "starts a process";
    case SYS_epoll_create1:
      return "creates an epoll descriptor";
    case SYS_execve:
    case SYS_execveat:
      return "executes another program";
    case SYS_chdir:
    case SYS_fchdir:
      return "changes the working directory";
    case SYS_setrlimit:
    case SYS_prlimit64:
      return "sets a limit";
    case SYS_getrusage:
    case SYS_times:
      return "asks what it has used";
    case SYS_sysinfo:
      return "asks for the state of the machine";
    case SYS_kill:
    case SYS_tgkill:
    case SYS_tkill:
      return "sends a signal";
    case SYS_mkdir:
    case SYS_mkdirat:
      return "creates a directory";
    case SYS_unlink:
    case SYS_unlinkat:
    case SYS_rmdir:
      return "removes a file or directory";
    case SYS_rename:
    case SYS_renameat:
    case SYS_renameat2:
      return "renames a file";
    case SYS_exit:
    case SYS_exit_group:
      return "ends";
    default:
      return "makes system call " + std::to_string(call.number);
  }
}

}  // namespace kiln::image

#include "daemon/image/fence.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "daemon/image/recorders.h"

#ifndef __x86_64__
#error "the fence knows x86-64 only"
#endif

namespace kiln::image {
namespace {

// linux/prctl.h and asm/signal.h, newer than Debian 12's libc has them.
constexpr int kSetDispatch = 59;  // PR_SET_SYSCALL_USER_DISPATCH
constexpr char kAllow = 0;        // SYSCALL_DISPATCH_FILTER_ALLOW
constexpr char kBlock = 1;
constexpr unsigned long kHasRestorer = 0x04000000;   // SA_RESTORER
constexpr std::uint32_t kArchitecture = 0xc000003e;  // AUDIT_ARCH_X86_64
constexpr long kCallSize = 2;                        // of the instruction: syscall, or int 0x80

// The signal handlers return through this: the one system call that is never turned into a signal. By these
// very bytes an unwinder knows a signal's frame (libgcc, x86_64_fallback_frame_state).
extern "C" void kiln_fence_return();
extern "C" const char kiln_fence_return_end;
asm(R"(
  .pushsection .text
  .hidden kiln_fence_return, kiln_fence_return_end
  .globl kiln_fence_return, kiln_fence_return_end
  .type kiln_fence_return, @function
kiln_fence_return:
  .byte 0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00  # mov $15, %rax
  syscall
kiln_fence_return_end:
  nop
  .popsection
)");

struct Vdso {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  // Entries of its functions.
  std::uintptr_t clock_gettime = 0;
  std::uintptr_t gettimeofday = 0;
  std::uintptr_t time = 0;
  std::uintptr_t clock_getres = 0;
  std::uintptr_t getcpu = 0;
};

struct State {
  FenceKeeper* keeper = nullptr;
  Vdso vdso;
};
State state;
volatile char selector = kAllow;  // the kernel reads it at each system call

// What the kernel takes (asm/signal.h): libc's own has another layout, and another way back.
struct KernelAction {
  void (*handler)(int, siginfo_t*, void*);
  unsigned long flags;
  void (*restorer)();
  std::uint64_t mask;
};

struct Handled {
  int signal;
  void (*handler)(int, siginfo_t*, void*);
  KernelAction former;
};

bool handle(Handled& one) {
  const std::uint64_t all_but_faults =
      ~(std::uint64_t{1} << (SIGSEGV - 1) | std::uint64_t{1} << (SIGTRAP - 1));
  const KernelAction action{one.handler, SA_SIGINFO | kHasRestorer, kiln_fence_return, all_but_faults};
  return ::syscall(SYS_rt_sigaction, one.signal, &action, &one.former, sizeof action.mask) == 0;
}

void give_back(const Handled& one) {
  ::syscall(SYS_rt_sigaction, one.signal, &one.former, nullptr, sizeof one.former.mask);
}

bool dispatch(bool on) {
  const auto from = reinterpret_cast<std::uintptr_t>(&kiln_fence_return);
  const auto to = reinterpret_cast<std::uintptr_t>(&kiln_fence_return_end);
  return ::prctl(kSetDispatch, on ? 1 : 0, on ? from : 0, on ? to - from + 1 : 0, on ? &selector : nullptr) ==
         0;
}

bool protect_vdso(bool executable) {
  void* begin = reinterpret_cast<void*>(state.vdso.begin);
  return ::mprotect(begin, state.vdso.end - state.vdso.begin,
                    executable ? PROT_READ | PROT_EXEC : PROT_READ) == 0;
}

bool find_vdso() {
  const std::unique_ptr<FILE, int (*)(FILE*)> maps{std::fopen("/proc/self/maps", "re"), std::fclose};
  char line[512];
  while (maps && std::fgets(line, sizeof line, maps.get()) != nullptr) {
    unsigned long begin = 0;
    unsigned long end = 0;
    if (std::strstr(line, "[vdso]") == nullptr || std::sscanf(line, "%lx-%lx", &begin, &end) != 2) continue;
    state.vdso.begin = begin;
    state.vdso.end = end;
  }
  void* library = ::dlopen("linux-vdso.so.1", RTLD_NOW | RTLD_NOLOAD);
  if (library == nullptr || state.vdso.begin == 0) return false;
  const auto find = [&](const char* name) {
    return reinterpret_cast<std::uintptr_t>(::dlsym(library, name));
  };
  state.vdso.clock_gettime = find("__vdso_clock_gettime");
  state.vdso.gettimeofday = find("__vdso_gettimeofday");
  state.vdso.time = find("__vdso_time");
  state.vdso.clock_getres = find("__vdso_clock_getres");
  state.vdso.getcpu = find("__vdso_getcpu");
  return state.vdso.clock_gettime != 0 && state.vdso.gettimeofday != 0 && state.vdso.time != 0;
}

// The system call behind a function of the vDSO; -1: unknown.
long number_of(std::uintptr_t entry) {
  if (entry == state.vdso.clock_gettime) return SYS_clock_gettime;
  if (entry == state.vdso.gettimeofday) return SYS_gettimeofday;
  if (entry == state.vdso.time) return SYS_time;
  if (entry == state.vdso.clock_getres) return SYS_clock_getres;
  if (entry == state.vdso.getcpu) return SYS_getcpu;
  return -1;
}

long call(const SystemCall& what) {
  const auto& a = what.arguments;
  const long result = ::syscall(what.number, a[0], a[1], a[2], a[3], a[4], a[5]);
  return result == -1 ? -errno : result;
}

void go_on_with(std::uint64_t blocked, ucontext_t* context) {
  std::memcpy(&context->uc_sigmask, &blocked, sizeof blocked);
}

std::uint64_t blocked_at(const ucontext_t* context) {
  std::uint64_t blocked = 0;
  std::memcpy(&blocked, &context->uc_sigmask, sizeof blocked);
  return blocked;
}

// In all but forks that go on, this never returns: the keeper's stop() serves.
void stop(const std::string& step, ucontext_t* context) {
  go_on_with(state.keeper->stop(step, blocked_at(context)), context);
}

void on_system_call(int, siginfo_t* info, void* raw) {
  selector = kAllow;
  const int former_errno = errno;
  auto* context = static_cast<ucontext_t*>(raw);
  auto& registers = context->uc_mcontext.gregs;
  SystemCall what;
  what.number = info->si_arch == kArchitecture ? info->si_syscall : -1;
  const std::array order{REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9};
  for (std::size_t i = 0; i < order.size(); ++i)
    what.arguments[i] = static_cast<std::uint64_t>(registers[order[i]]);
  const std::optional<long> answer = state.keeper->answer(what);
  const std::string objection = answer ? std::string() : state.keeper->objection(what);
  if (!objection.empty() && state.keeper->may_leave()) {
    registers[REG_RIP] -= kCallSize;
    errno = former_errno;
    return;
  }
  if (answer) {
    registers[REG_RAX] = *answer;
  } else if (objection.empty()) {
    const long result = call(what);
    state.keeper->note(what, result);
    registers[REG_RAX] = result;
  } else {
    registers[REG_RIP] -= kCallSize;  // who goes on makes the call
    stop(objection, context);
  }
  errno = former_errno;
  if (state.keeper != nullptr) selector = kBlock;
}

// The function at whose entry the program stands, done by a system call.
void emulate_vdso(ucontext_t* context) {
  auto& registers = context->uc_mcontext.gregs;
  SystemCall what;
  what.number = number_of(static_cast<std::uintptr_t>(registers[REG_RIP]));
  if (what.number < 0) ::_exit(1);
  what.arguments = {static_cast<std::uint64_t>(registers[REG_RDI]),
                    static_cast<std::uint64_t>(registers[REG_RSI]),
                    static_cast<std::uint64_t>(registers[REG_RDX])};
  registers[REG_RAX] = call(what);
  const auto* stack = reinterpret_cast<const greg_t*>(registers[REG_RSP]);
  registers[REG_RIP] = *stack;
  registers[REG_RSP] += sizeof *stack;
}

constexpr greg_t kSingleStep = 0x100;  // the processor's trap flag

// The collector may look, for this one instruction: then on_step() has the last word.
void step_over(ucontext_t* context) {
  guard_arguments(false);
  context->uc_mcontext.gregs[REG_EFL] |= kSingleStep;
}

void on_step(int, siginfo_t*, void* raw) {
  const OpenFence open;
  const int former_errno = errno;
  auto* context = static_cast<ucontext_t*>(raw);
  context->uc_mcontext.gregs[REG_EFL] &= ~kSingleStep;
  guard_arguments(true);
  errno = former_errno;
}

void on_fault(int, siginfo_t* info, void* raw) {
  const char former = selector;
  selector = kAllow;
  const int former_errno = errno;
  auto* context = static_cast<ucontext_t*>(raw);
  const auto at = static_cast<std::uintptr_t>(context->uc_mcontext.gregs[REG_RIP]);
  const bool is_clock = at >= state.vdso.begin && at < state.vdso.end;
  const ArgumentsFault arguments = arguments_fault(info->si_addr);
  if (state.keeper != nullptr && arguments == ArgumentsFault::collector) {
    step_over(context);
  } else if (state.keeper != nullptr && arguments == ArgumentsFault::look) {
    go_on_with(state.keeper->look_at_arguments(blocked_at(context)), context);
  } else if (!is_clock || state.keeper == nullptr) {
    ::_exit(1);  // a fault of the program's own, which leaves no core file of a process that nobody knows
  } else if (former == kAllow || number_of(at) == SYS_clock_getres || state.keeper->may_read_clock()) {
    emulate_vdso(context);
  } else {
    stop(number_of(at) == SYS_getcpu ? "asks for its processor" : "reads the clock", context);
  }
  errno = former_errno;
  if (state.keeper != nullptr) selector = former;
}

std::array handled{Handled{SIGSYS, on_system_call, {}}, Handled{SIGSEGV, on_fault, {}},
                   Handled{SIGTRAP, on_step, {}}};

}  // namespace

Result<void> raise_fence(FenceKeeper& keeper) {
  if (!find_vdso()) return Error{Reason::image_failed, "the vDSO was not found", {}};
  state.keeper = &keeper;
  if (!std::ranges::all_of(handled, handle) || !protect_vdso(false) || !dispatch(true)) {
    const Error error = errno_error("the kernel cannot fence a program", Reason::image_failed);
    lower_fence();
    return error;
  }
  selector = kBlock;
  return {};
}

void lower_fence() {
  selector = kAllow;
  if (state.keeper == nullptr) return;
  dispatch(false);
  protect_vdso(true);
  std::ranges::for_each(handled, give_back);
  state.keeper = nullptr;
}

bool is_fenced() {
  return state.keeper != nullptr;
}

void stop_at_fence(const std::string& step) {
  if (!is_fenced()) return;
  selector = kAllow;
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  const std::uint64_t blocked = state.keeper->stop(step, 0);
  sigset_t mask;
  sigemptyset(&mask);
  std::memcpy(&mask, &blocked, sizeof blocked);
  ::pthread_sigmask(SIG_SETMASK, &mask, nullptr);
  if (is_fenced()) selector = kBlock;
}

bool is_fence_open() {
  return selector == kAllow;
}

void close_fence() {
  if (is_fenced()) selector = kBlock;
}

OpenFence::OpenFence() : former_(selector) {
  selector = kAllow;
}

OpenFence::~OpenFence() {
  if (is_fenced()) selector = former_;
}

void renew_fence() {
  if (!dispatch(true)) ::_exit(1);
}

}  // namespace kiln::image

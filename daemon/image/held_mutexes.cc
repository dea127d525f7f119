#include "daemon/image/held_mutexes.h"

#include <dlfcn.h>
#include <pthread.h>
#include <threads.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>

namespace kiln::image {
namespace {

using Lock = int (*)(pthread_mutex_t*);
using TimedLock = int (*)(pthread_mutex_t*, const timespec*);

constexpr std::size_t kMost = 64;
constexpr int kKinds = 3;            // PTHREAD_MUTEX_KIND_MASK_NP of nptl: what type it is of
constexpr int kSimpleFlags = ~0x83;  // what else than that, and lock elision: robust, of a priority, shared

bool notes = false;
bool has_lost_count = false;
pid_t owner = 0;
template <class Lock>
struct Held {
  std::array<Lock*, kMost> locks{};
  std::size_t count = 0;

  void add(Lock* lock) {
    if (count == kMost) {
      has_lost_count = true;
    } else {
      locks[count++] = lock;
    }
  }
  void remove(const Lock* lock) {
    for (std::size_t i = count; i > 0; --i) {
      if (locks[i - 1] != lock) continue;
      for (std::size_t j = i; j < count; ++j) locks[j - 1] = locks[j];
      --count;
      return;
    }
  }
};
Held<pthread_mutex_t> mutexes;
Held<pthread_rwlock_t> written;

// libc's. Looked up at the first call of all, which comes before any thread: no guard of the compiler's is
// needed.
template <class Function>
Function libcs(Function& known, const char* name) {
  if (known == nullptr) known = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
  return known;
}
using ClockLock = int (*)(pthread_mutex_t*, clockid_t, const timespec*);
using ReadWrite = int (*)(pthread_rwlock_t*);
using TimedReadWrite = int (*)(pthread_rwlock_t*, const timespec*);
using Standard = int (*)(mtx_t*);
using TimedStandard = int (*)(mtx_t*, const timespec*);

Lock lock = nullptr;
Lock trylock = nullptr;
Lock unlock = nullptr;
TimedLock timedlock = nullptr;
ClockLock clocklock = nullptr;
ReadWrite wrlock = nullptr;
ReadWrite trywrlock = nullptr;
ReadWrite rwunlock = nullptr;
TimedReadWrite timedwrlock = nullptr;
Standard standard_lock = nullptr;
Standard standard_trylock = nullptr;
Standard standard_unlock = nullptr;
TimedStandard standard_timedlock = nullptr;

bool knows_owner(const pthread_mutex_t& mutex) {
  const int kind = mutex.__data.__kind & kKinds;
  return kind == PTHREAD_MUTEX_RECURSIVE_NP || kind == PTHREAD_MUTEX_ERRORCHECK_NP ||
         (mutex.__data.__kind & kSimpleFlags) != 0;
}

int note_lock(pthread_mutex_t* mutex, int result) {
  if (notes && result == 0 && knows_owner(*mutex)) mutexes.add(mutex);
  return result;
}

// mtx_t of C11 is such a mutex, and its functions do not call those of POSIX by name.
pthread_mutex_t* mutex_of(mtx_t* mutex) {
  return reinterpret_cast<pthread_mutex_t*>(mutex);
}

int note_write(pthread_rwlock_t* rwlock, int result) {
  if (notes && result == 0) written.add(rwlock);
  return result;
}

}  // namespace

void note_mutexes() {
  owner = ::getpid();
  notes = true;
}

bool may_hand_on_mutexes() {
  if (has_lost_count) return false;
  for (std::size_t i = 0; i < mutexes.count; ++i) {
    if ((mutexes.locks[i]->__data.__kind & kSimpleFlags) != 0) return false;
  }
  return true;
}

void take_over_mutexes() {
  notes = false;
  for (std::size_t i = 0; i < mutexes.count; ++i) {
    auto& mutex = mutexes.locks[i]->__data;
    if (mutex.__owner == owner) mutex.__owner = ::getpid();
  }
  for (std::size_t i = 0; i < written.count; ++i) {
    auto& rwlock = written.locks[i]->__data;
    if (rwlock.__cur_writer == owner) rwlock.__cur_writer = ::getpid();
  }
  mutexes.count = written.count = 0;
}

}  // namespace kiln::image

using namespace kiln::image;  // NOLINT: the functions below are C's

#define SHOWN __attribute__((visibility("default")))

extern "C" {

SHOWN int pthread_mutex_lock(pthread_mutex_t* mutex) {
  return note_lock(mutex, libcs(lock, "pthread_mutex_lock")(mutex));
}

SHOWN int pthread_mutex_trylock(pthread_mutex_t* mutex) {
  return note_lock(mutex, libcs(trylock, "pthread_mutex_trylock")(mutex));
}

SHOWN int pthread_mutex_timedlock(pthread_mutex_t* mutex, const timespec* until) {
  return note_lock(mutex, libcs(timedlock, "pthread_mutex_timedlock")(mutex, until));
}

SHOWN int pthread_mutex_unlock(pthread_mutex_t* mutex) {
  if (notes) mutexes.remove(mutex);
  return libcs(unlock, "pthread_mutex_unlock")(mutex);
}

SHOWN int pthread_mutex_clocklock(pthread_mutex_t* mutex, clockid_t clock, const timespec* until) {
  return note_lock(mutex, libcs(clocklock, "pthread_mutex_clocklock")(mutex, clock, until));
}

SHOWN int pthread_rwlock_wrlock(pthread_rwlock_t* rwlock) {
  return note_write(rwlock, libcs(wrlock, "pthread_rwlock_wrlock")(rwlock));
}

SHOWN int pthread_rwlock_trywrlock(pthread_rwlock_t* rwlock) {
  return note_write(rwlock, libcs(trywrlock, "pthread_rwlock_trywrlock")(rwlock));
}

SHOWN int pthread_rwlock_timedwrlock(pthread_rwlock_t* rwlock, const timespec* until) {
  return note_write(rwlock, libcs(timedwrlock, "pthread_rwlock_timedwrlock")(rwlock, until));
}

SHOWN int pthread_rwlock_unlock(pthread_rwlock_t* rwlock) {
  if (notes) written.remove(rwlock);
  return libcs(rwunlock, "pthread_rwlock_unlock")(rwlock);
}

SHOWN int mtx_lock(mtx_t* mutex) {
  return note_lock(mutex_of(mutex), libcs(standard_lock, "mtx_lock")(mutex));
}

SHOWN int mtx_trylock(mtx_t* mutex) {
  return note_lock(mutex_of(mutex), libcs(standard_trylock, "mtx_trylock")(mutex));
}

SHOWN int mtx_timedlock(mtx_t* mutex, const timespec* until) {
  return note_lock(mutex_of(mutex), libcs(standard_timedlock, "mtx_timedlock")(mutex, until));
}

SHOWN int mtx_unlock(mtx_t* mutex) {
  if (notes) mutexes.remove(mutex_of(mutex));
  return libcs(standard_unlock, "mtx_unlock")(mutex);
}
}

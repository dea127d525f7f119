#include "daemon/image/held_mutexes.h"

#include <dlfcn.h>
#include <pthread.h>
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
std::array<pthread_mutex_t*, kMost> held{};
std::size_t count = 0;

// libc's. Looked up at the first call of all, which comes before any thread: no guard of the compiler's is
// needed.
template <class Function>
Function libcs(Function& known, const char* name) {
  if (known == nullptr) known = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
  return known;
}
Lock lock = nullptr;
Lock trylock = nullptr;
Lock unlock = nullptr;
TimedLock timedlock = nullptr;

bool knows_owner(const pthread_mutex_t& mutex) {
  const int kind = mutex.__data.__kind & kKinds;
  return kind == PTHREAD_MUTEX_RECURSIVE_NP || kind == PTHREAD_MUTEX_ERRORCHECK_NP ||
         (mutex.__data.__kind & kSimpleFlags) != 0;
}

int note_lock(pthread_mutex_t* mutex, int result) {
  if (!notes || result != 0 || !knows_owner(*mutex)) return result;
  if (count == kMost) {
    has_lost_count = true;
  } else {
    held[count++] = mutex;
  }
  return result;
}

void note_unlock(const pthread_mutex_t* mutex) {
  if (!notes) return;
  for (std::size_t i = count; i > 0; --i) {
    if (held[i - 1] != mutex) continue;
    for (std::size_t j = i; j < count; ++j) held[j - 1] = held[j];
    --count;
    return;
  }
}

}  // namespace

void note_mutexes() {
  owner = ::getpid();
  notes = true;
}

bool may_hand_on_mutexes() {
  if (has_lost_count) return false;
  for (std::size_t i = 0; i < count; ++i) {
    if ((held[i]->__data.__kind & kSimpleFlags) != 0) return false;
  }
  return true;
}

void take_over_mutexes() {
  notes = false;
  for (std::size_t i = 0; i < count; ++i) {
    if (held[i]->__data.__owner == owner) held[i]->__data.__owner = ::getpid();
  }
  count = 0;
}

}  // namespace kiln::image

using namespace kiln::image;  // NOLINT: the functions below are C's

extern "C" {

__attribute__((visibility("default"))) int pthread_mutex_lock(pthread_mutex_t* mutex) {
  return note_lock(mutex, libcs(lock, "pthread_mutex_lock")(mutex));
}

__attribute__((visibility("default"))) int pthread_mutex_trylock(pthread_mutex_t* mutex) {
  return note_lock(mutex, libcs(trylock, "pthread_mutex_trylock")(mutex));
}

__attribute__((visibility("default"))) int pthread_mutex_timedlock(pthread_mutex_t* mutex,
                                                                   const timespec* until) {
  return note_lock(mutex, libcs(timedlock, "pthread_mutex_timedlock")(mutex, until));
}

__attribute__((visibility("default"))) int pthread_mutex_unlock(pthread_mutex_t* mutex) {
  note_unlock(mutex);
  return libcs(unlock, "pthread_mutex_unlock")(mutex);
}
}

// What is done without anybody asking: it must not be felt, and it must not do what nobody would have asked
// for.
#pragma once

#include <sys/types.h>

#include <string>

namespace kiln {

// Lowers the calling thread's priority, and with it that of all threads and processes that it starts: nice
// 10, and the disk only while nobody else wants it (ioprio_set(2)).
void enter_background();

// Whether the daemon of USER, by effective uid, may put a file at PATH, absolute, without being asked. Root
// may where PATH's directory, or the nearest one that exists, is root's with all that lies above it, and
// nobody else can put anything there: whoever owns a directory on the way may have it lead elsewhere. For
// other users the system decides.
bool may_write_unasked(const std::string& path, uid_t user);

}  // namespace kiln

// Who a program leaves its memory to. The kernel takes the page tables of a process apart before it tells
// anybody that the process has ended: with pandas 20,000 pages, 2 to 3 ms. So a program that is done makes
// another process with the same memory and nothing else (clone(2), CLONE_VM), a child of the image, which
// ends it when the client knows.
//
// No one can tell, but by what memory holds: mapped files with what flock(2) has locked, file systems that
// libraries were loaded from, segments of shmget(2), huge pages, or as much as the next program may need. And
// a process holds its root and its cgroup. Programs that may have any of these leave no heir.
//
// Rejected: munmap(2) of what is large. It is the same work, in the same place.
#pragma once

#include <sys/types.h>

namespace kiln::image {

// In an image, before it forks children: what they all have needs no looking for.
void note_what_all_hold();

// Whether this process, at its end, may leave one.
bool may_leave_heir();

// In a program's process, when nothing of it will run any more but what exit(3) runs. HEIR, shared with the
// image, says who it is from the moment that there is one.
void leave_memory_to_heir(pid_t image, pid_t* heir);

// In the image, when the client has been told: ends the heir, a child of the image that is to be waited for.
// False: there is none.
bool end_heir(pid_t heir);

}  // namespace kiln::image

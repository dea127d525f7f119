// Mutexes that a program holds at its stop and that know their owner: recursive ones, and those that check
// for errors. They have it by thread id, and the children that go on from there have others: to them such a
// mutex would be somebody else's, for ever. A library that takes a step within a call, as SQLite does, holds
// one.
//
// The interpreter and its libraries call our pthread_mutex_lock(3) and its kin, for this library is
// preloaded.
#pragma once

namespace kiln::image {

// From now on those that this process's one thread takes are noted.
void note_mutexes();

// False: some are held that cannot be handed on.
bool may_hand_on_mutexes();

// In a child: what the process that it was forked from held is its own now.
void take_over_mutexes();

}  // namespace kiln::image

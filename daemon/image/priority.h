// How much of the processor and of the disk a rehearsal may have.
#pragma once

namespace kiln::image {

// A program that is run ahead shall hold up nobody: it preempts no other process (SCHED_BATCH), and its reads
// come after those of others. A process without privileges can come back from that, as an image must; not
// from a higher nice value, nor from SCHED_IDLE (sched(7)). One with a policy of its own keeps it.
void lower_priority();
// As it was before.
void restore_priority();

}  // namespace kiln::image

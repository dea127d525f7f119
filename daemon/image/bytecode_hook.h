// Lets the imports of a run use the overlay (common/overlay.h), and notes what they compile in vain.
//
// Python opens source and bytecode through io.open_code, which can have a hook (PEP 578,
// PyFile_SetOpenCodeHook): C, without a frame, called with the path. Ours does first what Python does without
// it, so that the result or the exception, and the audit event, are the same. Then:
//
// - Importlib asked for bytecode in a __pycache__, and what is there is missing, unreadable or stale by
// Python's
//   rule. If the overlay has bytecode for a source with these bytes, the answer is that, from memory, behind
//   a header that says what the source's stat says. All else is as if it had been in its place: __cached__,
//   the spec, messages of -v.
// - Importlib asks for the source: it is about to compile it, and to keep the bytecode in a directory where
// it
//   cannot. The path is noted.
//
// - Importlib asked for bytecode that it would take for that of its source, but the source may be newer (see
//   is_suspicious): there is none, so that it compiles, and rewrites it. An edit within a second, or one that
//   set the time back, is seen by the next run: the one thing in which we do better than Python.
// - A source that was compiled has become another until its bytecode was written: the bytecode is removed.
// - Whatever was opened is noted, for the daemon: which modules this run imported.
//
// All only for the standard loader with its own source_to_code and compile: what others make of a source is
// theirs. The overlay only where Python itself could not, or must not (-B), write: elsewhere the file would
// be missed.
//
// Rejected: looking at bytecode that is in its place before opening it; nothing at all is to be paid where
// there is no overlay. Rejected: interposing open(2), which would also lie to programs that look at bytecode
// files.
#pragma once

#include <string>

#include "daemon/image/run_notes.h"

namespace kiln::image {

// In an image, when it is complete. Nothing happens where the interpreter or start-up code does not want a
// hook: it has one, audits (the hook would be an event), or leaves out parts of bytecode. DIR may be missing.
void install_bytecode_hook(const std::string& dir);

// The directory of the overlay that was installed; empty: there is none for this interpreter.
const std::string& installed_overlay();

// sys.dont_write_bytecode is not set.
bool may_write_bytecode();

// In a child, when its program begins; until then, and in the image, the hook does nothing. ENTRY: what
// is run (common/image_channel.h). SCRIPT: the main
// script, if it was compiled in vain (daemon/image/kept_script.h), else empty.
void serve_bytecode(RunNotes notes, const std::string& entry, const std::string& script);

// While importlib gets a module's code from its source: where its bytecode will be. Empty: it is doing
// something else.
std::string bytecode_in_the_making();

// In a child of a program at its stop: what the program has noted until there is its own, too.
void hand_on_bytecode(RunNotes notes);

// At the end of the program, whose last import may have been of a source that was edited meanwhile.
void finish_bytecode();

// Before the interpreter is finalized.
void release_bytecode_hook();

}  // namespace kiln::image

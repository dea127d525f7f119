// What `kiln explain FILE` prints of the daemon's answer.
//
// The document of --json:
//
//   version      1; other keys may come, but these stay as long as it does
//   source       path of the source
//   exists       whether it is there
//   entries      its bytecode, one object a file:
//     pyc, python (the interpreter's path), version (3.11.2), tag (of the bytecode), optimize (0, 1, 2)
//     state      fresh | stale | error | orphan
//     why        of what is stale: missing | unreadable | bad-header | magic | mtime | size | hash | body |
//                changed | doubtful; else null
//     kind       timestamp | checked-hash | unchecked-hash: what Python compares; null if that cannot be read
//     overlaid   it lies in Kiln's overlay
//     other_version  the interpreter is of another version by now, which has bytecode of its own
//     sourceless     Python imports it without its source
//     magic      the magic number of the bytecode that is wanted
//     made_us    that Kiln took to make it, the last time; null if others made it, or that is not known
//     restored   then it was not compiled, but taken from the store
//     taken      of what is stale or an error: Python imports it all the same
//     in_the_way of those, too: what is in its place, or its directory's, and is not replaced, "a
//     directory"; else null
//     interpreter_gone  there is nothing at the interpreter's path any more
//     error      {type, message, line, column, text}, or null
//     warnings   what compiling it said, or null
//   imported_by  programs that imported it, newest first: [{entry, python, version, last_run_s}]; entry is a
//                path, "-m NAME" or "-c"; last_run_s in seconds since 1970
//   imported_by_count  of all; imported_by has the newest of them
//   run_as_program     the same of itself: how it was run
//   missing      the bytecode file that was asked for, where that is not there; else the key is not, either
//   own_index    true, and else not there: the daemon that was asked does not keep the cache's index
//   watched      {how: root | directory | no, path, state, reason, hint}; state, reason and hint of a root,
//                reason also of a file that a root leaves out
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <string>

#include "proto/kiln.pb.h"

namespace kiln {

// Whom an explanation is for.
struct ExplainReader {
  std::int64_t now_s = 0;    // since the epoch
  std::string cwd;           // programs below it are named as seen from there
  std::string usual_python;  // what `kiln precompile` compiles for; resolved
  unsigned columns = 0;  // of a wider line of a source only what is around its caret is shown; 0: all of it
};

// Sentences.
std::string explanation_text(const proto::ExplainReply& reply, const ExplainReader& reader);

boost::json::object explanation_json(const proto::ExplainReply& reply);

}  // namespace kiln

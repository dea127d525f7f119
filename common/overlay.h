// The overlay: where Kiln keeps the bytecode of sources in whose directories the user cannot write. Python
// drops such bytecode after every run; `kiln run` finds it here (daemon/image/bytecode_hook.h).
//
// CACHE/overlay mirrors the file system as sys.pycache_prefix would:
//
//   /opt/app/__pycache__/util.cpython-311.pyc   is kept at   CACHE/overlay/opt/app/util.cpython-311.pyc
//
// Main scripts, of which Python keeps no bytecode at all, have theirs here, too (daemon/image/kept_script.h).
//
// The files are hash-based bytecode files of the kind checked_hash (PEP 552): they hold for a source with
// these very bytes, whatever its time says. Behind the code there is a seal:
//
//   header, 16 bytes | code object, marshalled | seal: hash of all before it (common/source_hash.h), u64
//
// Python never sees it. Of what was damaged on the disk the header and all lengths may still be right, and
// Python would raise from marshal, or run other code, where without Kiln it compiles the source. A file
// without a good seal is as good as none.
//
// Rejected: timestamp files. Without Kiln the source in such a tree is compiled at every run, so a run never
// sees old code; mtime and size do not promise that. Images of file systems have one mtime for all files, `cp
// -p` keeps it, and an edit may come within its second. Reading and hashing a source costs a hundredth of
// compiling it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kiln {

std::string overlay_dir(const std::string& cache_dir);  // CACHE/overlay

// Where the overlay at DIR keeps the bytecode that belongs at PYC, a path as of common/pyc.h's
// cache_from_source. Empty for a path that has no place there: one that is not absolute, not in a
// __pycache__, or has empty, "." or
// ".." parts, which would lead elsewhere.
std::string overlay_path(std::string_view dir, std::string_view pyc);

// The source, NAME.py, of a FILE in the overlay at DIR. Empty if FILE is none of ours.
std::string overlaid_source(std::string_view dir, std::string_view file);

// How an overlay's file for this source begins. Nothing for a MAGIC whose bytecode cannot be hash-based.
std::optional<std::string> overlay_header(std::string_view source, std::uint32_t magic);

// FILE, such a header and code, with the seal behind it. MAGIC is the header's.
std::string seal_overlay_file(std::string file, std::uint32_t magic);

// What was sealed. Nothing if FILE is not as seal_overlay_file made it.
std::optional<std::string_view> unseal_overlay_file(std::string_view file, std::uint32_t magic);

// Whether this process could not put bytecode at PYC, NAME.pyc in a __pycache__ that may be missing: it is
// not allowed to, or the file system is read-only. Two access(2) at most.
bool is_unwritable(const std::string& pyc);

}  // namespace kiln

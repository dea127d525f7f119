// Which Python an interpreter is. Found out by asking it once (daemon/python/probe.py); what it said holds
// until the file behind its path changes.
#pragma once

#include <cstdint>
#include <string>

#include "common/result.h"

namespace kiln {

// The file that is executed. Two interpreters are one if these are equal.
struct BinaryIdentity {
  std::string real_path;  // no symlink in it
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t mtime_ns = 0;

  bool operator==(const BinaryIdentity&) const = default;
};

struct InterpreterInfo {
  std::string path;        // as asked for; may be a version manager's script
  std::string executable;  // sys.executable: what to start; in a venv the link in there, for its place says
                           // which venv
  BinaryIdentity binary;   // behind EXECUTABLE
  std::string implementation;  // cpython
  std::string version;         // 3.11.2
  std::string build;           // sys.version: when, and by which compiler, it was built
  int major = 0;
  int minor = 0;
  std::string cache_tag;    // cpython-311; empty: keeps no bytecode in __pycache__
  std::uint32_t magic = 0;  // the first four bytes of its bytecode files, little-endian
  std::string prefix;
  std::string base_prefix;  // differs from PREFIX in a venv; always equal under -S before 3.14
};

// Runs `PATH -E -s -S -B probe.py` (-I is unknown to 2.7); blocks, TIMEOUT_MS at most. PATH is absolute.
Result<InterpreterInfo> probe_interpreter(const std::string& path, int timeout_ms = 20'000);

// What PATH, followed through symlinks, is now. One realpath and one stat.
Result<BinaryIdentity> identify_binary(const std::string& path);

bool has_pycache(const InterpreterInfo& interpreter);     // PEP 3147: from 3.2 on
bool has_hash_based(const InterpreterInfo& interpreter);  // PEP 552: from 3.7 on

// Reads what probe.py printed into everything but PATH and BINARY.
Result<InterpreterInfo> parse_probe(const std::string& line);

}  // namespace kiln

// Where Kiln keeps its things (XDG base directory specification), and where its own parts lie.
//
//   runtime   $KILN_RUNTIME_DIR, else $XDG_RUNTIME_DIR/kiln, else /tmp/kiln-UID
//             socket, locks; mode 0700, owner-checked
//   cache     $KILN_CACHE_DIR, else $XDG_CACHE_HOME/kiln, else ~/.cache/kiln
//             index, store, log
//   config    $KILN_CONFIG, else $XDG_CONFIG_HOME/kiln/kiln.toml, else ~/.config/kiln/kiln.toml
#pragma once

#include <optional>
#include <string>

#include "common/result.h"
#include "common/unique_fd.h"
#include "common/variables.h"

namespace kiln {

// All are absolute and hold no trailing slash. None of them creates anything.
Result<std::string> runtime_dir();
Result<std::string> cache_dir();

// Nothing: these variables name no home.
Result<std::optional<std::string>> config_file(const Variables& variables = ::getenv);

std::string socket_path(const std::string& runtime_dir);  // RUNTIME/kilnd.sock
std::string lifetime_lock_path(
    const std::string& runtime_dir);                          // RUNTIME/kilnd.lock: held by the living daemon
std::string spawn_lock_path(const std::string& runtime_dir);  // RUNTIME/spawn.lock: held by who starts one
std::string starts_lock_path(const std::string& runtime_dir);  // RUNTIME/starts.lock: by who is about to
std::string log_path(const std::string& cache_dir);            // CACHE/kilnd.log

// Creates DIR (mode 0700, parents with the umask) unless it exists, and returns a descriptor of it. Fails if
// it is not a directory, belongs to another user, or others may write to it: a socket in such a place could
// be anybody's. VARIABLE is the one that would name another, for the hint.
Result<UniqueFd> open_private_dir(const std::string& dir, const std::string& variable = "KILN_RUNTIME_DIR");
// The same, but creates nothing: an empty descriptor if there is no DIR.
Result<UniqueFd> find_private_dir(const std::string& dir, const std::string& variable = "KILN_RUNTIME_DIR");

// Whether DIR is there for Kiln: it is empty, or holds what Kiln makes. Only of such a directory may a
// command that changes owner or mode be recommended: whoever sets KILN_RUNTIME_DIR=/tmp must not be told to
// lock that.
bool is_for_kiln(const std::string& dir);

// The command by which VARIABLE leads to a directory where at DIR lies something else: what VARIABLE names
// may be a file of the system's, which is not to be moved.
std::string make_way_for_dir(const std::string& dir, const std::string& variable);
// The same where DIR is a symbolic link: where it leads to is named, for that is what the user means, but not
// if that is a project, into which nothing of Kiln's belongs.
std::string follow_link(const std::string& dir, const std::string& variable);

// Directory of the running binary, by /proc/self/exe, and of what kilnd loads: ../lib/kiln from there.
Result<std::string> own_bin_dir();
Result<std::string> own_lib_dir();
// The file NAME in it. Fails with Reason::setup if it is not there.
Result<std::string> own_lib_file(const std::string& name);

// The absolute form of PATH by CWD; no symlink is resolved, no "..", only a leading "./" is dropped.
std::string absolute_path(const std::string& path, const std::string& cwd);

}  // namespace kiln

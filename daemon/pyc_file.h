// Writing bytecode files as importlib and py_compile do: never half a file under its name, the same modes,
// missing directories created.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "common/file_stamp.h"
#include "common/result.h"
#include "daemon/compile_worker.h"

namespace kiln {

using WriteResult = boost::system::result<FileStamp, CompileError>;

// Writes HEADER and BODY to PATH by way of a temporary file in its directory, which is created if need be,
// and if MAKES_DIRECTORY. SOURCE_MODE is the source's st_mode, UMASK that of the user for whom this is done:
// the file gets (SOURCE_MODE | 0200) & 0666, directories 0777, less UMASK, whatever the daemon's own. A PATH
// that is a symlink, or no regular file, is refused as by py_compile. Errors are in Python's words.
//
// A file of which only the time in its header is wrong has that written over in its place: one aligned word,
// which is never seen half. So a tree whose sources were touched or checked out again costs no new files.
WriteResult write_pyc(const std::string& path, std::string_view header, std::string_view body,
                      mode_t source_mode, mode_t umask, bool makes_directory = true);

[[noreturn]] void throw_exception_from_error(const CompileError& error, const boost::source_location&);

}  // namespace kiln

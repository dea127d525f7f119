// One bytecode file of the overlay (common/overlay.h), read into memory and believed only if it is whole and
// of the source that it is asked for.
#pragma once

#include <Python.h>

#include <cstdint>
#include <optional>
#include <string>

#include "common/unique_fd.h"
#include "daemon/image/python_ref.h"

namespace kiln::image {

// Whether what lies in DIR is the user's own: nobody else may write there.
bool is_private_dir(const std::string& dir);

// The bytes of a source, or nothing: it is gone, no regular file, too large.
std::optional<std::string> read_overlaid_source(const std::string& path);

// Opens FILE of the overlay; empty where there is none.
UniqueFd open_overlay_file(const std::string& file);

// The file without its seal as Python's bytes, if it is sealed bytecode of a source with these bytes: it has
// their header, and a whole code object follows, for from what was cut off Python raises. Else nothing, and
// no error.
PythonRef read_overlay_file(int fd, const std::string& source, std::uint32_t magic);

}  // namespace kiln::image

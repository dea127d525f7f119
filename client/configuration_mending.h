// How a mistake in a configuration file is put out of the way, so that the rest of the file holds.
#pragma once

#include "common/result.h"

namespace kiln {

// The command for MISTAKE, an error of load_config(): it makes comments of the lines that are mistaken. Where
// that would not do, as with a bracket that is never closed, the whole file is set aside.
std::string mending_of(const Error& mistake);

}  // namespace kiln

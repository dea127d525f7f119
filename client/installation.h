// How parts of an installation that are missing or broken are put in their place again.
#pragma once

#include <string>

namespace kiln {

// The command for the file PART of the installation whose programs are in BIN_DIR: a package's, a build tree,
// or one that `cmake --install` laid out.
std::string install_again(const std::string& bin_dir, const std::string& part);

}  // namespace kiln

// Another build of Kiln, as after an upgrade.
#pragma once

#include <string>

namespace kiln::e2e {

// Where a copy of this build lies that differs in nothing but its id: its bin/kiln.
std::string other_build();

}  // namespace kiln::e2e

// A daemon keeps its cache where its environment said when it was started; that of who asks may say another
// place.
#pragma once

#include <string>

#include "common/result.h"

namespace kiln {

std::string of_another_cache(const std::string& its_dir);

// Fails if a daemon is running whose cache is not DIR. One that does not answer is passed over.
Result<void> check_daemon_cache(const std::string& dir);

}  // namespace kiln

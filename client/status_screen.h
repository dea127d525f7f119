// What `kiln status` shows: on a terminal one screen, whatever there is.
#pragma once

#include <string>

#include "proto/kiln.pb.h"

namespace kiln {

// COLUMNS and ROWS are the terminal's; 0: it is none, and all is shown. Where not all fits the longest
// sections say how many they leave out.
std::string status_text(const proto::Status& status, unsigned columns, unsigned rows);

}  // namespace kiln

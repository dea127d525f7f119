// Why a file's bytecode is as it is, for `kiln explain`: what the index has about it, judged by a look at the
// files at this moment. The index itself is left as it is.
#pragma once

#include <string>
#include <vector>

#include "daemon/index_thread.h"
#include "proto/kiln.pb.h"

namespace kiln {

// All but how the source is watched. OVERLAY: where common/overlay.h's files lie. Blocks: a few system calls
// and a read of the bytecode for each entry. Of entries without source and bytecode nothing is said.
proto::ExplainReply explain(const KnownFile& file, const std::string& overlay);

// The names that the index may have for the file PATH, absolute: as it is spelled, then without symlinks in
// its directory, then without any. Each once.
std::vector<std::string> names_of(const std::string& path);

}  // namespace kiln

// What `kiln doctor` asks where no daemon runs: `kilnd --examine` looks at what a daemon has kept, and leaves
// it as it is.
#pragma once

#include <string>

#include "daemon/store.h"
#include "proto/kiln.pb.h"

namespace kiln {

// Objects of the store that are examined: some 20 ms.
constexpr std::size_t kExaminedObjects = 100;

// Of the index and the store in CACHE_DIR, which no daemon uses. What is not there, or cannot be examined
// without a daemon, has no problem.
proto::ExamineReply examine_cache(const std::string& cache_dir);

void describe(const StoreSample& sample, proto::ExamineReply& found);

}  // namespace kiln

// One pass over a store's directory: counts its objects, removes what a kill left, then the longest unused
// objects. Others may read and write meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "common/result.h"
#include "daemon/store.h"

namespace kiln {

class StoreSweep {
 public:
  explicit StoreSweep(std::string directory) : directory_(std::move(directory)) {}

  // A directory that is not there holds nothing. Files that are none of the store's are neither counted nor
  // touched.
  Result<void> scan(const std::stop_token& stop);

  // See Store::gc.
  void shrink(std::uint64_t limit, const std::stop_token& stop);

  // Of what is left, removes those of which IS_DAMAGED says so.
  using IsDamaged = bool (*)(const std::string& path, const Sha256& digest);
  void remove_damaged(IsDamaged is_damaged, const std::stop_token& stop);

  // COUNT of the objects that were seen, or all, at random.
  std::vector<Sha256> sample(std::size_t count) const;

  const StoreUsage& usage() const { return usage_; }

 private:
  struct Object {
    std::int64_t used_ns;  // since the epoch
    std::uint64_t bytes;
    Sha256 digest;  // a store has many: its path would be three times as long
  };

  bool remove(const Object& object);
  Result<void> scan_shard(const std::string& shard);
  void look_at(int shard_fd, const std::string& shard, const char* name);

  std::string directory_;
  std::vector<Object> objects_;
  StoreUsage usage_;
};

}  // namespace kiln

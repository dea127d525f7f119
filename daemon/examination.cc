#include "daemon/examination.h"

#include "daemon/index.h"

namespace kiln {

proto::ExamineReply examine_cache(const std::string& cache_dir) {
  proto::ExamineReply found;
  const auto damage = Index::find_damage_in(cache_dir + "/index.db");
  if (damage) found.set_index_problem(*damage);
  if (!damage && damage.error().reason == Reason::system) found.set_index_problem(damage.error().message);
  const auto sample = Store(cache_dir + "/store", Store::kNoLimit).examine(kExaminedObjects);
  if (sample) {
    describe(*sample, found);
  } else {
    found.set_store_problem(sample.error().message);
  }
  return found;
}

void describe(const StoreSample& sample, proto::ExamineReply& found) {
  found.set_store_objects(sample.objects);
  found.set_store_examined(sample.examined);
  for (const auto& path : sample.damaged) found.add_store_damaged(path);
}

}  // namespace kiln

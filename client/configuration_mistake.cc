#include "client/configuration_mistake.h"

#include <set>

#include "client/current_path.h"
#include "common/config.h"
#include "common/print_error.h"

namespace kiln {

void warn_of_configuration(std::vector<std::string> paths) {
  if (paths.empty()) {
    auto here = absolute_path_of(".");
    paths.push_back(here ? std::move(*here) : std::string());
  }
  std::set<std::string> told;
  for (const auto& path : paths) {
    const auto config = load_config(path);
    if (config || !told.insert(config.error().message).second) continue;
    print_warning(config.error());
  }
}

}  // namespace kiln

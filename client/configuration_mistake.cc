#include "client/configuration_mistake.h"

#include <cstdio>
#include <set>

#include "client/current_path.h"
#include "client/printable.h"
#include "common/config.h"

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
    std::fprintf(stderr, "warning: %s\n\nhint: %s\n", printable(config.error().message).c_str(),
                 config.error().hint.c_str());
  }
}

}  // namespace kiln

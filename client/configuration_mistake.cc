#include "client/configuration_mistake.h"

#include <set>

#include "client/current_path.h"
#include "common/absence.h"
#include "common/config.h"
#include "common/print_error.h"
#include "common/printable.h"
#include "common/variables.h"

namespace kiln {

std::optional<Error> missing_configuration() {
  const std::string path = text_of("KILN_CONFIG");
  if (!path.starts_with('/') || !is_gone(path)) return std::nullopt;
  return Error{Reason::config, "KILN_CONFIG names " + printable(path) + ": " + absence_of(path),
               "unset KILN_CONFIG"};
}

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

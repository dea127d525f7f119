#include "daemon/environment.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "common/name_pattern.h"

namespace kiln {
namespace {

// Variables that change between runs and that start-up code has no business with: they do not tell
// environments apart where start-up code looked at all of them.
constexpr std::array<std::string_view, 12> kVolatileVariables{
    "PWD",    "OLDPWD",   "SHLVL", "_",     "COLUMNS",         "LINES",
    "KILN_*", "WINDOWID", "STY",   "TMUX*", "TERM_SESSION_ID", "SSH_*"};

}  // namespace

Environment::Environment(const google::protobuf::RepeatedPtrField<std::string>& variables) {
  for (const std::string& variable : variables) {
    const std::size_t equals = variable.find('=');
    if (equals != std::string::npos) values_.emplace(variable.substr(0, equals), variable.substr(equals + 1));
  }
}

bool Environment::agrees(const Environment& other, const std::vector<std::string>& names) const {
  return std::ranges::all_of(names, [&](const std::string& name) {
    const auto mine = values_.find(name);
    const auto theirs = other.values_.find(name);
    if (mine == values_.end() || theirs == other.values_.end())
      return (mine == values_.end()) == (theirs == other.values_.end());
    return mine->second == theirs->second;
  });
}

bool Environment::equals(const Environment& other) const {
  std::vector<std::string> names;
  for (const auto* environment : {this, &other}) {
    for (const auto& [name, value] : environment->values_) {
      if (!matches_any(name, kVolatileVariables)) names.push_back(name);
    }
  }
  return agrees(other, names);
}

}  // namespace kiln

// The environment of a run, as far as it decides which image may serve it.
#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include <map>
#include <string>
#include <vector>

namespace kiln {

class Environment {
 public:
  Environment() = default;
  // VARIABLES: NAME=VALUE, as in environ; of duplicates the first counts, as for os.environ.
  explicit Environment(const google::protobuf::RepeatedPtrField<std::string>& variables);

  // The same values, or the same absence, of all NAMES.
  bool agrees(const Environment& other, const std::vector<std::string>& names) const;
  // The same altogether, but for variables that differ between any two runs (SHLVL, PWD).
  bool equals(const Environment& other) const;

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace kiln

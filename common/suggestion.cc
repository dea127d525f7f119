#include "common/suggestion.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

namespace kiln {
namespace {

// A third of the letters may be wrong, as compilers have it.
constexpr std::size_t kRightOfEach = 3;

// How many letters must be inserted, removed or replaced (Levenshtein), or swapped with their neighbours, to
// make A of B (optimal string alignment).
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last;
  std::vector<std::size_t> last(b.size() + 1);
  std::iota(last.begin(), last.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::vector<std::size_t> row{i};
    for (std::size_t j = 1; j <= b.size(); ++j) {
      std::size_t best =
          std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) best = std::min(best, before_last[j - 2] + 1);
      row.push_back(best);
    }
    before_last = std::exchange(last, std::move(row));
  }
  return last.back();
}

}  // namespace

std::optional<std::string_view> suggestion_for(std::string_view word, std::span<const std::string_view> names,
                                               std::size_t most) {
  std::optional<std::string_view> nearest;
  std::size_t least = 0;
  for (const std::string_view name : names) {
    const std::size_t far = distance(word, name);
    if (far > std::min(std::max(word.size(), name.size()) / kRightOfEach, most)) continue;
    if (nearest && far >= least) continue;
    nearest = name;
    least = far;
  }
  return nearest;
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> names) {
  const auto near = suggestion_for(word, names);
  return near ? "; did you mean " + std::string(*near) + "?" : std::string();
}

}  // namespace kiln

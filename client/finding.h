// What `kiln doctor` has found out about one thing, in a sentence.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

enum class Severity : std::uint8_t {
  ok,
  skip,  // it was not looked at; the sentence says why
  warn,  // Kiln works, with less than it could
  bad,   // to be mended
};

constexpr std::string_view word(Severity severity) {
  constexpr std::string_view kWords[] = {"ok", "skip", "warn", "bad"};
  return kWords[static_cast<std::size_t>(severity)];
}

struct Finding {
  Severity severity{};
  std::string what;
  std::string hint = {};  // the exact command that mends it

  bool operator==(const Finding&) const = default;
};

using Findings = std::vector<Finding>;

}  // namespace kiln

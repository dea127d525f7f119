#include "client/own_title.h"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace kiln {
namespace {

std::span<char> title;  // the strings, one behind the other, as the kernel has laid them out

}  // namespace

void note_own_title(std::span<char*> arguments) {
  if (arguments.empty()) return;
  char* const begin = arguments.front();
  title = {begin, arguments.back() + std::strlen(arguments.back()) + 1};
}

void be_nameless() {
  constexpr std::string_view kTitle = "kiln";
  std::ranges::fill(title, '\0');
  if (title.size() > kTitle.size()) std::ranges::copy(kTitle, title.begin());
}

}  // namespace kiln

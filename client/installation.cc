#include "client/installation.h"

#include <unistd.h>

#include "common/path_text.h"
#include "common/printable.h"
#include "common/shell_word.h"

namespace kiln {
namespace {

constexpr char kOfPackage[] = "/usr/bin";

bool is_there(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

}  // namespace

std::string install_again(const std::string& bin_dir, const std::string& part) {
  if (bin_dir == kOfPackage) return "sudo apt-get install --reinstall kiln";
  const std::string top(directory_of(bin_dir));
  // What is there is up to date for the build, however broken: it goes by times.
  if (is_there(top + "/CMakeCache.txt"))
    return "rm -f " + shell_word(part) + " && cmake --build " + shell_word(top);
  const std::string as = ::access(bin_dir.c_str(), W_OK) == 0 ? "" : "sudo ";
  return as + "cmake --install build/release --prefix " + shell_word(top) + "  # in Kiln's checkout";
}

}  // namespace kiln

#include "tests/e2e/other_build.h"

#include <filesystem>

#include "common/version.h"
#include "tests/e2e/harness.h"

namespace kiln::e2e {
namespace fs = std::filesystem;

std::string other_build() {
  const fs::path build = fs::path(kiln_binary()).parent_path().parent_path();
  const fs::path other = fs::path(home_dir()) / "other-build";
  const std::string id(build_id());
  std::string other_id = id;
  other_id.back() = id.back() == '0' ? '1' : '0';
  for (const char* name : {"bin/kiln", "bin/kilnd", "lib/kiln/kiln_image.so"}) {
    std::string bytes = read_file(build / name);
    for (std::size_t at = 0; (at = bytes.find(id, at)) != std::string::npos; at += id.size())
      bytes.replace(at, id.size(), other_id);
    write_file(other / name, bytes);
    fs::permissions(other / name, fs::perms::owner_all);
  }
  for (const auto& entry : fs::directory_iterator(build / "lib/kiln")) {
    fs::copy(entry.path(), other / "lib/kiln", fs::copy_options::skip_existing);
  }
  return other / "bin/kiln";
}

}  // namespace kiln::e2e

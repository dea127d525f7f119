// A file of proc(5), whose size nobody knows before it is read.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <string>

#include "common/unique_fd.h"

namespace kiln::image {

// Empty where it cannot be read.
inline std::string whole_file(const char* path) {
  std::string text;
  const UniqueFd fd{::open(path, O_RDONLY | O_CLOEXEC)};
  std::array<char, 16384> part{};
  for (ssize_t size = 0; (size = ::read(fd.get(), part.data(), part.size())) > 0;)
    text.append(part.data(), static_cast<std::size_t>(size));
  return text;
}

}  // namespace kiln::image

// The interpreters on this machine. One is always there; a test that wants more versions uses what it finds.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "daemon/interpreter.h"

namespace kiln {

inline const InterpreterInfo& system_python() {
  static const InterpreterInfo info = probe_interpreter("/usr/bin/python3").value();
  return info;
}

// The system's, and what a version manager has installed, of any version.
inline const std::vector<InterpreterInfo>& every_python() {
  static const auto found = [] {
    std::vector<InterpreterInfo> pythons{system_python()};
    const char* home = std::getenv("HOME");
    std::error_code error;
    const std::filesystem::path versions = std::string(home != nullptr ? home : "") + "/.pyenv/versions";
    for (const auto& version : std::filesystem::directory_iterator(versions, error)) {
      const auto info = probe_interpreter(version.path().string() + "/bin/python");
      if (info && info->implementation == "cpython") pythons.push_back(*info);
    }
    return pythons;
  }();
  return found;
}

// Those that compile workers and images serve: 3.7 and later.
inline const std::vector<InterpreterInfo>& all_pythons() {
  static const auto found = [] {
    auto pythons = every_python();
    std::erase_if(pythons, [](const InterpreterInfo& python) {
      return std::pair(python.major, python.minor) < std::pair(3, 7);
    });
    return pythons;
  }();
  return found;
}

}  // namespace kiln

// The daemon's configuration: a TOML file (paths.h says where), every key of which has a default.
//
//   [log]
//   level = "info"     # trace, debug, info, warning, error
//   [images]
//   limit = 64         # images kept at once; the least recently used idle one goes first
//   [store]
//   limit = "2GiB"     # what compiled code may take on the disk: bytes, or "500MB"; 0 for no store
//   [overlay]
//   limit = "512MiB"   # what bytecode of trees that cannot be written may take; 0 for no overlay
//
// An unknown key or a value of the wrong kind is an error that names its line: a misspelt key must not be
// silently without effect. The daemon then says so in its log and goes on with the defaults, for no fault of
// Kiln's may keep a program from running.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "common/result.h"

namespace kiln {

struct Config {
  std::string log_level = "info";
  std::size_t image_limit = 64;
  std::uint64_t store_limit = 2ULL << 30;      // bytes
  std::uint64_t overlay_limit = 512ULL << 20;  // bytes
};

// TEXT of a configuration; PATH is for messages: "kiln.toml:3: unknown key images.limt".
Result<Config> parse_config(const std::string& text, const std::string& path);

// The file at PATH; the defaults if there is none.
Result<Config> read_config(const std::string& path);

}  // namespace kiln

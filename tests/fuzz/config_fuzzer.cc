// A kiln.toml: anybody who may write to a directory above a program may have put one there. What is accepted
// is written and read again, to the same values.
#include <cstddef>
#include <cstdint>
#include <string>

#include "common/config_file.h"
#include "common/config_key.h"
#include "tests/fuzz/require.h"

namespace {

kiln::Config values_of(const kiln::ConfigFile& file) {
  kiln::Config config = kiln::default_config();
  for (const auto& item : file.items)
    kiln::require(kiln::set_value(config, *item.key, item.value, {}).has_value());
  return config;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto file = kiln::parse_config(text, "kiln.toml", kiln::ConfigScope::user);
  const auto project = kiln::parse_config(text, "kiln.toml", kiln::ConfigScope::project);
  kiln::require(file.has_value() || !project.has_value());
  if (!file) return 0;
  const kiln::Config config = values_of(*file);
  for (const auto& item : file->items) {
    const std::string written =
        std::string(item.key->name) + " = " + kiln::toml_text(config, *item.key) + "\n";
    const auto again = kiln::parse_config(written, "kiln.toml", kiln::ConfigScope::user);
    kiln::require(again.has_value());
    kiln::require(kiln::toml_text(values_of(*again), *item.key) == kiln::toml_text(config, *item.key));
  }
  return 0;
}

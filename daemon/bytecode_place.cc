#include "daemon/bytecode_place.h"

#include "common/magic.h"
#include "common/overlay.h"
#include "common/path_text.h"
#include "common/pyc.h"

namespace kiln {

std::string bytecode_path(const BytecodePlace& place, const InterpreterInfo& interpreter,
                          const std::string& source, int optimize) {
  if (place.legacy || !has_pycache(interpreter)) {
    return legacy_cache_path(source, {interpreter.major, interpreter.minor}, optimize);
  }
  const bool knows_prefix = interpreter.major > 3 || interpreter.minor >= 8;  // sys.pycache_prefix
  return cache_from_source(source, interpreter.cache_tag, optimize,
                           knows_prefix ? place.prefix : std::string());
}

std::optional<BytecodePlace> place_of(const std::string& pyc, const std::string& source, std::uint32_t magic,
                                      const std::string& overlay) {
  const std::string name(name_of(pyc));
  const std::string_view directory = directory_of(pyc);
  const std::string_view parent = directory_of(source);
  if (!parse_pyc_name(name)) {
    if (directory != parent) return std::nullopt;
    const auto format = bytecode_format(magic);
    const bool is_python2 = format && format->version.major < 3;
    return BytecodePlace{.legacy = !is_python2};
  }
  const std::string cached = place_in_tree(pyc, source);
  if (pyc == cached || (!overlay.empty() && pyc == overlay_path(overlay, cached))) return BytecodePlace{};
  const std::string_view mirrored = parent == "/" ? "" : parent;
  if (!directory.ends_with(mirrored)) return std::nullopt;
  return BytecodePlace{.prefix = std::string(directory.substr(0, directory.size() - mirrored.size()))};
}

std::string place_in_tree(const std::string& pyc, const std::string& source) {
  return path_in(path_in(directory_of(source), "__pycache__"), name_of(pyc));
}

bool is_superseded(const std::string& pyc, const std::string& source, bool is_program) {
  return !is_program && !is_unwritable(place_in_tree(pyc, source));
}

}  // namespace kiln

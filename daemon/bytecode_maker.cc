#include "daemon/bytecode_maker.h"

#include "common/canonical_code.h"
#include "common/embedded_filename.h"

namespace kiln {
namespace {

// The file name of code in the store. It occurs in no program by chance: a name that does cannot be replaced.
constexpr std::string_view kCanonicalName = "<kiln store>";

StoreKey key_of(const BytecodeWish& wish, const std::string& source) {
  return {sha256(source),         wish.interpreter.magic, wish.interpreter.cache_tag,
          wish.interpreter.build, wish.optimize,          {}};
}

// Nothing if there is none, or its name cannot be told from other text in the code.
std::optional<Compiled> restore(const BytecodeWish& wish, const StoreKey& key, WriteBehindStore& store) {
  auto stored = store.find(key);
  if (!stored) return std::nullopt;
  auto code = replace_filename(stored->code, wish.interpreter.magic, wish.filename);
  if (!code) return std::nullopt;
  return Compiled{std::move(*code), {}, std::move(stored->warnings)};
}

void keep(const BytecodeWish& wish, const StoreKey& key, const Compiled& compiled, WriteBehindStore& store) {
  auto canonical = replace_filename(compiled.code, wish.interpreter.magic, kCanonicalName);
  if (canonical) store.keep(key, {std::move(*canonical), compiled.warnings});
}

Result<Compiled> compile(const BytecodeWish& wish, const std::string& source, CompilerPool& compilers,
                         int cancel) {
  auto worker = compilers.take(wish.interpreter, wish.optimize);
  Compiled compiled = TRY(worker->compile({source, wish.filename, wish.optimize}, cancel));
  compilers.give_back(std::move(worker));
  // Up to 3.10 the bytes depend on what the process has compiled before: ours are the same each time.
  if (auto canonical = canonical_code(compiled.code, wish.interpreter.magic)) {
    compiled.code = std::move(*canonical);
  }
  return compiled;
}

}  // namespace

bool is_stored_code(std::string_view body, const BytecodeWish& wish, const std::string& source,
                    WriteBehindStore& store) {
  const auto stored = store.find(key_of(wish, source));
  const auto canonical = replace_filename(body, wish.interpreter.magic, kCanonicalName);
  return stored && canonical && *canonical == stored->code;
}

Result<MadeBytecode> make_bytecode(const BytecodeWish& wish, const std::string& source,
                                   CompilerPool& compilers, WriteBehindStore& store, int cancel) {
  const StoreKey key = key_of(wish, source);
  if (!wish.force) {
    if (auto restored = restore(wish, key, store)) {
      return MadeBytecode{std::move(*restored), true, content_id(key.source)};
    }
  }
  Compiled compiled = TRY(compile(wish, source, compilers, cancel));
  if (!compiled.error) keep(wish, key, compiled, store);
  return MadeBytecode{std::move(compiled), false, content_id(key.source)};
}

}  // namespace kiln

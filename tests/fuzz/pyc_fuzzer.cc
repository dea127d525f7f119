// A bytecode file: its header, then the walker over its code, and what is built upon that.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/canonical_code.h"
#include "common/code_list.h"
#include "common/embedded_filename.h"
#include "common/marshal.h"
#include "common/pyc.h"
#include "tests/fuzz/require.h"

namespace kiln {
namespace {

void fuzz_header(const PycHeader& header) {
  const auto bytes = encode_pyc_header(header);
  require(bytes.size() == pyc_header_size(header.magic));
  require(parse_pyc_header(bytes).value() == header);
}

void fuzz_filename(std::string_view body, std::uint32_t magic, std::string_view name) {
  const auto replaced = replace_filename(body, magic, name);
  if (!replaced) return;
  require(is_whole_code(*replaced, magic));
  require(find_filename(*replaced, magic).value().name == name);
  const auto found = find_filename(body, magic);
  require(found && body.size() >= found->offset + found->size);
}

void fuzz_canonical(std::string_view body, std::uint32_t magic, std::string_view name) {
  const auto canonical = canonical_code(body, magic);
  require(canonical.has_value() == is_whole_code(body, magic));
  if (!canonical) return;
  require(canonical->size() == body.size() && is_whole_code(*canonical, magic));
  require(canonical_code(*canonical, magic).value() == *canonical);
  const auto replaced = replace_filename(body, magic, name);
  const auto of_canonical = replace_filename(*canonical, magic, name);
  require(replaced.has_value() == of_canonical.has_value());
  require(!replaced || canonical_code(*replaced, magic).value() == *of_canonical);
}

void fuzz_code(std::string_view body, std::uint32_t magic) {
  const bool known = bytecode_format(magic).has_value();
  const bool whole = is_whole_code(body, magic);
  const auto list = list_code_objects(body, magic);
  require(list.has_value() == (whole && known));
  require(!list || list->size() <= body.size());
  fuzz_canonical(body, magic, "/fuzz/a.py");
  fuzz_filename(body, magic, "/fuzz/a.py");
  fuzz_filename(body, magic, "/fuzz/\xff\xed\xa0\x80\xc3\xa9.py");
  fuzz_filename(body, magic, std::string(300, 'f'));
}

}  // namespace
}  // namespace kiln

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  kiln::parse_pyc_name(bytes);
  kiln::source_from_cache(bytes, "/p");
  const auto header = kiln::parse_pyc_header(bytes);
  if (!header) return 0;
  kiln::fuzz_header(*header);
  kiln::fuzz_code(bytes.substr(kiln::pyc_header_size(header->magic)), header->magic);
  return 0;
}

// An object of the store: as it is, and with its checksum put right, for a checksum is no obstacle to
// somebody who means harm, and one that a fuzzer does not get past.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "daemon/store_object.h"
#include "tests/fuzz/require.h"

namespace {

constexpr std::uint64_t kMaxLength = 1U << 17;

void put_right(std::string& object, const kiln::Sha256& key) {
  const std::string model = kiln::encode_object(key, {});
  const std::size_t place = model.size() - 3 * sizeof(std::uint64_t) - sizeof key;  // magic and key
  object.replace(0, place, model, 0, place);
  object.resize(object.size() - sizeof key);
  object += kiln::bytes_of(kiln::sha256(object));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const kiln::Sha256 key{};
  std::string object(reinterpret_cast<const char*>(data), size);
  (void)kiln::decode_object(object, key, kMaxLength);
  if (size < kiln::kObjectOverhead) return 0;
  put_right(object, key);
  const auto stored = kiln::decode_object(object, key, kMaxLength);
  if (!stored) return 0;
  kiln::require(stored->code.size() + stored->warnings.size() <= kMaxLength);
  kiln::require(kiln::decode_object(kiln::encode_object(key, *stored), key) == stored);
  return 0;
}

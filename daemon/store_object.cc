#include "daemon/store_object.h"

#include <zstd.h>

#include <cstring>
#include <memory>
#include <new>

namespace kiln {
namespace {

constexpr std::string_view kMagic = "kilnobj1";
constexpr std::size_t kHeaderSize = 64;
constexpr std::size_t kChecksumSize = sizeof(Sha256);
static_assert(kHeaderSize + kChecksumSize == kObjectOverhead);

constexpr std::uint64_t kBlock = 4096;
constexpr int kLevel = 1;

enum class Compression : std::uint64_t { none = 0, zstd = 1 };

void append_number(std::string& out, std::uint64_t value) {
  char raw[sizeof value];
  std::memcpy(raw, &value, sizeof value);
  out.append(raw, sizeof raw);
}

std::uint64_t number_at(std::string_view bytes, std::size_t offset) {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

// Contexts are kept, one a thread: making one costs more than compressing an average object.
ZSTD_CCtx* compressor() {
  thread_local const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(),
                                                                                  ZSTD_freeCCtx);
  if (!context) throw std::bad_alloc();
  return context.get();
}

ZSTD_DCtx* decompressor() {
  thread_local const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(),
                                                                                  ZSTD_freeDCtx);
  if (!context) throw std::bad_alloc();
  return context.get();
}

std::string compressed(std::string_view plain) {
  std::string out(ZSTD_compressBound(plain.size()), '\0');
  const std::size_t size =
      ZSTD_compressCCtx(compressor(), out.data(), out.size(), plain.data(), plain.size(), kLevel);
  if (ZSTD_isError(size) != 0) throw std::bad_alloc();  // with room for everything, nothing else can fail
  out.resize(size);
  return out;
}

bool pays(std::uint64_t plain_size, std::uint64_t compressed_size) {
  return disk_bytes(compressed_size + kObjectOverhead) * 4 <= disk_bytes(plain_size + kObjectOverhead) * 3;
}

// Nothing unless PACKED decompresses to exactly SIZE bytes.
std::optional<std::string> decompressed(std::string_view packed, std::uint64_t size) {
  if (ZSTD_getFrameContentSize(packed.data(), packed.size()) != size) return std::nullopt;
  std::string out(size, '\0');
  const std::size_t done =
      ZSTD_decompressDCtx(decompressor(), out.data(), out.size(), packed.data(), packed.size());
  if (done != size) return std::nullopt;  // errors are numbers beyond every size
  return out;
}

bool is_whole(std::string_view object, const Sha256& key) {
  if (object.size() < kObjectOverhead || !object.starts_with(kMagic)) return false;
  if (object.substr(kMagic.size(), key.size()) != bytes_of(key)) return false;
  const auto covered = object.substr(0, object.size() - kChecksumSize);
  return object.substr(covered.size()) == bytes_of(sha256(covered));
}

StoredCode split(std::string both, std::uint64_t code_size) {
  StoredCode stored;
  stored.warnings = both.substr(code_size);
  both.resize(code_size);
  stored.code = std::move(both);
  return stored;
}

}  // namespace

std::uint64_t disk_bytes(std::uint64_t size) {
  return (size + kBlock - 1) / kBlock * kBlock;
}

std::string object_path(const std::string& directory, const Sha256& key) {
  const std::string name = hex(key);
  return directory + "/" + name.substr(0, 2) + "/" + name.substr(2);
}

std::string encode_object(const Sha256& key, const StoredCode& stored) {
  std::string payload = stored.code + stored.warnings;
  auto compression = Compression::none;
  if (pays(payload.size(), 0)) {  // something could be saved
    std::string packed = compressed(payload);
    if (pays(payload.size(), packed.size())) {
      payload = std::move(packed);
      compression = Compression::zstd;
    }
  }
  std::string object;
  object.reserve(payload.size() + kObjectOverhead);
  object += kMagic;
  object += bytes_of(key);
  append_number(object, static_cast<std::uint64_t>(compression));
  append_number(object, stored.code.size());
  append_number(object, stored.warnings.size());
  object += payload;
  object += bytes_of(sha256(object));
  return object;
}

std::optional<StoredCode> decode_object(std::string_view object, const Sha256& key,
                                        std::uint64_t max_length) {
  if (!is_whole(object, key)) return std::nullopt;
  const auto compression = static_cast<Compression>(number_at(object, 40));
  const std::uint64_t code_size = number_at(object, 48);
  const std::uint64_t warnings_size = number_at(object, 56);
  if (code_size > max_length || warnings_size > max_length - code_size) return std::nullopt;
  const std::uint64_t size = code_size + warnings_size;
  const auto payload = object.substr(kHeaderSize, object.size() - kObjectOverhead);
  if (compression == Compression::none && payload.size() == size) {
    return StoredCode{std::string(payload.substr(0, code_size)), std::string(payload.substr(code_size))};
  }
  if (compression != Compression::zstd) return std::nullopt;
  auto both = decompressed(payload, size);
  if (!both) return std::nullopt;
  return split(std::move(*both), code_size);
}

}  // namespace kiln

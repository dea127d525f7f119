#include "common/fields.h"

#include <cstring>

namespace kiln {

void FieldWriter::number(std::uint64_t value) {
  char raw[sizeof value];
  std::memcpy(raw, &value, sizeof value);
  out_.append(raw, sizeof raw);
}

void FieldWriter::bytes(std::string_view value) {
  number(value.size());
  out_.append(value);
}

void FieldWriter::list(const std::vector<std::string>& values) {
  number(values.size());
  for (const auto& value : values) bytes(value);
}

std::string_view FieldReader::take(std::size_t size) {
  if (!ok_ || size > in_.size()) {
    ok_ = false;
    return {};
  }
  const auto taken = in_.substr(0, size);
  in_.remove_prefix(size);
  return taken;
}

std::uint64_t FieldReader::number() {
  std::uint64_t value = 0;
  const auto raw = take(sizeof value);
  if (ok_) std::memcpy(&value, raw.data(), sizeof value);
  return value;
}

std::string FieldReader::bytes() {
  return std::string(take(number()));
}

std::vector<std::string> FieldReader::list() {
  const std::uint64_t count = number();
  std::vector<std::string> values;
  if (count > in_.size())
    ok_ = false;  // each value takes at least its length: never reserve on a peer's word
  for (std::uint64_t i = 0; ok_ && i < count; ++i) values.push_back(bytes());
  return values;
}

}  // namespace kiln

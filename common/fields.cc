#include "common/fields.h"

#include <algorithm>
#include <cstring>

namespace kiln {
namespace {

constexpr std::size_t kMaxPath = 4096;  // PATH_MAX; a list of paths grows no further on a peer's word

}  // namespace

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

void FieldWriter::paths(const std::vector<std::string>& values) {
  number(values.size());
  std::string_view last;
  for (const std::string_view value : values) {
    const auto shared = static_cast<std::size_t>(std::ranges::mismatch(value, last).in1 - value.begin());
    number(shared);
    bytes(value.substr(shared));
    last = value;
  }
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

// There is one form of each list: what a path has in common with the one before it is not sent again.
std::vector<std::string> FieldReader::paths() {
  const std::uint64_t count = number();
  std::vector<std::string> values;
  if (count > in_.size()) ok_ = false;
  std::string last;
  for (std::uint64_t i = 0; ok_ && i < count; ++i) {
    const std::uint64_t shared = number();
    const std::string rest = bytes();
    const bool has_more = shared < last.size() && !rest.empty() && rest[0] == last[shared];
    if (shared > last.size() || shared > kMaxPath || has_more) ok_ = false;
    if (!ok_) break;
    last = last.substr(0, shared) + rest;
    values.push_back(last);
  }
  return values;
}

}  // namespace kiln

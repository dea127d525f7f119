// A flat list of values for peers that have no protobuf: unsigned 64-bit numbers and length-prefixed byte
// strings, little-endian, read back in the order in which they were written. Python reads the same with
// struct.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace kiln {

class FieldWriter {
 public:
  void number(std::uint64_t value);
  void bytes(std::string_view value);
  void list(const std::vector<std::string>& values);
  // The same for paths, which have much in common with the one before them.
  void paths(const std::vector<std::string>& values);
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

// Reads never go past the end: a missing or oversized field is an error, kept until ok() is asked, so that a
// reader can be written as straight as the writer.
class FieldReader {
 public:
  explicit FieldReader(std::string_view in) : in_(in) {}
  std::uint64_t number();
  std::string bytes();
  std::vector<std::string> list();
  std::vector<std::string> paths();
  // True if every read so far found its field.
  bool ok() const { return ok_; }
  // True if, besides, nothing is left over.
  bool done() const { return ok_ && in_.empty(); }

 private:
  std::string_view take(std::size_t size);
  std::string_view in_;
  bool ok_ = true;
};

}  // namespace kiln

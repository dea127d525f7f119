#include "common/marshal.h"

#include <cstdlib>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <vector>

namespace kiln {
namespace {

constexpr int kMaxDepth = 2'000;  // MAX_MARSHAL_STACK_DEPTH
constexpr char kFlagRef = static_cast<char>(0x80);

// The letter without FLAG_REF.
constexpr char type_of(char byte) {
  return static_cast<char>(byte & ~kFlagRef);
}

constexpr CodeField kFields[] = {CodeField::other, CodeField::other, CodeField::other,    CodeField::other,
                                 CodeField::other, CodeField::other, CodeField::filename, CodeField::name};
constexpr CodeField kFieldsFrom311[] = {CodeField::other, CodeField::other,   CodeField::other,
                                        CodeField::other, CodeField::other,   CodeField::filename,
                                        CodeField::name,  CodeField::qualname};

// A code object: numbers, objects, a number (the first line), objects.
struct CodeLayout {
  std::uint64_t numbers;
  std::span<const CodeField> objects;
  std::uint64_t last_objects;
};

CodeLayout layout_of(PythonVersion version) {
  if (version < PythonVersion{3, 0}) return {4, kFields, 1};
  if (version < PythonVersion{3, 8}) return {5, kFields, 1};
  if (version < PythonVersion{3, 11}) return {6, kFields, 1};
  return {5, kFieldsFrom311, 2};
}

class Walker {
 public:
  Walker(std::string_view body, const BytecodeFormat& format, MarshalVisitor& visitor)
      : body_(body),
        rest_(body),
        version_(format.version),
        dialect_(format.dialect),
        layout_(layout_of(format.version)),
        visitor_(visitor) {}

  bool whole() {
    if (body_.size() > std::numeric_limits<std::int32_t>::max()) return false;  // marshal's own limit
    return !rest_.empty() && type_of(rest_[0]) == 'c' && object(CodeField::other, 0) && rest_.empty();
  }

 private:
  std::uint32_t offset() const { return static_cast<std::uint32_t>(body_.size() - rest_.size()); }

  bool skip(std::uint64_t size) {
    if (size > rest_.size()) return false;
    rest_.remove_prefix(size);
    return true;
  }

  template <class T>
  std::optional<T> number() {
    T value;
    if (rest_.size() < sizeof value) return std::nullopt;
    std::memcpy(&value, rest_.data(), sizeof value);
    rest_.remove_prefix(sizeof value);
    return value;
  }

  // Bytes whose number comes first, as a T.
  template <class T>
  bool sized() {
    const auto size = number<T>();
    return size && skip(*size);
  }

  bool objects(std::uint64_t count, int depth) {
    for (; count > 0; --count) {
      if (!object(CodeField::other, depth)) return false;
    }
    return true;
  }

  template <class T>
  bool sequence(int depth) {
    const auto count = number<T>();
    return count && objects(*count, depth);
  }

  bool long_integer() {
    const auto digits = number<std::int32_t>();
    if (!digits) return false;
    constexpr std::uint16_t kBase = 1U << 15;
    std::optional<std::uint16_t> last = 1;
    for (std::int64_t left = std::llabs(*digits); left > 0 && last && *last < kBase; --left)
      last = number<std::uint16_t>();
    return last && *last < kBase && *last != 0;  // marshal.c: "digit out of range", "unnormalized long data"
  }

  bool dictionary(int depth) {
    while (!rest_.empty() && rest_[0] != '0') {
      if (!objects(2, depth)) return false;
    }
    return skip(1);
  }

  template <class T>
  bool string(CodeField field, std::uint32_t begin) {
    if (!sized<T>()) return false;
    visitor_.meets(field, marshal_string_at(body_, begin));
    return true;
  }

  bool reference(CodeField field, std::uint32_t begin) {
    const auto index = number<std::uint32_t>();
    if (!index || *index >= counted_.size()) return false;
    visitor_.refers(field, {begin, *index, counted_[*index]});
    return true;
  }

  bool code(int depth) {
    visitor_.code_begins();
    if (!skip(layout_.numbers * 4)) return false;
    for (const auto field : layout_.objects) {
      if (!object(field, depth)) return false;
    }
    const auto first_line = number<std::int32_t>();
    if (!first_line || !objects(layout_.last_objects, depth)) return false;
    visitor_.code_ends(*first_line);
    return true;
  }

  bool has_references() const { return dialect_ == MarshalDialect::references; }

  // Notes an object that may be referred to: marshal counts them as they begin.
  bool count(char byte, char type, std::uint32_t begin) {
    const bool flagged = (byte & kFlagRef) != 0;
    if (flagged && !has_references()) return false;
    const bool interned = dialect_ == MarshalDialect::string_references && type == 't';
    if (flagged || interned) {
      counted_.push_back(begin);
      visitor_.counts(begin);
    }
    return true;
  }

  // A type without contents is one object for all, and counted by nobody.
  static bool is_singleton(char type) {
    return type == 'N' || type == 'F' || type == 'T' || type == 'S' || type == '.';
  }

  bool object(CodeField field, int depth) {
    if (depth > kMaxDepth || rest_.empty()) return false;
    const auto begin = offset();
    const char byte = rest_[0];
    const char type = type_of(byte);
    rest_.remove_prefix(1);
    if (is_singleton(type)) return true;
    if (type == 'r') return has_references() && reference(field, begin);
    if (type == 'R') return dialect_ == MarshalDialect::string_references && reference(field, begin);
    return count(byte, type, begin) && contents(field, type, begin, depth);
  }

  bool contents(CodeField field, char type, std::uint32_t begin, int depth) {
    switch (type) {
      case 'i':
        return skip(4);
      case 'I':
      case 'g':
        return skip(8);
      case 'y':
        return skip(16);
      case 'f':
        return sized<std::uint8_t>();
      case 'x':
        return sized<std::uint8_t>() && sized<std::uint8_t>();
      case 'l':
        return long_integer();
      case 's':
      case 'u':
        return string<std::uint32_t>(field, begin);
      case 't':
        return dialect_ != MarshalDialect::plain && string<std::uint32_t>(field, begin);
      case 'a':
      case 'A':
        return has_references() && string<std::uint32_t>(field, begin);
      case 'z':
      case 'Z':
        return has_references() && string<std::uint8_t>(field, begin);
      case ')':
        return has_references() && sequence<std::uint8_t>(depth + 1);
      case '(':
      case '[':
      case '<':
      case '>':
        return sequence<std::uint32_t>(depth + 1);
      case '{':
        return dictionary(depth + 1);
      case ':':
        return version_ >= PythonVersion{3, 14} && objects(3, depth + 1);  // a slice
      case 'c':
        return code(depth + 1);
      default:
        return false;
    }
  }

  std::string_view body_;
  std::string_view rest_;
  PythonVersion version_;
  MarshalDialect dialect_;
  CodeLayout layout_;
  MarshalVisitor& visitor_;
  std::vector<std::uint32_t> counted_;  // offsets of what references count
};

bool is_short(char type) {
  return type == 'z' || type == 'Z';
}

}  // namespace

bool is_marshal_string(char byte) {
  return std::string_view("stuaAzZ").find(type_of(byte)) != std::string_view::npos;
}

MarshalString marshal_string_at(std::string_view body, std::uint32_t offset) {
  const char byte = body[offset];
  const char type = type_of(byte);
  const auto* length = body.data() + offset + 1;
  std::uint32_t size = static_cast<unsigned char>(*length);
  if (!is_short(type)) std::memcpy(&size, length, sizeof size);
  const std::uint32_t prefix = is_short(type) ? 2 : 5;
  return {offset, prefix + size, type, (byte & kFlagRef) != 0, body.substr(offset + prefix, size)};
}

bool walk_code(std::string_view body, const BytecodeFormat& format, MarshalVisitor& visitor) {
  return Walker(body, format, visitor).whole();
}

bool is_whole_code(std::string_view body, std::uint32_t magic) {
  const auto format = bytecode_format(magic);
  MarshalVisitor nobody;
  return !format || walk_code(body, *format, nobody);
}

}  // namespace kiln

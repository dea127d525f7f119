#include "common/marshal.h"

#include <cstdlib>
#include <cstring>
#include <optional>

namespace kiln {
namespace {

constexpr int kMaxDepth = 2'000;  // MAX_MARSHAL_STACK_DEPTH

// A code object: numbers, objects, a number (the first line), objects.
struct CodeLayout {
  int numbers;
  int objects;
  int last_objects;
};

// By the magic number's lower half, as Lib/importlib/_bootstrap_external.py lists them.
std::optional<CodeLayout> layout_of(std::uint32_t magic) {
  const std::uint32_t version = magic & 0xffff;
  if (version >= 3390 && version < 3400) return CodeLayout{5, 8, 1};  // 3.7
  if (version >= 3413 && version < 3440) return CodeLayout{6, 8, 1};  // 3.8: positional-only arguments
  if (version >= 3495 && version < 3650) return CodeLayout{5, 8, 2};  // 3.11: no nlocals, an exception table
  return std::nullopt;
}

class Scanner {
 public:
  Scanner(std::string_view bytes, CodeLayout layout) : rest_(bytes), layout_(layout) {}

  bool whole() { return !rest_.empty() && type_of(rest_[0]) == 'c' && object(0) && rest_.empty(); }

 private:
  // The letter without the flag that says that the object is referred to later.
  static char type_of(char byte) { return static_cast<char>(byte & 0x7f); }

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
      if (!object(depth)) return false;
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
    return digits && skip(static_cast<std::uint64_t>(std::llabs(*digits)) * 2);
  }

  bool dictionary(int depth) {
    while (!rest_.empty() && rest_[0] != '0') {
      if (!objects(2, depth)) return false;
    }
    return skip(1);
  }

  bool code(int depth) {
    return skip(static_cast<std::uint64_t>(layout_.numbers) * 4) &&
           objects(static_cast<std::uint64_t>(layout_.objects), depth) && skip(4) &&
           objects(static_cast<std::uint64_t>(layout_.last_objects), depth);
  }

  bool object(int depth) {
    if (depth > kMaxDepth || rest_.empty()) return false;
    const char type = type_of(rest_[0]);
    rest_.remove_prefix(1);
    switch (type) {
      case 'N':
      case 'F':
      case 'T':
      case 'S':
      case '.':
        return true;
      case 'i':
      case 'r':
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
      case 't':
      case 'u':
      case 'a':
      case 'A':
        return sized<std::uint32_t>();
      case 'z':
      case 'Z':
        return sized<std::uint8_t>();
      case ')':
        return sequence<std::uint8_t>(depth + 1);
      case '(':
      case '[':
      case '<':
      case '>':
        return sequence<std::uint32_t>(depth + 1);
      case '{':
        return dictionary(depth + 1);
      case ':':
        return objects(3, depth + 1);  // a slice, 3.14
      case 'c':
        return code(depth + 1);
      default:
        return false;
    }
  }

  std::string_view rest_;
  CodeLayout layout_;
};

}  // namespace

bool is_whole_code(std::string_view body, std::uint32_t magic) {
  const auto layout = layout_of(magic);
  return !layout || Scanner(body, *layout).whole();
}

}  // namespace kiln

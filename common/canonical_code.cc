#include "common/canonical_code.h"

#include <cstring>
#include <vector>

#include "common/marshal.h"

namespace kiln {
namespace {

bool varies(const BytecodeFormat& format) {
  return format.dialect == MarshalDialect::references && format.version < PythonVersion{3, 11};
}

constexpr unsigned char kFlag = 0x80;  // FLAG_REF
constexpr unsigned char kLatinLead =
    0xc2;  // the first byte of U+0080 to U+00BF in UTF-8; U+00C0 to U+00FF have the next

bool is_name_character(char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
         byte == '_';
}

// How the string at AT would be marshalled if nobody had interned it, where that is chance. CPython has but
// one object for each string of one Latin-1 character, so one like "{" is interned, for all that comes after,
// as soon as anything in the process interns it. What the compiler interns itself are names, and constants
// that look like them.
char letter_without_chance(const std::string& body, std::size_t at) {
  const char letter = static_cast<char>(body[at] & ~kFlag);
  const auto rest = std::string_view(body).substr(at + 1);
  using namespace std::string_view_literals;
  if (letter == 'Z' && rest.starts_with('\1') && !is_name_character(rest[1])) return 'z';
  if (letter != 't' || !rest.starts_with("\2\0\0\0"sv)) return letter;
  const bool is_latin = (static_cast<unsigned char>(rest[4]) & ~1U) == kLatinLead;
  return is_latin ? 'u' : letter;
}

// Gathers what can be referred to, and what is.
class References final : public MarshalVisitor {
 public:
  void counts(std::uint32_t offset) override { objects_.push_back({offset}); }
  void refers(CodeField, const MarshalReference& reference) override {
    objects_[reference.index].used = true;
    references_.push_back(reference);
  }

  // Of the body that was walked.
  void make_canonical(std::string& body) {
    std::uint32_t used = 0;
    for (auto& object : objects_) {
      object.index = used;
      const char letter = letter_without_chance(body, object.offset);
      body[object.offset] = object.used ? static_cast<char>(letter | kFlag) : letter;
      if (object.used) ++used;
    }
    for (const auto& reference : references_) {
      const auto index = objects_[reference.index].index;
      std::memcpy(body.data() + reference.offset + 1, &index, sizeof index);
    }
  }

 private:
  struct Object {
    std::uint32_t offset = 0;
    std::uint32_t index = 0;  // among those that are used
    bool used = false;
  };

  std::vector<Object> objects_;
  std::vector<MarshalReference> references_;
};

}  // namespace

Result<std::string> canonical_code(std::string_view body, std::uint32_t magic) {
  std::string result(body);
  const auto format = bytecode_format(magic);
  if (!format) return result;
  References references;
  if (!walk_code(body, *format, references)) {
    return Error{Reason::bad_pyc, "bytecode that is no whole code object", {}};
  }
  if (varies(*format)) references.make_canonical(result);
  return result;
}

}  // namespace kiln

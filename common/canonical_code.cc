#include "common/canonical_code.h"

#include <cstring>
#include <vector>

#include "common/marshal.h"

namespace kiln {
namespace {

bool varies(const BytecodeFormat& format) {
  return format.dialect == MarshalDialect::references && format.version < PythonVersion{3, 11};
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
      if (object.used) {
        ++used;
      } else {
        body[object.offset] = without_flag(body[object.offset]);
      }
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

  static char without_flag(char byte) { return static_cast<char>(byte & 0x7f); }

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

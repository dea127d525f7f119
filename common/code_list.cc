#include "common/code_list.h"

#include "common/marshal.h"

namespace kiln {
namespace {

class CodeLister final : public MarshalVisitor {
 public:
  explicit CodeLister(std::string_view body) : body_(body) {}

  void code_begins() override {
    open_.push_back(list_.size());
    list_.push_back({.depth = static_cast<int>(open_.size()) - 1});
  }
  void code_ends(std::int32_t first_line) override {
    list_[open_.back()].first_line = first_line;
    open_.pop_back();
  }
  void meets(CodeField field, const MarshalString& string) override { set(field, string.contents); }
  void refers(CodeField field, const MarshalReference& reference) override {
    // A reference may as well be to an object that is no string: such a name is left empty.
    if (field != CodeField::other && is_marshal_string(body_[reference.target])) {
      set(field, marshal_string_at(body_, reference.target).contents);
    }
  }

  std::vector<CodeObject> take() { return std::move(list_); }

 private:
  void set(CodeField field, std::string_view text) {
    if (field == CodeField::name) list_[open_.back()].name = text;
    if (field == CodeField::qualname) list_[open_.back()].qualname = text;
    if (field == CodeField::filename) list_[open_.back()].filename = text;
  }

  std::string_view body_;
  std::vector<CodeObject> list_;
  std::vector<std::size_t> open_;  // indexes of those that have begun and not ended
};

}  // namespace

Result<std::vector<CodeObject>> list_code_objects(std::string_view body, std::uint32_t magic) {
  const auto format = bytecode_format(magic);
  if (!format) return Error{Reason::bad_pyc, "bytecode of an unknown version", {}};
  CodeLister lister(body);
  if (!walk_code(body, *format, lister)) {
    return Error{Reason::bad_pyc, "bytecode that is no whole code object", {}};
  }
  return lister.take();
}

}  // namespace kiln

#include "common/embedded_filename.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "common/marshal.h"
#include "common/surrogate_escape.h"

namespace kiln {
namespace {

constexpr std::size_t kMaxFilename = 4'096;  // PATH_MAX
// The interpreter has one object for each string of one character, up to U+00FF, and for the empty one.
constexpr std::size_t kMinFilename = 3;
constexpr std::size_t kMaxShort = 255;  // length of what 'z' and 'Z' hold

Error refusal(const char* why) {
  return {Reason::bad_pyc, std::string("the file name in the bytecode cannot be told: ") + why, {}};
}

bool is_interned(char type) {
  return type == 't' || type == 'A' || type == 'Z';
}

bool interns_filename(const BytecodeFormat& format) {
  return format.version >= PythonVersion{3, 13};
}

// Finds where the name is written out, and who shares it.
class FilenameSites final : public MarshalVisitor {
 public:
  // NEWCOMER is text that might be shared with the code if it were the name; empty: none.
  FilenameSites(MarshalDialect dialect, std::string_view newcomer) : dialect_(dialect), newcomer_(newcomer) {}

  void code_begins() override { ++nameless_; }

  void meets(CodeField field, const MarshalString& string) override {
    if (field == CodeField::filename) {
      --nameless_;
      sites_.push_back(string.offset);
    } else if (!newcomer_.empty() && string.type != 's' && string.contents == newcomer_) {
      shared_ = true;
    }
  }

  void refers(CodeField field, const MarshalReference& reference) override {
    const bool to_name = std::ranges::binary_search(sites_, reference.target);
    const bool from_name = field == CodeField::filename;
    if (from_name) --nameless_;
    if (from_name != to_name || (from_name && dialect_ != MarshalDialect::references)) shared_ = true;
  }

  // Offsets, ascending.
  const std::vector<std::uint32_t>& all() const { return sites_; }
  bool shared() const { return shared_; }
  // True if each code object has a string for its name, or a reference.
  bool complete() const { return nameless_ == 0; }

 private:
  MarshalDialect dialect_;
  std::string_view newcomer_;
  std::vector<std::uint32_t> sites_;
  bool shared_ = false;
  std::int64_t nameless_ = 0;
};

// Whether this version's compiler leaves a name of such a type: else its object came from elsewhere, and may
// be shared in ways that do not show.
bool is_native(const MarshalString& name, const BytecodeFormat& format) {
  if (format.dialect == MarshalDialect::string_references) return name.type == 's';
  return name.type != 's' && is_interned(name.type) == interns_filename(format);
}

Result<std::vector<std::uint32_t>> find_sites(std::string_view body, const BytecodeFormat& format,
                                              std::string_view newcomer) {
  FilenameSites sites(format.dialect, newcomer);
  if (!walk_code(body, format, sites)) return refusal("it is no whole code object");
  if (sites.all().empty() || !sites.complete()) return refusal("there is none");
  if (sites.shared()) return refusal("it is something else as well");
  if (format.dialect == MarshalDialect::references && sites.all().size() > 1) {
    return refusal("it is there more than once");
  }
  const auto name = marshal_string_at(body, sites.all().front());
  if (!is_native(name, format) || name.contents.size() < kMinFilename) {
    return refusal("it is not as a compiler writes it");
  }
  for (const auto offset : sites.all()) {
    const auto other = marshal_string_at(body, offset);
    if (other.type != name.type || other.contents != name.contents) return refusal("there are several");
  }
  return sites.all();
}

Result<BytecodeFormat> known_format(std::uint32_t magic) {
  const auto format = bytecode_format(magic);
  if (!format) return refusal("unknown version");
  return *format;
}

char type_of_text(std::string_view text, const BytecodeFormat& format) {
  const bool interned = interns_filename(format);
  const bool ascii = std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (format.dialect != MarshalDialect::references) return 'u';
  if (!ascii) return interned ? 't' : 'u';
  if (text.size() <= kMaxShort) return interned ? 'Z' : 'z';
  return interned ? 'A' : 'a';
}

// A string object whose FLAG_REF is that of BYTE.
std::string marshal_string(char type, char byte, std::string_view contents) {
  const auto length = static_cast<std::uint32_t>(contents.size());
  std::string object(1, static_cast<char>(type | (byte & 0x80)));
  if (type == 'z' || type == 'Z') {
    object += static_cast<char>(length);
  } else {
    object.append(reinterpret_cast<const char*>(&length), sizeof length);
  }
  return object.append(contents);
}

// BODY with CONTENTS as the string at each of SITES.
std::string splice(std::string_view body, const std::vector<std::uint32_t>& sites, char type,
                   std::string_view contents) {
  std::string result;
  std::size_t copied = 0;
  for (const auto offset : sites) {
    result.append(body.substr(copied, offset - copied)).append(marshal_string(type, body[offset], contents));
    copied = offset + marshal_string_at(body, offset).size;
  }
  return result.append(body.substr(copied));
}

}  // namespace

Result<EmbeddedFilename> find_filename(std::string_view body, std::uint32_t magic) {
  const auto format = TRY(known_format(magic));
  const auto sites = TRY(find_sites(body, format, {}));
  const auto name = marshal_string_at(body, sites.front());
  const bool text = format.dialect != MarshalDialect::string_references;
  return EmbeddedFilename{name.offset, name.size, name.type,
                          text ? unescape_surrogates(name.contents) : std::string(name.contents)};
}

Result<std::string> replace_filename(std::string_view body, std::uint32_t magic,
                                     std::string_view new_filename) {
  const auto format = TRY(known_format(magic));
  if (new_filename.size() < kMinFilename || new_filename.size() > kMaxFilename) {
    return refusal("the new one is too short or too long");
  }
  if (new_filename.find('\0') != std::string_view::npos) return refusal("the new one holds a null byte");
  if (format.dialect == MarshalDialect::string_references) {
    return splice(body, TRY(find_sites(body, format, {})), 's', new_filename);
  }
  const auto text = escape_surrogates(new_filename);
  const bool may_share = format.dialect == MarshalDialect::references;
  const auto sites = TRY(find_sites(body, format, may_share ? std::string_view(text) : std::string_view()));
  return splice(body, sites, type_of_text(text, format), text);
}

}  // namespace kiln

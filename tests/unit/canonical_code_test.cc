#include "common/canonical_code.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <set>

#include "common/embedded_filename.h"
#include "common/marshal.h"
#include "tests/unit/python_says.h"

namespace kiln {
namespace {

constexpr std::uint32_t kPython33 = 0x0a0d0000 | 3230;
constexpr std::uint32_t kPython37 = 0x0a0d0000 | 3394;
constexpr std::uint32_t kPython311 = 0x0a0d0000 | 3495;
constexpr std::uint32_t kUnknown = 0x0a0d0000 | 65'000;

std::string flagged(const std::string& object) {
  return static_cast<char>(object[0] | 0x80) + object.substr(1);
}

std::string text(const std::string& contents) {
  return std::string("z") + static_cast<char>(contents.size()) + contents;
}

std::string reference(char index) {
  return std::string("r") + index + std::string(3, '\0');
}

// A code object of 3.0 to 3.7.
std::string code(const std::string& constants, const std::string& filename) {
  return "c" + std::string(20, '\0') + "N" + constants + "NNNN" + filename + "N" + std::string(4, '\0') + "N";
}

// One of 3.11.
std::string new_code(const std::string& constants) {
  return "c" + std::string(20, '\0') + "N" + constants + "NNNNNN" + std::string(4, '\0') + "NN";
}

std::string pair(const std::string& first, const std::string& second) {
  return ")\2" + first + second;
}

TEST(CanonicalCode, FlagsAreWhereReferencesFollow) {
  const auto name = text("/a.py");
  const auto once = flagged(text("once"));
  const auto twice = flagged(text("twice"));
  const auto native =
      flagged(code(flagged(pair(once, code(pair(twice, reference(3)), flagged(name)))), reference(4)));
  ASSERT_TRUE(is_whole_code(native, kPython37));
  EXPECT_EQ(canonical_code(native, kPython37).value(),
            code(pair(text("once"), code(pair(twice, reference(0)), flagged(name))), reference(1)));
}

// CPython has one object for each of these strings, which anything may have interned.
TEST(CanonicalCode, OneCharacterIsInternedOnlyIfItIsOfAName) {
  using namespace std::string_literals;
  const auto canonical = [](const std::string& constant) {
    return canonical_code(flagged(code(flagged(constant), "N")), kPython37).value();
  };
  EXPECT_EQ(canonical("Z\1{"), code("z\1{", "N"));
  EXPECT_EQ(canonical("z\1{"), code("z\1{", "N"));
  EXPECT_EQ(canonical("Z\1_"), code("Z\1_", "N"));
  EXPECT_EQ(canonical("Z\2{}"), code("Z\2{}", "N"));
  EXPECT_EQ(canonical("t\2\0\0\0\xc3\xa9"s), code("u\2\0\0\0\xc3\xa9"s, "N"));
  EXPECT_EQ(canonical("t\2\0\0\0\xc4\x80"s), code("t\2\0\0\0\xc4\x80"s, "N")) << "U+0100 is not Latin-1";
  EXPECT_EQ(canonical_code(code(pair(flagged("Z\1{"), reference(0)), "N"), kPython37).value(),
            code(pair(flagged("z\1{"), reference(0)), "N"));
}

TEST(CanonicalCode, AnObjectMayReferToItself) {
  const auto list = flagged(std::string("[\1\0\0\0", 5));
  EXPECT_EQ(canonical_code(flagged(code(list + reference(1), "N")), kPython37).value(),
            code(list + reference(0), "N"));
}

TEST(CanonicalCode, OtherVersionsAreAsTheyAre) {
  const auto native = flagged(new_code(flagged(text("once"))));
  EXPECT_EQ(canonical_code(native, kPython311).value(), native);
  EXPECT_EQ(canonical_code("anything", kUnknown).value(), "anything");
  const auto old = code("N", std::string("u\4\0\0\0a.py", 9));
  EXPECT_EQ(canonical_code(old, kPython33).value(), old);
}

TEST(CanonicalCode, OfDamagedBytecodeThereIsNone) {
  for (const auto magic : {kPython33, kPython37, kPython311}) {
    EXPECT_FALSE(canonical_code("", magic));
    EXPECT_FALSE(canonical_code("c", magic));
    EXPECT_FALSE(canonical_code(code(reference(0), "N"), magic)) << "a reference to nothing";
  }
}

// A module without functions: nobody refers to its name.
TEST(CanonicalCode, AFileNameWithoutFlagIsReplaced) {
  const auto native = code("N", flagged(text("/a.py")));
  const auto canonical = canonical_code(native, kPython37).value();
  EXPECT_EQ(canonical, code("N", text("/a.py")));
  EXPECT_EQ(find_filename(canonical, kPython37)->name, "/a.py");
  EXPECT_EQ(replace_filename(canonical, kPython37, "/longer.py").value(), code("N", text("/longer.py")));
}

// Compiles files of the standard library, under names that begin with argv[1]; argv[2] is 1 or -1, the order.
// What was compiled is kept, as an importing process would, so what is flagged depends on the order. Writes
// each name and body, after their lengths.
constexpr const char* kCompile = R"(
import marshal, os, struct, sys

kept = []
top = os.path.dirname(os.__file__)
paths = [os.path.join(top, f) for f in sorted(os.listdir(top)) if f.endswith('.py')]
paths = [p for p in paths if os.path.getsize(p) < 40000]
for path in paths[::int(sys.argv[2])]:
    name = sys.argv[1] + path[len(top):]
    with open(path, 'rb') as file:
        kept.append(compile(file.read(), name, 'exec', dont_inherit=True))
    body = marshal.dumps(kept[-1])
    for data in name.encode(), body:
        sys.stdout.buffer.write(struct.pack('<L', len(data)) + data)
)";

// Reads pairs of bodies, after their lengths, from the file argv[1]; fails unless their code is equal in
// all that can be seen.
constexpr const char* kCompare = R"(
import marshal, struct, sys

def parts(value):
    if isinstance(value, (tuple, list)):
        return type(value).__name__, [parts(v) for v in value]
    if isinstance(value, frozenset):
        return 'frozenset', [parts(v) for v in value]
    if hasattr(value, 'co_code'):
        return 'code', [(n, parts(getattr(value, n))) for n in dir(value)
                        if n.startswith('co_') and not callable(getattr(value, n))]
    return type(value).__name__, repr(value)

data = open(sys.argv[1], 'rb').read()
bodies = []
while data:
    size, = struct.unpack('<L', data[:4])
    bodies.append(data[4:4 + size])
    data = data[4 + size:]
for one, other in zip(bodies[::2], bodies[1::2]):
    assert parts(marshal.loads(one)) == parts(marshal.loads(other))
print(len(bodies))
)";

std::string with_length(const std::string& data) {
  const auto size = static_cast<std::uint32_t>(data.size());
  return std::string(reinterpret_cast<const char*>(&size), sizeof size) + data;
}

std::string take_string(const std::string& bytes, std::size_t& at) {
  std::uint32_t size = 0;
  std::memcpy(&size, bytes.data() + at, sizeof size);
  at += sizeof size + size;
  return bytes.substr(at - size, size);
}

// Name without the prefix -> body.
using Library = std::map<std::string, std::string>;

Library compile_library(const InterpreterInfo& python, const std::string& prefix, const std::string& order) {
  const auto said = python_says(python, kCompile, {prefix, order}, "-W ignore");
  Library library;
  for (std::size_t at = 0; at < said.size();) {
    const auto name = take_string(said, at).substr(prefix.size());
    library[name] = take_string(said, at);
  }
  return library;
}

std::vector<InterpreterInfo> pythons_that_vary() {
  std::vector<InterpreterInfo> found;
  for (const auto& python : every_python()) {
    if (python.major == 3 && python.minor <= 10) found.push_back(python);
  }
  return found;
}

TEST(CanonicalCode, IsTheSameInWhateverOrderFilesAreCompiled) {
  for (const auto& python : pythons_that_vary()) {
    const auto forwards = compile_library(python, "/a", "1");
    const auto backwards = compile_library(python, "/a", "-1");
    ASSERT_GE(forwards.size(), 100U) << python.path;
    ASSERT_EQ(forwards.size(), backwards.size());
    int native_differ = 0;
    std::set<std::string> differ;
    for (const auto& [name, body] : forwards) {
      const auto& other = backwards.at(name);
      if (body != other) ++native_differ;
      const auto canonical = canonical_code(body, python.magic).value();
      EXPECT_EQ(canonical_code(canonical, python.magic).value(), canonical) << name;
      if (canonical != canonical_code(other, python.magic).value()) differ.insert(name);
    }
    std::printf("%s: %zu files, native differ %d, canonical %zu:", python.version.c_str(), forwards.size(),
                native_differ, differ.size());
    for (const auto& name : differ) std::printf(" %s", name.c_str());
    std::puts("");
    EXPECT_GT(native_differ, 0) << "nothing to make canonical, " << python.version;
    // _markupbase.py: the compiler builds a frozenset anew, in another order, unless its strings are
    // interned.
    EXPECT_LE(differ.size(), 2U);
  }
}

TEST(CanonicalCode, IsTheSameCode) {
  for (const auto& python : pythons_that_vary()) {
    std::string pairs;
    for (const auto& [name, body] : compile_library(python, "/a", "1")) {
      pairs += with_length(body) + with_length(canonical_code(body, python.magic).value());
    }
    const Scratch scratch;
    EXPECT_NE(python_says(python, kCompare, {scratch.write("pairs", pairs)}), "0\n");
  }
}

TEST(CanonicalCode, IsThatOfTheNativeOneUnderItsOtherName) {
  for (const auto& python : pythons_that_vary()) {
    const auto from = compile_library(python, "/a", "1");
    const auto to = compile_library(python, "/another/place", "1");
    for (const auto& [name, body] : from) {
      const auto canonical = canonical_code(body, python.magic).value();
      const auto moved = replace_filename(canonical, python.magic, "/another/place" + name);
      ASSERT_TRUE(moved) << python.path << name << ": " << moved.error().message;
      EXPECT_TRUE(*moved == canonical_code(to.at(name), python.magic).value()) << python.path << name;
    }
  }
}

}  // namespace
}  // namespace kiln

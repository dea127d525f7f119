#include "common/embedded_filename.h"

#include <gtest/gtest.h>

#include <cstring>

#include "tests/unit/python_says.h"

namespace kiln {
namespace {

// Compiles files of the standard library, argv[1] of them (0: all), at level argv[2], in order. The Nth is
// given a name below the prefix argv[3 + N % prefixes], hexadecimal; PREFIX#SIZE pads the name to SIZE bytes.
// Writes each name and body, after their lengths; a file that does not compile is left out.
constexpr const char* kCompile = R"(
import binascii, marshal, os, struct, sys

def files(top):
    found = []
    for directory, names, entries in os.walk(top):
        names[:] = sorted(n for n in names if n not in ('site-packages', 'dist-packages', '__pycache__'))
        found += [os.path.join(directory, e) for e in sorted(entries) if e.endswith('.py')]
    return found

def chosen(paths, count):
    if not count:
        return paths
    paths = [p for p in paths if '/test' not in p and 0 < os.path.getsize(p) < 40000]
    return paths[::max(1, len(paths) // count)]

def name_of(prefix, path):
    prefix, _, size = prefix.partition(b'#')
    if size:
        prefix += b'x' * max(0, int(size) - len(prefix) - len(path) - 1) + b'/'
    return prefix + path

def compiled(source, name, level):
    if sys.version_info < (3,):
        return compile(source, name, 'exec', 0, True)
    return compile(source, name.decode('utf-8', 'surrogateescape'), 'exec', dont_inherit=True, optimize=level)

out = getattr(sys.stdout, 'buffer', sys.stdout)
top = os.path.dirname(os.__file__)
prefixes = [binascii.unhexlify(p) for p in sys.argv[3:]]
for n, path in enumerate(chosen(files(top), int(sys.argv[1]))):
    with open(path, 'rb') as file:
        source = file.read()
    relative = path[len(top) + 1:]
    name = name_of(prefixes[n % len(prefixes)], relative if str is bytes else os.fsencode(relative))
    try:
        code = compiled(source, name, int(sys.argv[2]))
        body = marshal.dumps(code)
    except Exception:
        continue
    for data in name, body:
        out.write(struct.pack('<L', len(data)) + data)
)";

struct CompiledFile {
  std::string name;
  std::string body;
};

std::string hexadecimal(const std::string& bytes) {
  std::string text;
  for (const char c : bytes) {
    text += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    text += "0123456789abcdef"[c & 15];
  }
  return text;
}

std::string take_string(const std::string& bytes, std::size_t& at) {
  std::uint32_t size = 0;
  std::memcpy(&size, bytes.data() + at, sizeof size);
  at += sizeof size + size;
  return bytes.substr(at - size, size);
}

std::vector<CompiledFile> compile_library(const InterpreterInfo& python, int count, int level,
                                          const std::vector<std::string>& prefixes) {
  std::vector<std::string> arguments{std::to_string(count), std::to_string(level)};
  for (const auto& prefix : prefixes) arguments.push_back(hexadecimal(prefix));
  // 2.7 has its level from the command line only.
  const std::string optimize = python.major == 2 && level > 0 ? "-" + std::string(level, 'O') + " " : "";
  const auto said = python_says(python, kCompile, arguments, optimize + "-W ignore");
  std::vector<CompiledFile> files;
  for (std::size_t at = 0; at < said.size();) {
    auto name = take_string(said, at);
    files.push_back({std::move(name), take_string(said, at)});
  }
  return files;
}

bool test_all() {
  return std::getenv("KILN_TEST_ALL") != nullptr;
}

const std::string kLong = "/" + std::string(300, 'l') + "/";
const std::vector<std::string> kPrefixes{
    "/b/",    kLong,      "/d\xc3\xa9j\xc3\xa0 \xf0\x9f\x94\xa5/", "/\xff\xed\xa0\x80\xe4\xbd/", "/p#255",
    "/p#256", "relative "};

void expect_equal(const InterpreterInfo& python, const std::vector<CompiledFile>& from,
                  const std::vector<CompiledFile>& to) {
  ASSERT_EQ(from.size(), to.size());
  for (std::size_t i = 0; i < from.size(); ++i) {
    const auto found = find_filename(from[i].body, python.magic);
    ASSERT_TRUE(found) << python.path << " " << from[i].name << ": " << found.error().message;
    EXPECT_EQ(found->name, from[i].name);
    const auto replaced = replace_filename(from[i].body, python.magic, to[i].name);
    ASSERT_TRUE(replaced) << python.path << " " << to[i].name << ": " << replaced.error().message;
    EXPECT_TRUE(*replaced == to[i].body) << python.path << " " << to[i].name;
    EXPECT_EQ(find_filename(*replaced, python.magic).value().name, to[i].name);
  }
}

TEST(EmbeddedFilename, IsReplacedAsIfCompiledUnderTheOther) {
  const int count = test_all() ? 0 : 250;
  for (const auto& python : every_python()) {
    for (int level = 0; level <= (test_all() ? 2 : 0); ++level) {
      const auto from = compile_library(python, count, level, {"/a/source/"});
      EXPECT_GE(from.size(), 200U) << python.path;
      if (!test_all()) {
        expect_equal(python, from, compile_library(python, count, level, kPrefixes));
      } else {
        for (const auto& prefix : kPrefixes) {
          expect_equal(python, from, compile_library(python, count, level, {prefix}));
        }
      }
      std::printf("%s, level %d: %zu files\n", python.version.c_str(), level, from.size());
      std::fflush(stdout);
    }
  }
}

constexpr std::uint32_t kPython27 = 0x0a0d0000 | 62211;
constexpr std::uint32_t kPython33 = 0x0a0d0000 | 3230;
constexpr std::uint32_t kPython312 = 0x0a0d0000 | 3531;
constexpr std::uint32_t kPython313 = 0x0a0d0000 | 3571;

std::string bytes_of(std::uint32_t value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::string string_of(char type, const std::string& contents) {
  return type + bytes_of(static_cast<std::uint32_t>(contents.size())) + contents;
}

std::string short_ascii(char type, const std::string& contents) {
  return std::string(1, static_cast<char>(type)) + static_cast<char>(contents.size()) + contents;
}

constexpr char kFlagged = static_cast<char>(0x80);
const std::string kName = short_ascii(static_cast<char>('z' | kFlagged), "/a.py");
const std::string kReference = "r" + std::string(4, '\0');  // to the first object with a flag

// A code object of 3.11 or later.
std::string code(const std::string& constants, const std::string& filename, const std::string& name = "N") {
  return "c" + std::string(20, '\0') + "N" + constants + "NNN" + filename + name + "N" +
         std::string(4, '\0') + "NN";
}

// One of 3.0 to 3.7, and of 2.7.
std::string old_code(int numbers, const std::string& constants, const std::string& filename) {
  return "c" + std::string(static_cast<std::size_t>(numbers) * 4, '\0') + "N" + constants + "NNNN" +
         filename + "N" + std::string(4, '\0') + "N";
}

TEST(EmbeddedFilename, IsFoundInTheInnermostCode) {
  const auto body = code(code("N", kName), kReference);
  const auto found = find_filename(body, kPython312);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->name, "/a.py");
  EXPECT_EQ(found->type, 'z');
  EXPECT_EQ(body.substr(found->offset, found->size), kName);
  const auto replaced = replace_filename(body, kPython312, "/\xff.py");
  ASSERT_TRUE(replaced);
  EXPECT_EQ(*replaced,
            code(code("N", string_of(static_cast<char>('u' | kFlagged), "/\xed\xb3\xbf.py")), kReference));
}

TEST(EmbeddedFilename, WithoutReferencesEveryCopyIsReplaced) {
  const auto of_27 = [](const std::string& name) {
    return old_code(4, old_code(4, string_of('s', "/a.py"), string_of('s', name)), string_of('s', name));
  };
  const auto of_33 = [](const std::string& name) {
    return old_code(5, old_code(5, string_of('u', "/a.py"), string_of('u', name)), string_of('u', name));
  };
  EXPECT_EQ(replace_filename(of_27("/a.py"), kPython27, "/b\xff.py").value(), of_27("/b\xff.py"));
  EXPECT_EQ(replace_filename(of_33("/a.py"), kPython33, "/b\xff.py").value(), of_33("/b\xed\xb3\xbf.py"));
}

TEST(EmbeddedFilename, AnEqualConstantOfItsOwnStays) {
  const auto constant = short_ascii('z', "/a.py");
  EXPECT_EQ(replace_filename(code(constant, kName), kPython312, "/b.py").value(),
            code(constant, short_ascii(static_cast<char>('z' | kFlagged), "/b.py")));
}

// What no compiler writes, or what bytes cannot tell.
TEST(EmbeddedFilename, IsRefusedWhenInDoubt) {
  const auto refused = [](const std::string& body, std::uint32_t magic, const std::string& name = "/b.py") {
    return !replace_filename(body, magic, name);
  };
  const auto interned = short_ascii(static_cast<char>('Z' | kFlagged), "/a.py");
  ASSERT_FALSE(refused(code("N", kName), kPython312));
  ASSERT_FALSE(refused(code("N", interned), kPython313));
  EXPECT_TRUE(refused(code(kName, kReference), kPython312)) << "shared with a constant before it";
  EXPECT_TRUE(refused(code(code("N", kName), kReference, kReference), kPython312)) << "shared with a name";
  EXPECT_TRUE(refused(code(code("N", kName), kName), kPython312)) << "twice";
  EXPECT_TRUE(refused(code(code("N", kName), short_ascii('z', "/c.py")), kPython312)) << "two names";
  EXPECT_TRUE(refused(code(code("N", "N"), kName), kPython312)) << "a code object without one";
  EXPECT_TRUE(refused(code("N", interned), kPython312)) << "interned before 3.13";
  EXPECT_TRUE(refused(code("N", kName), kPython313)) << "not interned in 3.13";
  EXPECT_TRUE(refused(code("N", string_of('s', "/a.py")), kPython312)) << "bytes";
  EXPECT_TRUE(refused(code("N", short_ascii('z', "a")), kPython312)) << "one character";
  EXPECT_TRUE(refused(code("N", "N"), kPython312)) << "none";
  EXPECT_TRUE(refused(code("N", kReference), kPython312)) << "a reference to nothing";
  EXPECT_TRUE(refused(code("N", kName) + "N", kPython312)) << "something behind it";
  EXPECT_TRUE(refused(code("N", kName), 0x0a0d0000 | 65'000)) << "unknown version";
  EXPECT_TRUE(refused(code(short_ascii('z', "/b.py"), kName), kPython312)) << "the new name is there";
  EXPECT_TRUE(refused(code("N", kName), kPython312, "")) << "no new name";
  EXPECT_TRUE(refused(code("N", kName), kPython312, "\xc3\xa9")) << "one character";
  EXPECT_TRUE(refused(code("N", kName), kPython312, std::string("/b\0.py", 6))) << "a null byte";
  EXPECT_TRUE(refused(code("N", kName), kPython312, "/" + std::string(4'096, 'b'))) << "too long";
  EXPECT_TRUE(refused(old_code(4, "N", string_of('t', "/a.py")), kPython27)) << "interned in 2.7";
  EXPECT_TRUE(
      refused(old_code(4, old_code(4, "N", string_of('s', "/c.py")), string_of('s', "/a.py")), kPython27))
      << "two names in 2.7";
}

// A name that the compiler shares with the code: a function of that name, and the interned name of 3.13.
TEST(EmbeddedFilename, ANameThatIsInTheCodeIsRefusedOrRight) {
  const std::string script =
      "import marshal, sys\n"
      "code = compile('def shared(): return \"constant\"', sys.argv[1], 'exec')\n"
      "getattr(sys.stdout, 'buffer', sys.stdout).write(marshal.dumps(code))\n";
  for (const auto& python : every_python()) {
    const auto body = [&](const std::string& name) { return python_says(python, script, {name}); };
    for (const std::string to : {"shared", "constant", "<module>", "utf-8", "<string>"}) {
      const auto replaced = replace_filename(body("/a.py"), python.magic, to);
      EXPECT_TRUE(!replaced || *replaced == body(to)) << python.path << " to " << to;
      const auto back = replace_filename(body(to), python.magic, "/a.py");
      EXPECT_TRUE(!back || *back == body("/a.py")) << python.path << " from " << to;
    }
  }
}

}  // namespace
}  // namespace kiln

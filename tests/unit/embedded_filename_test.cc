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
    }
  }
}

}  // namespace
}  // namespace kiln

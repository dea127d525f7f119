#include "common/pyc.h"

#include <gtest/gtest.h>

#include "common/source_hash.h"
#include "tests/unit/python_says.h"

namespace kiln {
namespace {

TEST(PycHeader, TimestampIsWrittenAsPythonWritesIt) {
  const auto bytes = encode_pyc_header(timestamp_header(0x0a0d0da7, 0x01020304, 0x05));
  EXPECT_EQ(bytes, std::string("\xa7\x0d\x0d\x0a\0\0\0\0\x04\x03\x02\x01\x05\0\0\0", 16));
}

TEST(PycHeader, SurvivesTheRoundTrip) {
  const PycHeader headers[] = {
      {0x0a0d0da7, PycKind::timestamp, 0xffffffff, 17, 0},
      {0x0a0d0da7, PycKind::checked_hash, 0, 0, 0x0123456789abcdef},
      {0x0a0d0da7, PycKind::unchecked_hash, 0, 0, 1},
  };
  for (const auto& header : headers) {
    const auto parsed = parse_pyc_header(encode_pyc_header(header));
    ASSERT_TRUE(parsed);
    EXPECT_EQ(*parsed, header);
  }
}

TEST(PycHeader, KeepsTheLow32BitsOfMtimeAndSize) {
  const auto header = timestamp_header(1, (std::int64_t{1} << 32) + 5, (std::uint64_t{1} << 32) + 7);
  EXPECT_EQ(header.mtime_s, 5U);
  EXPECT_EQ(header.source_size, 7U);
  EXPECT_EQ(timestamp_header(1, -1, 0).mtime_s, 0xffffffffU);
}

TEST(PycHeader, RefusesWhatPythonRecompiles) {
  EXPECT_FALSE(parse_pyc_header(""));
  EXPECT_FALSE(parse_pyc_header(std::string(15, '\0')));
  EXPECT_FALSE(parse_pyc_header(std::string("\xa7\x0d\x0d\x0a\x04\0\0\0", 8) + std::string(8, '\0')));
  // "Check", but not hash-based: importlib takes it for a timestamp.
  const auto odd = parse_pyc_header(std::string("\xa7\x0d\x0d\x0a\x02\0\0\0", 8) + std::string(8, '\0'));
  ASSERT_TRUE(odd);
  EXPECT_EQ(odd->kind, PycKind::timestamp);
}

constexpr std::uint32_t magic_of(std::uint32_t number) {
  return 0x0a0d0000 | number;
}

TEST(PycHeader, FollowsTheMagicNumber) {
  const auto encode = [](std::uint32_t number) {
    return encode_pyc_header(timestamp_header(magic_of(number), 0x01020304, 0x05)).substr(4);
  };
  EXPECT_EQ(encode(62211), std::string("\4\3\2\1", 4));                   // 2.7
  EXPECT_EQ(encode(3180), std::string("\4\3\2\1", 4));                    // 3.2
  EXPECT_EQ(encode(3230), std::string("\4\3\2\1\5\0\0\0", 8));            // 3.3
  EXPECT_EQ(encode(3379), std::string("\4\3\2\1\5\0\0\0", 8));            // 3.6
  EXPECT_EQ(encode(3394), std::string("\0\0\0\0\4\3\2\1\5\0\0\0", 12));   // 3.7
  EXPECT_EQ(encode(65000), std::string("\0\0\0\0\4\3\2\1\5\0\0\0", 12));  // not known yet
  for (const std::uint32_t number : {62211, 3131, 3180, 3230, 3379, 3394, 3571, 3627}) {
    const auto header = timestamp_header(magic_of(number), 1'700'000'000, 123);
    const auto bytes = encode_pyc_header(header);
    EXPECT_EQ(bytes.size(), pyc_header_size(header.magic));
    EXPECT_EQ(*parse_pyc_header(bytes + "code"), header) << number;
    EXPECT_FALSE(parse_pyc_header(bytes.substr(0, bytes.size() - 1))) << number;
  }
}

// Compiles argv[1] in every way that this version has, and prints where to.
constexpr const char* kCompile = R"(
import py_compile, sys
source = sys.argv[1]
def compile(target, **how):
    py_compile.compile(source, target, doraise=True, **how)
    print(target)
compile(source + '-plain.pyc')
if sys.version_info >= (3, 7):
    compile(source + '-checked.pyc', invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    compile(source + '-unchecked.pyc', invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
)";

TEST(PycHeader, IsTheOneThatEveryPythonWrites) {
  const Scratch scratch;
  const std::string text = "x = 1\n";
  const auto source = scratch.write("a.py", text);
  ASSERT_TRUE(shell("touch -d @1700000000 " + source));
  for (const auto& python : every_python()) {
    const auto files = lines_of(python_says(python, kCompile, {source}));
    EXPECT_EQ(files.size(), python.major == 3 && python.minor >= 7 ? 3U : 1U);
    for (const auto& file : files) {
      auto expected = timestamp_header(python.magic, 1'700'000'000, text.size());
      const auto hash = source_hash(text, python.magic).value_or(0);
      if (file.ends_with("-checked.pyc")) expected = {python.magic, PycKind::checked_hash, 0, 0, hash};
      if (file.ends_with("-unchecked.pyc")) expected = {python.magic, PycKind::unchecked_hash, 0, 0, hash};
      const auto bytes = read_file(file);
      EXPECT_EQ(parse_pyc_header(bytes).value(), expected) << python.path << " " << file;
      EXPECT_TRUE(bytes.starts_with(encode_pyc_header(expected))) << python.path << " " << file;
    }
  }
}

// Every expectation is what importlib.util.cache_from_source of 3.11 says.
TEST(CacheFromSource, AnswersAsImportlib) {
  const auto cache = [](std::string_view source, int optimize = 0, std::string_view prefix = {}) {
    return cache_from_source(source, "cpython-311", optimize, prefix);
  };
  EXPECT_EQ(cache("/x/a.py"), "/x/__pycache__/a.cpython-311.pyc");
  EXPECT_EQ(cache("/x/a.py", 1), "/x/__pycache__/a.cpython-311.opt-1.pyc");
  EXPECT_EQ(cache("/x/a.py", 2), "/x/__pycache__/a.cpython-311.opt-2.pyc");
  EXPECT_EQ(cache("a.py"), "__pycache__/a.cpython-311.pyc");
  EXPECT_EQ(cache("/x//a.b.py"), "/x/__pycache__/a.b.cpython-311.pyc");
  EXPECT_EQ(cache("/x/tool"), "/x/__pycache__/toolcpython-311.pyc");
  EXPECT_EQ(cache("/x/.py"), "/x/__pycache__/py.cpython-311.pyc");
  EXPECT_EQ(cache("/x/y/a.py", 0, "/p"), "/p/x/y/a.cpython-311.pyc");
  EXPECT_EQ(cache("/x/y/a.py", 1, "/p/"), "/p/x/y/a.cpython-311.opt-1.pyc");
  EXPECT_EQ(cache("/a.py", 0, "/p"), "/p/a.cpython-311.pyc");
}

TEST(CacheFromSource, StaysInTheRootDirectory) {
  EXPECT_EQ(cache_from_source("/a.py", "t", 0), "/__pycache__/a.t.pyc");
}

// Prints where the sources in argv[3:] are cached, at level argv[1], below the prefix argv[2].
constexpr const char* kCacheFromSource = R"(
import importlib.util, sys
sys.pycache_prefix = sys.argv[2] or None
for source in sys.argv[3:]:
    print(importlib.util.cache_from_source(source, optimization=sys.argv[1] if sys.argv[1] != '0' else ''))
)";

TEST(CacheFromSource, AnswersAsEveryPython) {
  const std::vector<std::string> sources{"/x/a.py",          "/x/a.b.py", "/x/y/z/__init__.py",
                                         "/x/\xc3\xa9 b.py", "/x/tool",   "/x/.py",
                                         "/x/a.pyw",         "/x.d/a.py", "/x/y/../a.py"};
  for (const auto& python : every_python()) {
    if (python.major < 3) continue;
    for (const std::string prefix : {"", "/p", "/p/q/"}) {
      if (!prefix.empty() && python.minor < 8) continue;
      for (const int optimize : {0, 1, 2, 3}) {
        std::vector<std::string> arguments{std::to_string(optimize), prefix};
        arguments.insert(arguments.end(), sources.begin(), sources.end());
        std::vector<std::string> ours;
        for (const auto& source : sources) {
          ours.push_back(cache_from_source(source, python.cache_tag, optimize, prefix));
        }
        EXPECT_EQ(ours, lines_of(python_says(python, kCacheFromSource, arguments))) << python.path;
      }
    }
  }
}

TEST(LegacyCachePath, LiesBesideTheSource) {
  EXPECT_EQ(legacy_cache_path("/x/a.py", {3, 11}, 0), "/x/a.pyc");
  EXPECT_EQ(legacy_cache_path("/x/a.py", {3, 11}, 2), "/x/a.pyc");
  EXPECT_EQ(legacy_cache_path("/x/a.py", {3, 4}, 1), "/x/a.pyo");
  EXPECT_EQ(legacy_cache_path("/x/a.py", {2, 7}, 0), "/x/a.pyc");
  EXPECT_EQ(legacy_cache_path("/x/a.py", {2, 7}, 2), "/x/a.pyo");
}

TEST(LegacyCachePath, IsWhereEveryPythonWritesIt) {
  const std::string script =
      "import compileall, sys\n"
      "compileall.compile_file(sys.argv[1], quiet=1, **({'legacy': True} if sys.version_info > (3,) else "
      "{}))\n";
  for (const auto& python : every_python()) {
    for (const int optimize : {0, 1, 2}) {
      const Scratch scratch;
      const auto source = scratch.write("a.py", "x = 1\n");
      python_says(python, script, {source},
                  std::string(optimize > 0 ? "-" + std::string(optimize, 'O') : ""));
      const auto path = legacy_cache_path(source, {python.major, python.minor}, optimize);
      EXPECT_TRUE(std::filesystem::exists(path)) << python.path << " " << path;
    }
  }
}

TEST(PycName, IsTakenApart) {
  EXPECT_EQ(parse_pyc_name("a.cpython-311.pyc"), (PycName{"a", "cpython-311", ""}));
  EXPECT_EQ(parse_pyc_name("a.b.cpython-311.opt-2.pyc"), (PycName{"a.b", "cpython-311", "2"}));
  EXPECT_FALSE(parse_pyc_name("a.pyc"));
  EXPECT_FALSE(parse_pyc_name("a.cpython-311.py"));
  EXPECT_FALSE(parse_pyc_name(".cpython-311.pyc"));
  EXPECT_FALSE(parse_pyc_name("a..pyc"));
  EXPECT_FALSE(parse_pyc_name("a.tag.opt-.pyc"));
  EXPECT_FALSE(parse_pyc_name(""));
}

TEST(SourceFromCache, IsTheWayBack) {
  EXPECT_EQ(source_from_cache("/a/__pycache__/b.cpython-312.pyc"), "/a/b.py");
  EXPECT_EQ(source_from_cache("/a/__pycache__/b.c.cpython-312.opt-2.pyc"), "/a/b.c.py");
  EXPECT_EQ(source_from_cache("/__pycache__/b.cpython-312.pyc"), "/b.py");
  EXPECT_EQ(source_from_cache("/p/a/b.cpython-312.pyc", "/p/"), "/a/b.py");
  EXPECT_EQ(source_from_cache("/p/b.cpython-312.pyc", "/p"), "/b.py");
  EXPECT_EQ(source_from_cache("/a/b.pyc"), "/a/b.py");
  EXPECT_EQ(source_from_cache("/a/b.pyo"), "/a/b.py");
  EXPECT_EQ(source_from_cache("/pp/b.pyc", "/p"), "/pp/b.py");
}

TEST(SourceDirectory, IsTheOneAboveACache) {
  EXPECT_EQ(source_directory("/a/__pycache__"), "/a");
  EXPECT_EQ(source_directory("/__pycache__"), "/");
  EXPECT_EQ(source_directory("/a/b"), "/a/b");
  EXPECT_EQ(source_directory("/a/my__pycache__"), "/a/my__pycache__");
  EXPECT_EQ(source_directory("/"), "/");
}

TEST(SourceFromCache, IsNotGuessed) {
  for (const auto* path : {"/a/__pycache__/b.pyc", "/a/__pycache__/b.cpython-312.pyc.123", "/a/b", "/a/.pyc",
                           "/a/b.py", "/a/b.pyc/", ""}) {
    EXPECT_EQ(source_from_cache(path), std::nullopt) << path;
  }
  EXPECT_EQ(source_from_cache("/p/b.pyc", "/p"), std::nullopt);
}

}  // namespace
}  // namespace kiln

// What a restored file costs beside the writing of it: finding and keeping an object of 10 KB, the size of an
// average one, and verifying it (Google Benchmark). The store lies in a temporary directory (TMPDIR).
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>

#include "daemon/store.h"

namespace {

constexpr std::size_t kSize = 10'000;
constexpr std::uint64_t kLimit = 1ULL << 30;

// Half of it is noise: compresses to about half, as bytecode does.
std::string like_bytecode() {
  std::mt19937 random(1);
  std::string code;
  while (code.size() < kSize) {
    code += static_cast<char>(random());
    code += static_cast<char>(random() % 2);
  }
  return code;
}

kiln::StoreKey key_of(int number) {
  return {kiln::sha256(std::to_string(number)), 0x0a0d0da7, "cpython-311", "3.11.2 (main)", 0, ""};
}

class StoreFixture : public benchmark::Fixture {
 public:
  void SetUp(benchmark::State&) override {
    std::string name = (std::filesystem::temp_directory_path() / "kiln-bench-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  void TearDown(benchmark::State&) override { std::filesystem::remove_all(directory_); }

 protected:
  std::string directory_;
  const kiln::StoredCode stored_{like_bytecode(), ""};
};

BENCHMARK_F(StoreFixture, find)(benchmark::State& state) {
  constexpr int kObjects = 2500;
  kiln::Store store(directory_, kLimit);
  for (int i = 0; i < kObjects; ++i) (void)store.keep(key_of(i), stored_);
  int next = 0;
  for (auto _ : state) {
    const auto found = store.find(key_of(next++ % kObjects));
    if (!found) state.SkipWithError("not found");
  }
}

BENCHMARK_F(StoreFixture, find_nothing)(benchmark::State& state) {
  kiln::Store store(directory_, kLimit);
  for (auto _ : state) benchmark::DoNotOptimize(store.find(key_of(1)));
}

BENCHMARK_F(StoreFixture, keep)(benchmark::State& state) {
  constexpr int kObjects = 10'000;
  kiln::Store store(directory_, kLimit);
  int next = 0;
  for (auto _ : state) {
    if (!store.keep(key_of(next++ % kObjects), stored_)) state.SkipWithError("not kept");
  }
}

void encode_object(benchmark::State& state) {
  const kiln::StoredCode stored{like_bytecode(), ""};
  for (auto _ : state) benchmark::DoNotOptimize(kiln::encode_object({}, stored));
}
BENCHMARK(encode_object);

void decode_object(benchmark::State& state) {
  const std::string object = kiln::encode_object({}, {like_bytecode(), ""});
  for (auto _ : state) benchmark::DoNotOptimize(kiln::decode_object(object, {}));
}
BENCHMARK(decode_object);

void sha256(benchmark::State& state) {
  const std::string bytes = like_bytecode();
  for (auto _ : state) benchmark::DoNotOptimize(kiln::sha256(bytes));
}
BENCHMARK(sha256);

}  // namespace

BENCHMARK_MAIN();

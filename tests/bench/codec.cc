// What a run spends on taking apart and putting together, apart from system calls (Google Benchmark).
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "client/python_command.h"
#include "common/launch.h"

namespace {

kiln::Launch typical_launch() {
  kiln::Launch launch;
  launch.target = "manage.py";
  launch.arguments = {"check", "--fail-level", "WARNING"};
  launch.descriptors = {0, 1, 2};
  for (int i = 0; i < 60; ++i)
    launch.environment.push_back("VARIABLE_" + std::to_string(i) + "=" + std::string(40, 'x'));
  return launch;
}

void encode_launch(benchmark::State& state) {
  const kiln::Launch launch = typical_launch();
  for (auto _ : state) benchmark::DoNotOptimize(kiln::encode_launch(launch));
}
BENCHMARK(encode_launch);

void decode_launch(benchmark::State& state) {
  const std::string bytes = kiln::encode_launch(typical_launch());
  for (auto _ : state) benchmark::DoNotOptimize(kiln::decode_launch(bytes));
}
BENCHMARK(decode_launch);

void parse_command_line(benchmark::State& state) {
  std::vector<std::string> words{"-B", "-W", "error", "-m", "pytest", "-q", "tests"};
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  for (auto _ : state) benchmark::DoNotOptimize(kiln::parse_python_command(arguments));
}
BENCHMARK(parse_command_line);

}  // namespace

BENCHMARK_MAIN();

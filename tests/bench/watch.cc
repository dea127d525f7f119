// `bench_watch ROOT`: watches ROOT as the daemon does, and prints one line of JSON: how long it takes until
// all below it is watched, what memory that takes, and what a question costs then. tests/bench/watch runs it.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "daemon/watch/watcher.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kPatience = std::chrono::minutes(10);
constexpr int kQuestions = 1000;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// proc(5), statm: the second number is the resident set, in pages.
std::size_t resident_kb() {
  std::size_t size = 0;
  std::size_t resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) / 1024;
}

template <class Question>
double median_us(Question question) {
  std::vector<double> times;
  for (int i = 0; i < kQuestions; ++i) {
    const auto start = Clock::now();
    question();
    times.push_back(seconds_since(start) * 1e6);
  }
  std::ranges::nth_element(times, times.begin() + kQuestions / 2);
  return times[kQuestions / 2];
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  const std::string root = arguments[1];
  const std::size_t before_kb = resident_kb();
  const auto start = Clock::now();
  kiln::Watcher watcher;
  watcher.add_root(root);
  if (!watcher.wait_until_settled(kPatience)) return 1;
  const double ready_s = seconds_since(start);
  watcher.take_changes();
  const std::size_t after_kb = resident_kb();
  const kiln::Tick tick = watcher.drain();
  const bool proved = watcher.tree_unchanged_since(root, tick).has_value();
  const double drain_us = median_us([&] { watcher.drain(); });
  const double tree_us = median_us([&] { (void)watcher.tree_unchanged_since(root, tick); });
  const auto report = watcher.describe();
  fmt::print(
      "{{\"ready_s\": {:.6f}, \"memory_kb\": {}, \"process_kb\": {}, \"directories\": {}, \"watches\": {}, "
      "\"drain_us\": {:.2f}, \"tree_us\": {:.2f}}}\n",
      ready_s, after_kb - before_kb, after_kb, report.directories, report.watches, drain_us, tree_us);
  return proved ? 0 : 1;
}

#include "daemon/run_counts.h"

#include <algorithm>
#include <ctime>
#include <utility>
#include <vector>

#include "common/reason.h"
#include "common/run_tally.h"
#include "daemon/index_thread.h"
#include "daemon/session.h"
#include "proto/kiln.pb.h"

namespace kiln {

namespace asio = boost::asio;

CountsByReason count_lines(std::string_view lines) {
  CountsByReason counts;
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    if (reason_from_word(line)) ++counts[std::string(line)];
    lines.remove_prefix(std::min(line.size() + 1, lines.size()));
  }
  return counts;
}

namespace {

void describe(const WorkCounts& work, proto::StatsReply& stats) {
  const auto count = [&](const std::string& name) {
    const auto found = work.find(name);
    return found != work.end() ? found->second : 0;
  };
  const auto describe_made = [&](const std::string& whose, proto::StatsReply::Made& made) {
    made.set_compiled(count(whose + "_compiled"));
    made.set_restored(count(whose + "_restored"));
    made.set_fresh(count(whose + "_fresh"));
    made.set_errors(count(whose + "_errors"));
  };
  stats.set_warm(count("warm"));
  stats.set_warm_saved_us(count("warm_saved_us"));
  describe_made("precompile", *stats.mutable_precompiled());
  describe_made("background", *stats.mutable_by_itself());
  stats.set_compiled_us(count("compiled_us"));
  stats.set_compiled_bytes(count("compiled_bytes"));
  stats.set_restored_us(count("restored_us"));
  stats.set_restored_bytes(count("restored_bytes"));
}

}  // namespace

void RunCounts::write() {
  CountsByReason counts = count_lines(take_tally(runtime_dir_));
  if (served_ != 0) counts[std::string(word(Reason::served))] += std::exchange(served_, 0);
  if (!counts.empty()) index_.add_counts(std::move(counts), std::time(nullptr));
  if (warm_ == 0) return;
  const auto saved = std::exchange(warm_saved_, {});
  index_.add_work(
      {{"warm", std::exchange(warm_, 0)}, {"warm_saved_us", static_cast<std::uint64_t>(saved.count())}});
}

asio::awaitable<void> RunCounts::serve(Session& session, const proto::StatsRequest& request) {
  write();
  const bool reset = request.reset();
  const auto kept = co_await index_.take_counts(reset);
  if (!kept) co_return co_await session.refuse(kept.error());
  proto::Reply reply;
  auto& stats = *reply.mutable_stats();
  stats.set_since_s(kept->since_s);
  describe(kept->work, stats);
  std::vector<std::pair<std::string, std::uint64_t>> counts(kept->counts.begin(), kept->counts.end());
  std::ranges::stable_sort(counts, std::greater{}, &std::pair<std::string, std::uint64_t>::second);
  for (const auto& [reason, runs] : counts) {
    auto& count = *stats.add_counts();
    count.set_reason(reason);
    count.set_runs(runs);
  }
  co_await session.reply(reply);
}

}  // namespace kiln

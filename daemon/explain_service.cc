#include "daemon/explain_service.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "common/absence.h"
#include "common/printable.h"
#include "common/shell_word.h"
#include "daemon/blocking.h"
#include "daemon/explanation.h"
#include "daemon/source_walk.h"
#include "daemon/unmet_file.h"

namespace kiln {

namespace asio = boost::asio;

namespace {

Error unknown(const std::string& path) {
  if (const auto reachable = check_reachable(path); !reachable) return reachable.error();
  const std::string nothing = "Kiln knows nothing of " + printable(path);
  const std::string absence = absence_of(path);
  if (!absence.empty()) return {Reason::not_found, nothing + ", and " + absence, "kiln list"};
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored))
    return {Reason::not_found, printable(path) + " is a directory", "kiln list " + shell_word(path)};
  if (path.ends_with(".pyc")) return {Reason::not_found, nothing, "kiln inspect " + shell_word(path)};
  return {Reason::not_found, nothing + ", which is not named *.py", "kiln list"};
}

bool is_source(const std::string& path) {
  return path.ends_with(".py") && absence_of(path).empty();
}

Error not_compiled_yet(const std::string& path) {
  return {
      Reason::not_found,
      printable(path) + " is not compiled yet: it will be, as all that is below a watched root of policy all",
      "kiln explain " + shell_word(path)};
}

bool has(const KnownFile& file, const std::vector<std::string>& pycs) {
  return std::ranges::any_of(file.entries, [&](const IndexEntry& entry) {
    return std::ranges::find(pycs, entry.pyc) != pycs.end();
  });
}

// PATH, which was asked for, is bytecode, and FILE tells of other bytecode of its source.
bool is_of_other(const KnownFile& file, const std::string& path) {
  return path.ends_with(".pyc") && !has(file, names_of(path));
}

}  // namespace

asio::awaitable<void> ExplainService::serve(Session& session, const proto::ExplainRequest& request) {
  const std::string path = request.path();
  auto file = co_await find(path);
  if (!file) co_return co_await session.refuse(file.error());
  if (!file->is_known() && watch_.will_compile(path))
    co_return co_await session.refuse(not_compiled_yet(path));
  auto explained = co_await look(std::move(*file), path);
  if (!explained) co_return co_await session.refuse(explained.error());
  watch_.describe(explained->source(), *explained->mutable_watched());
  proto::Reply reply;
  *reply.mutable_explain() = std::move(*explained);
  co_await session.reply(reply);
}

// By any of its names.
asio::awaitable<Result<KnownFile>> ExplainService::find(std::string path) {
  auto all = co_await names(path);
  if (!all) co_return all.error();
  for (auto& name : *all) {
    auto known = co_await index_.known_file(std::move(name));
    if (!known || known->is_known()) co_return known;
  }
  co_return co_await unmet(std::move(path));
}

asio::awaitable<Result<std::vector<std::string>>> ExplainService::names(std::string path) {
  return run_blocking(
      thread_, [path = std::move(path)]() -> Result<std::vector<std::string>> { return names_of(path); });
}

asio::awaitable<Result<proto::ExplainReply>> ExplainService::look(KnownFile file, std::string path) {
  return run_blocking(
      thread_, [this, file = std::move(file), path = std::move(path)] { return look_here(file, path); });
}

Result<proto::ExplainReply> ExplainService::look_here(const KnownFile& file, const std::string& path) {
  TRY_VOID(check_reachable(file.source));
  if (!is_of_other(file, path)) return explain(file, overlay_);
  TRY_VOID(check_reachable(path));
  KnownFile asked = unmet_bytecode(clean_path(path));
  if (!asked.is_known()) {
    auto reply = explain(file, overlay_);
    if (!absence_of(path).empty()) reply.set_missing(clean_path(path));
    return reply;
  }
  asked.importers = file.importers;
  asked.runs = file.runs;
  return explain(asked, overlay_);
}

asio::awaitable<Result<KnownFile>> ExplainService::unmet(std::string path) {
  return run_blocking(thread_, [path = std::move(path)]() -> Result<KnownFile> {
    std::error_code ignored;
    if (is_source(path) && !std::filesystem::is_directory(path, ignored)) return unmet_file(clean_path(path));
    auto of_bytecode = unmet_bytecode(clean_path(path));
    return of_bytecode.is_known() ? std::move(of_bytecode) : Result<KnownFile>(unknown(path));
  });
}

}  // namespace kiln

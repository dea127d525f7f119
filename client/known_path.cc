#include "client/known_path.h"

#include <filesystem>
#include <string_view>

#include "client/connection.h"
#include "common/absence.h"
#include "common/print_error.h"
#include "common/printable.h"
#include "common/suggestion.h"

namespace kiln {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kMostNames = 10'000;  // of a directory, to choose from

Result<bool> is_in_index(const std::string& path) {
  Connection connection = TRY(Connection::open_or_start());
  proto::Request request;
  request.mutable_list()->add_paths(path);
  request.mutable_list()->set_limit(1);
  TRY_VOID(connection.send(std::move(request)));
  bool is_known = false;
  while (true) {
    const proto::Reply reply = TRY(connection.receive());
    is_known = is_known || !reply.list().entries().empty();
    if (!reply.has_list() || reply.list().last()) return is_known;
  }
}

std::vector<std::string> names_in(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code failed;
  fs::directory_iterator at(directory, failed);
  for (const fs::directory_iterator end; !failed && at != end && names.size() < kMostNames;
       at.increment(failed)) {
    names.push_back(at->path().filename());
  }
  return names;
}

}  // namespace

std::string meant_instead_of(const std::string& path) {
  std::error_code ignored;
  fs::path missing = path;
  while (missing.has_relative_path() && !fs::exists(missing.parent_path(), ignored))
    missing = missing.parent_path();
  const auto names = names_in(missing.parent_path());
  const std::vector<std::string_view> all(names.begin(), names.end());
  const std::string word = missing.filename();
  const auto near = suggestion_for(word, all);
  if (!near || *near == word) return {};
  return "; did you mean " + printable((missing.parent_path() / *near).string()) + "?";
}

Result<void> check_known(const std::vector<std::string>& paths, const std::string& hint) {
  for (const auto& path : paths) {
    const std::string absence = absence_of(path);
    if (absence.empty() || TRY(is_in_index(path))) continue;
    return Error{Reason::not_found,
                 "Kiln knows nothing of " + printable(path) + ", and " + absence + meant_instead_of(path),
                 hint};
  }
  return {};
}

Result<std::vector<std::string>> known_ones_of(const std::vector<std::string>& paths,
                                               const std::string& hint) {
  std::vector<std::string> known;
  for (const auto& path : paths) {
    const auto checked = check_known({path}, hint);
    if (checked) {
      known.push_back(path);
    } else if (checked.error().reason != Reason::not_found) {
      return checked.error();
    } else {
      print_error(checked.error());
    }
  }
  return known;
}

}  // namespace kiln

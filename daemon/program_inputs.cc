#include "daemon/program_inputs.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "common/path_text.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;
using Kind = ProgramInput::Kind;

constexpr std::size_t kMostLinks = 8;  // one behind the other

bool is_directory(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

// A directory that is heard tells of its entries, not of its own times and mode.
bool tells_by_entries(const ProgramInput& input) {
  return input.kind != Kind::content && input.kind != Kind::link_content;
}

// What the symlink LINK leads to, as it is spelled; empty: that cannot be said without the kernel.
std::string target_of(const std::string& link) {
  std::error_code failed;
  const fs::path target = fs::read_symlink(link, failed);
  if (failed) return {};
  const std::string directory(directory_of(link));
  const fs::path spelled = (fs::path(directory) / target).lexically_normal();
  const bool climbs = std::ranges::find(target, fs::path("..")) != target.end();
  if (!climbs) return spelled;
  // It is as it is spelled where no part of it is a symlink.
  const fs::path above = fs::canonical(spelled.parent_path(), failed);
  return !failed && above == spelled.parent_path() ? spelled.string() : std::string();
}

// Whether PATH leads to the file END, which is no symlink.
bool is_file_behind(const std::string& path, const std::string& end) {
  struct stat behind {};
  struct stat status {};
  return !end.empty() && ::stat(path.c_str(), &behind) == 0 && ::lstat(end.c_str(), &status) == 0 &&
         S_ISREG(status.st_mode) && status.st_dev == behind.st_dev && status.st_ino == behind.st_ino;
}

}  // namespace

ProgramInputs::Input ProgramInputs::way_of(ProgramInput known) {
  Input input{std::move(known), {}, {}};
  const bool follows = input.known.kind != Kind::link_content && input.known.kind != Kind::link_type &&
                       input.known.kind != Kind::link_identity;
  if (follows && is_directory(input.known.path)) {
    input.end = input.known.path;
    input.held = tells_by_entries(input.known) ? Input::Held::directory : Input::Held::no;
    return input;
  }
  struct stat status {};
  std::string end = input.known.path;
  while (::lstat(end.c_str(), &status) == 0 && S_ISLNK(status.st_mode)) {
    input.links.push_back(end);
    end = follows && input.links.size() <= kMostLinks ? target_of(end) : std::string();
    if (end.empty()) break;
  }
  // The way as it is spelled must be the kernel's; what else may lie behind a symlink is not held.
  if (!input.links.empty() && follows && !is_file_behind(input.known.path, end))
    return Input{std::move(input.known), {}, {}};
  input.end = end;
  const bool is_itself_directory = !end.empty() && is_directory(end);  // by lstat, a directory is content
  input.held = is_itself_directory ? Input::Held::no : Input::Held::file;
  return input;
}

// The paths that are held as files.
template <class Do>
void ProgramInputs::for_each_held(const Input& input, const Do& what) {
  for (const std::string& link : input.links) what(link);
  if (input.held == Input::Held::file && !input.end.empty()) what(input.end);
}

ProgramInputs::ProgramInputs(Watcher& watcher, std::vector<ProgramInput> inputs) : watcher_(watcher) {
  inputs_.reserve(inputs.size());
  for (ProgramInput& input : inputs) {
    inputs_.push_back(way_of(std::move(input)));
    Input& kept = inputs_.back();
    for_each_held(kept, [&](const std::string& path) { watcher_.add_file(path); });
    if (kept.held == Input::Held::directory) watcher_.add_directory(kept.end);
    unproved_.insert(&kept);
    const auto note = [&](std::string_view path) {
      by_path_[path].push_back(&kept);
      by_path_[directory_of(path)].push_back(&kept);
    };
    note(kept.known.path);
    for_each_held(kept, note);
  }
}

ProgramInputs::~ProgramInputs() {
  for (const Input& input : inputs_) {
    for_each_held(input, [&](const std::string& path) { watcher_.remove_file(path); });
    if (input.held == Input::Held::directory) watcher_.remove_directory(input.end);
  }
}

std::vector<std::string> ProgramInputs::paths() const {
  std::vector<std::string> paths;
  std::unordered_set<std::string_view> seen;
  for (const Input& input : inputs_) {
    if (seen.insert(input.known.path).second) paths.push_back(input.known.path);
  }
  return paths;
}

bool ProgramInputs::is_proved(const Input& input) const {
  if (proved_at_ == 0 || input.held == Input::Held::no) return false;
  return std::ranges::all_of(
             input.links,
             [&](const std::string& link) { return watcher_.link_unchanged_since(link, proved_at_); }) &&
         (input.end.empty() || watcher_.unchanged_since(input.end, proved_at_));
}

bool ProgramInputs::holds(ProgramInput& known) {
  const ProgramInput now = look_again(known);
  if (now == known) return true;
  const bool is_listing = known.names_hash != 0 && now.names_hash == known.names_hash;
  if (!is_listing || now.stamp.inode != known.stamp.inode) return false;
  known.stamp = now.stamp;  // other names in it do not matter
  return true;
}

// What was proved then, and may no longer be.
void ProgramInputs::doubt_since_proved() {
  const auto doubtful = watcher_.doubtful_since(proved_at_);
  if (!doubtful) {
    for (Input& input : inputs_) unproved_.insert(&input);
    return;
  }
  for (const std::string& path : *doubtful) {
    const auto found = by_path_.find(path);
    if (found != by_path_.end()) unproved_.insert(found->second.begin(), found->second.end());
  }
}

bool ProgramInputs::hold() {
  by_stat_ = 0;
  const Tick now = watcher_.drain();
  if (now != proved_at_) doubt_since_proved();
  for (Input* const input : unproved_) {
    if (is_proved(*input)) continue;
    ++by_stat_;
    if (holds(input->known)) continue;
    changed_ = input->known.path;
    return false;
  }
  proved_at_ = now;
  std::erase_if(unproved_, [this](const Input* input) { return is_proved(*input); });
  return true;
}

}  // namespace kiln

#include "daemon/program_inputs.h"

#include <sys/stat.h>

#include <utility>

#include "daemon/watch/path_order.h"

namespace kiln {
namespace {

using Kind = ProgramInput::Kind;

bool is_directory(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

// A directory that is heard tells of its entries, not of its own times and mode.
bool tells_by_entries(const ProgramInput& input) {
  return input.kind != Kind::content && input.kind != Kind::link_content;
}

}  // namespace

ProgramInputs::ProgramInputs(Watcher& watcher, std::vector<ProgramInput> inputs) : watcher_(watcher) {
  inputs_.reserve(inputs.size());
  for (ProgramInput& input : inputs) {
    auto held = Input::Held::file;
    if (is_directory(input.path)) held = tells_by_entries(input) ? Input::Held::directory : Input::Held::no;
    if (held == Input::Held::file) watcher_.add_file(input.path);
    if (held == Input::Held::directory) watcher_.add_directory(input.path);
    inputs_.push_back({std::move(input), held});
    Input& kept = inputs_.back();
    unproved_.insert(&kept);
    by_path_[kept.known.path].push_back(&kept);
    by_path_[directory_of(kept.known.path)].push_back(&kept);
  }
}

ProgramInputs::~ProgramInputs() {
  for (const Input& input : inputs_) {
    if (input.held == Input::Held::file) watcher_.remove_file(input.known.path);
    if (input.held == Input::Held::directory) watcher_.remove_directory(input.known.path);
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
  return proved_at_ != 0 && input.held != Input::Held::no &&
         watcher_.unchanged_since(input.known.path, proved_at_);
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

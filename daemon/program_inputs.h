// What a program that was run ahead had looked at, and whether it is still as it was.
//
// It is held by the watcher (daemon/watch/watcher.h): what is proved needs no look, and where nothing at all
// was heard since the last question, the answer takes no time. A file behind a symlink is proved where the
// link is and the file is. What cannot be proved (files with several links, other file systems) is looked at
// by stat for each question.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "common/rehearsal.h"
#include "daemon/watch/watcher.h"

namespace kiln {

// Belongs to one thread.
class ProgramInputs {
 public:
  // WATCHER outlives this.
  ProgramInputs(Watcher& watcher, std::vector<ProgramInput> inputs);
  ~ProgramInputs();
  ProgramInputs(const ProgramInputs&) = delete;
  ProgramInputs& operator=(const ProgramInputs&) = delete;

  // Every change that was finished before the call is seen. Drains the watcher.
  bool hold();
  // The first that did not hold.
  const std::string& changed() const { return changed_; }

  std::size_t size() const { return inputs_.size(); }
  // Each once, in their order.
  std::vector<std::string> paths() const;
  // How many of them took a look by stat at the last question.
  std::size_t by_stat() const { return by_stat_; }

 private:
  struct Input {
    ProgramInput known;
    std::vector<std::string> links;  // held as files: the symlinks that its path is, and leads to
    std::string end;                 // what is held beside them; empty: nothing
    enum class Held { no, file, directory } held = Held::no;
  };

  static Input way_of(ProgramInput known);
  template <class Do>
  static void for_each_held(const Input& input, const Do& what);
  static bool holds(ProgramInput& known);
  bool is_proved(const Input& input) const;
  void doubt_since_proved();

  Watcher& watcher_;
  std::vector<Input> inputs_;
  // By their paths and by those of their directories, of which the watcher says what has become doubtful.
  std::unordered_map<std::string_view, std::vector<Input*>> by_path_;
  std::unordered_set<Input*> unproved_;  // as of proved_at_
  Tick proved_at_ = 0;                   // after which all were looked at; 0: never
  std::size_t by_stat_ = 0;
  std::string changed_;
};

}  // namespace kiln

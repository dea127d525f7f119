// A terminal with a shell in it, driven as a user would: text is typed, output awaited.
#pragma once

#include <sys/types.h>
#include <termios.h>

#include <string>
#include <string_view>
#include <vector>

#include "common/unique_fd.h"
#include "tests/e2e/harness.h"

namespace kiln::e2e {

// What the shell prints when it waits for a command.
constexpr const char* kPrompt = "<prompt> ";

class Terminal {
 public:
  // ARGV: what leads the session, in the work directory.
  Terminal(const std::vector<std::string>& argv, const std::vector<std::string>& environment);
  ~Terminal();  // hangs up, and ends the leader
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  pid_t leader() const { return leader_; }
  void type(std::string_view text);
  // Waits until TEXT comes after what was waited for before; false at the deadline, or if all ended.
  bool wait_for(std::string_view text);
  // The same of ONE and OTHER, in either order.
  bool wait_for_both(std::string_view one, std::string_view other);
  // Types COMMAND and waits for the next prompt. What was printed before that. Throws if none comes.
  std::string enter(const std::string& command);
  // All output so far, lines ending in \n alone.
  std::string output() const;

  termios modes() const;
  void resize(unsigned short rows, unsigned short columns) const;
  pid_t foreground() const;
  void hang_up() { master_.reset(); }
  // The leader's wait status.
  int wait();

 private:
  bool pump();

  pid_t leader_ = -1;
  UniqueFd master_;
  std::string output_;
  std::size_t seen_ = 0;
  int status_ = 0;
};

}  // namespace kiln::e2e

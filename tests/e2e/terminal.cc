#include "tests/e2e/terminal.h"

#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <stdexcept>
#include <utility>

namespace kiln::e2e {
namespace {

constexpr int kQuietMs = 20'000;  // nothing comes for so long: nothing will

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (const std::string& string : strings) out.push_back(const_cast<char*>(string.c_str()));
  out.push_back(nullptr);
  return out;
}

}  // namespace

Terminal::Terminal(const std::vector<std::string>& argv, const std::vector<std::string>& environment) {
  const std::vector<char*> arguments = pointers(argv);
  const std::vector<char*> variables = pointers(environment);
  const std::string cwd = work_dir();
  const winsize size{24, 200, 0, 0};
  int master = -1;
  leader_ = ::forkpty(&master, nullptr, nullptr, &size);
  if (leader_ < 0) throw std::runtime_error("forkpty");
  if (leader_ == 0) {
    std::signal(SIGPIPE, SIG_DFL);
    if (::chdir(cwd.c_str()) != 0) ::_exit(126);
    ::execve(arguments[0], arguments.data(), variables.data());
    ::_exit(127);
  }
  master_.reset(master);
}

Terminal::~Terminal() {
  hang_up();
  if (leader_ <= 0) return;
  kill_process(leader_, SIGKILL);
  wait();
}

void Terminal::type(std::string_view text) {
  if (::write(master_.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    throw std::runtime_error("cannot type");
}

// EIO: nobody has the other side open any more. The kernel looks for data before it looks whether all have
// gone, so what the last of them wrote in between comes after the first EIO.
bool Terminal::pump() {
  pollfd polled{master_.get(), POLLIN, 0};
  if (::poll(&polled, 1, kQuietMs) != 1) return false;
  std::array<char, 4096> buffer{};
  ssize_t size = ::read(master_.get(), buffer.data(), buffer.size());
  if (size < 0 && errno == EIO) size = ::read(master_.get(), buffer.data(), buffer.size());
  if (size <= 0) return false;
  output_.append(buffer.data(), static_cast<std::size_t>(size));
  return true;
}

bool Terminal::wait_for(std::string_view text) {
  while (true) {
    const std::size_t found = output_.find(text, seen_);
    if (found != std::string::npos) {
      seen_ = found + text.size();
      return true;
    }
    if (!pump()) return false;
  }
}

bool Terminal::wait_for_both(std::string_view one, std::string_view other) {
  const std::size_t begin = seen_;
  if (!wait_for(one)) return false;
  const std::size_t end = std::exchange(seen_, begin);
  if (!wait_for(other)) return false;
  seen_ = std::max(seen_, end);
  return true;
}

std::string Terminal::enter(const std::string& command) {
  type(command + "\n");
  if (!wait_for("\n")) throw std::runtime_error("no echo of " + command + " in\n" + output());
  const std::size_t begin = seen_;
  if (!wait_for(kPrompt)) throw std::runtime_error("no end of " + command + " in\n" + output());
  return output_.substr(begin, seen_ - begin - std::string_view(kPrompt).size());
}

std::string Terminal::output() const {
  std::string text = output_;
  std::erase(text, '\r');
  return text;
}

termios Terminal::modes() const {
  termios modes{};
  ::tcgetattr(master_.get(), &modes);
  return modes;
}

void Terminal::resize(unsigned short rows, unsigned short columns) const {
  const winsize size{rows, columns, 0, 0};
  ::ioctl(master_.get(), TIOCSWINSZ, &size);
}

pid_t Terminal::foreground() const {
  return ::tcgetpgrp(master_.get());
}

int Terminal::wait() {
  if (leader_ > 0) {
    while (::waitpid(leader_, &status_, 0) < 0 && errno == EINTR) {
    }
  }
  leader_ = -1;
  return status_;
}

}  // namespace kiln::e2e

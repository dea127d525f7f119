#include "common/rehearsal.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <memory>

#include "common/fields.h"
#include "common/unique_fd.h"

namespace kiln {
namespace {

using Kind = ProgramInput::Kind;

void write_stamp(const FileStamp& stamp, FieldWriter& out) {
  out.number(stamp.device);
  out.number(stamp.inode);
  out.number(stamp.size);
  out.number(static_cast<std::uint64_t>(stamp.modified_ns));
  out.number(static_cast<std::uint64_t>(stamp.changed_ns));
}

FileStamp read_stamp(FieldReader& in) {
  FileStamp stamp;
  stamp.device = in.number();
  stamp.inode = in.number();
  stamp.size = in.number();
  stamp.modified_ns = static_cast<std::int64_t>(in.number());
  stamp.changed_ns = static_cast<std::int64_t>(in.number());
  return stamp;
}

bool is_of_link(Kind kind) {
  return kind == Kind::link_content || kind == Kind::link_identity || kind == Kind::link_type;
}

// NAME.py, NAME.tag.so, NAME.pyc, or a package's directory, which has no dot in its name. What importlib
// keeps bytecode in is none.
bool is_importable(std::string_view name) {
  if (name == "__pycache__") return false;
  return name.find('.') == std::string_view::npos || name.ends_with(".py") || name.ends_with(".so") ||
         name.ends_with(".pyc");
}

char kind_of(int fd, const struct stat& status) {
  if (S_ISCHR(status.st_mode)) {
    if (status.st_rdev == makedev(1, 3)) return 'n';
    termios terminal{};
    return ::tcgetattr(fd, &terminal) == 0 ? 't' : 'o';
  }
  if (S_ISFIFO(status.st_mode)) return 'p';
  if (S_ISSOCK(status.st_mode)) return 's';
  if (!S_ISREG(status.st_mode)) return 'o';
  return ::lseek(fd, 0, SEEK_CUR) == 0 ? 'f' : 'F';
}

}  // namespace

std::string encode_rehearsal_order(const RehearsalOrder& order) {
  FieldWriter out;
  out.bytes(encode_launch(order.launch));
  out.bytes(order.cwd);
  out.bytes(order.streams);
  out.number(order.writes_bytecode ? 1 : 0);
  out.list(order.trusted);
  out.number(order.memory);
  return out.take();
}

Result<RehearsalOrder> decode_rehearsal_order(std::string_view message) {
  FieldReader in(message);
  RehearsalOrder order;
  const std::string launch = in.bytes();
  order.cwd = in.bytes();
  order.streams = in.bytes();
  order.writes_bytecode = in.number() != 0;
  order.trusted = in.list();
  order.memory = in.number();
  if (!in.done()) return Error{Reason::protocol, "malformed order of a rehearsal", {}};
  order.launch = TRY(decode_launch(launch));
  return order;
}

std::string encode_rehearsal_report(const RehearsalReport& report) {
  FieldWriter out;
  out.number(report.pid);
  out.bytes(report.entry);
  out.bytes(report.step);
  out.list(report.places);
  out.bytes(report.finalized);
  out.number(report.is_last ? 1 : 0);
  out.number(report.has_read_arguments ? 1 : 0);
  out.number(report.has_read_cwd ? 1 : 0);
  out.number(report.needs_whole_environment ? 1 : 0);
  out.number(report.has_seed ? 1 : 0);
  out.list(report.variables);
  out.number(report.modules);
  out.number(report.cpu_us);
  out.number(report.inputs.size());
  for (const ProgramInput& input : report.inputs) {
    out.number(static_cast<std::uint64_t>(input.kind));
    out.bytes(input.path);
    write_stamp(input.stamp, out);
    out.number(input.names_hash);
  }
  return out.take();
}

Result<RehearsalReport> decode_rehearsal_report(std::string_view message) {
  FieldReader in(message);
  RehearsalReport report;
  report.pid = in.number();
  report.entry = in.bytes();
  report.step = in.bytes();
  report.places = in.list();
  report.finalized = in.bytes();
  bool is_valid = true;
  for (bool* flag : {&report.is_last, &report.has_read_arguments, &report.has_read_cwd,
                     &report.needs_whole_environment, &report.has_seed}) {
    const std::uint64_t value = in.number();
    is_valid = is_valid && value <= 1;
    *flag = value == 1;
  }
  report.variables = in.list();
  report.modules = in.number();
  report.cpu_us = in.number();
  const std::uint64_t count = in.number();
  for (std::uint64_t i = 0; in.ok() && i < count; ++i) {
    ProgramInput input;
    const std::uint64_t kind = in.number();
    is_valid = is_valid && kind <= static_cast<std::uint64_t>(Kind::link_type);
    input.kind = static_cast<Kind>(kind);
    input.path = in.bytes();
    input.stamp = read_stamp(in);
    input.names_hash = in.number();
    report.inputs.push_back(std::move(input));
  }
  if (!in.done() || !is_valid) return Error{Reason::protocol, "malformed report of a rehearsal", {}};
  return report;
}

std::uint64_t hash_of_names(int fd, bool importable) {
  const int copy = ::openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, int (*)(DIR*)> directory{copy >= 0 ? ::fdopendir(copy) : nullptr, ::closedir};
  if (!directory) return 0;
  std::uint64_t hash = 1;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == ".." || (importable && !is_importable(name))) continue;
    std::string told(name);
    // What os.scandir() tells besides, without asking for more.
    if (!importable) told += '/' + std::to_string(entry->d_type) + '/' + std::to_string(entry->d_ino);
    const std::uint64_t one = std::hash<std::string_view>{}(told);
    // os.listdir() shows their order; an import does not.
    hash = importable ? hash + one : hash * 31 + one;
  }
  return hash;
}

ProgramInput look_again(const ProgramInput& input) {
  ProgramInput now{input.kind, input.path, {}, 0};
  struct stat status {};
  const bool is_there = is_of_link(input.kind) ? ::lstat(input.path.c_str(), &status) == 0
                                               : ::stat(input.path.c_str(), &status) == 0;
  if (!is_there) return now;
  now.stamp = stamp_of(status);
  if (input.kind == Kind::identity || input.kind == Kind::link_identity) {
    now.stamp = FileStamp{now.stamp.device, now.stamp.inode};
  } else if (input.kind == Kind::type || input.kind == Kind::link_type) {
    now.stamp = FileStamp{.size = status.st_mode & S_IFMT};
  } else if (input.kind == Kind::names || input.kind == Kind::importable_names) {
    if (now.stamp == input.stamp) return input;
    const UniqueFd fd{::open(input.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    now.names_hash = fd ? hash_of_names(fd.get(), input.kind == Kind::importable_names) : 0;
  }
  return now;
}

std::string stream_kinds() {
  std::string kinds;
  for (int fd = 0; fd < 3; ++fd) {
    struct stat status {};
    const bool is_open = ::fstat(fd, &status) == 0;
    if (fd > 0) kinds += ' ';
    kinds += is_open ? kind_of(fd, status) : '-';
    kinds += std::to_string(is_open ? status.st_blksize : 0);
  }
  return kinds;
}

}  // namespace kiln

#include "daemon/interpreter.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/json.hpp>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "common/paths.h"
#include "daemon/child.h"
#include "daemon/deadline.h"

namespace kiln {
namespace {

constexpr int kProbeAttempts = 5;

// More than any probe prints; an "interpreter" such as `yes` must not fill the memory.
constexpr std::size_t kMaxProbeBytes = 64U << 10;

// Whoever asked knows how to ask for another.
Error not_python(const std::string& path, const std::string& what) {
  return {Reason::interpreter, path + " is no Python interpreter: " + what, {}};
}

// It may be one: the machine may be busy.
Error too_slow(const std::string& path) {
  return {Reason::timeout, "cannot ask " + path + " for its version: no answer in time", {}};
}

// Everything that comes out of FD up to its end.
Result<std::string> read_all(int fd, const Deadline& deadline) {
  std::string bytes;
  char buffer[4096];
  for (;;) {
    pollfd readable{fd, POLLIN, 0};
    const int ready = ::poll(&readable, 1, deadline.left_ms());
    if (ready == 0) return Error{Reason::timeout, "no answer in time", {}};
    if (ready < 0 && errno != EINTR) return errno_error("cannot wait for an answer");
    if (ready < 0) continue;
    const ssize_t size = ::read(fd, buffer, sizeof buffer);
    if (size == 0) return bytes;
    if (size < 0) return errno_error("cannot read the answer");
    bytes.append(buffer, static_cast<std::size_t>(size));
    if (bytes.size() > kMaxProbeBytes) return Error{Reason::protocol, "too long an answer", {}};
  }
}

bool is_text_script(const std::string& path) {
  std::array<char, 2> start{};
  const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  return fd && ::read(fd.get(), start.data(), start.size()) == 2 && start[0] == '#' && start[1] == '!';
}

Result<std::string> run_probe(const std::string& path, int timeout_ms) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return errno_error("cannot create a pipe");
  UniqueFd reading{ends[0]};
  UniqueFd writing{ends[1]};
  SpawnOptions options;
  options.path = path;
  options.arguments = {path, "-E", "-s", "-S", "-B"};
  options.arguments.push_back(TRY(own_lib_file("probe.py")));
  options.environment = environment_without_python();
  options.standard_output = writing.get();
  auto spawned = Child::spawn(options);
  if (!spawned && errno == ENOEXEC) return not_python(path, "the system cannot execute it");
  if (!spawned && errno == ENOENT && ::access(path.c_str(), F_OK) == 0)
    return not_python(path, "the program in its first line is not there");
  Child child = TRY(std::move(spawned));
  writing.reset();
  const Deadline deadline(timeout_ms);
  auto output = read_all(reading.get(), deadline);
  if (!output && output.error().reason == Reason::timeout) return too_slow(path);
  if (!output) return not_python(path, "asked for its version, it gave " + output.error().message);
  const auto status = child.wait(deadline.left_ms());
  if (!status) return too_slow(path);
  if (*status != 0 && is_text_script(path))
    return Error{Reason::interpreter,
                 path + " is a script that starts no interpreter here, as a version manager's shim",
                 "name the interpreter itself: --python 3.12, or its path"};
  if (*status != 0) return not_python(path, "asked for its version, it failed");
  return output;
}

// The reverse of as_bytes in probe.py: code points below 256, here in UTF-8, to bytes.
std::string bytes_of(const boost::json::string& text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x80 && i + 1 < text.size()) {
      byte = static_cast<unsigned char>((byte << 6) | (static_cast<unsigned char>(text[++i]) & 0x3f));
    }
    bytes.push_back(static_cast<char>(byte));
  }
  return bytes;
}

std::uint32_t magic_of(const boost::json::array& bytes) {
  std::uint32_t magic = 0;
  for (std::size_t i = 0; i < 4; ++i)
    magic |= static_cast<std::uint32_t>(bytes.at(i).as_int64() & 0xff) << (8 * i);
  return magic;
}

}  // namespace

Result<InterpreterInfo> parse_probe(const std::string& line) {
  try {
    const auto document = boost::json::parse(line);
    const auto& said = document.as_object();
    InterpreterInfo info;
    info.implementation = bytes_of(said.at("implementation").as_string());
    info.version = bytes_of(said.at("version").as_string());
    info.build = bytes_of(said.at("build").as_string());
    info.major = static_cast<int>(said.at("version_info").as_array().at(0).as_int64());
    info.minor = static_cast<int>(said.at("version_info").as_array().at(1).as_int64());
    info.cache_tag = bytes_of(said.at("cache_tag").as_string());
    info.magic = magic_of(said.at("magic").as_array());
    info.executable = bytes_of(said.at("executable").as_string());
    info.prefix = bytes_of(said.at("prefix").as_string());
    info.base_prefix = bytes_of(said.at("base_prefix").as_string());
    return info;
  } catch (const std::exception& problem) {  // Boost.JSON's accessors throw; the text is somebody else's
    return Error{Reason::protocol, std::string("unreadable answer: ") + problem.what(), {}};
  }
}

Result<BinaryIdentity> identify_binary(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
  if (real == nullptr) return errno_error("cannot find " + path, Reason::not_found);
  struct stat status {};
  if (::stat(real.get(), &status) != 0) return errno_error("cannot stat " + path);
  return BinaryIdentity{real.get(), status.st_dev, status.st_ino,
                        status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec};
}

bool has_pycache(const InterpreterInfo& interpreter) {
  return interpreter.major >= 3;
}

bool has_hash_based(const InterpreterInfo& interpreter) {
  return interpreter.major > 3 || (interpreter.major == 3 && interpreter.minor >= 7);
}

namespace {

Result<InterpreterInfo> probe_once(const std::string& path, int timeout_ms) {
  const auto line = TRY(run_probe(path, timeout_ms));
  auto info = parse_probe(line);
  if (!info) return not_python(path, "its answer makes no sense");
  info->path = path;
  if (info->executable.empty()) info->executable = path;  // Python could not find out; PATH did work
  info->binary = TRY(identify_binary(info->executable));
  return info;
}

}  // namespace

// While it is asked, another file may take its place: then what was said is not of the file that is there
// now.
Result<InterpreterInfo> probe_interpreter(const std::string& path, int timeout_ms) {
  for (int attempt = 0; attempt < kProbeAttempts; ++attempt) {
    const auto before = TRY(identify_binary(path));
    auto info = probe_once(path, timeout_ms);
    const auto after = identify_binary(path);
    if (after && *after == before) return info;
  }
  return Error{Reason::interpreter, path + " becomes another file again and again", {}};
}

}  // namespace kiln

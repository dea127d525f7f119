// `kiln inspect`: what bytecode files hold. No daemon is asked.
//
// The document of --json, one a file; what does not apply is null:
//
//   version  2
//   file     as it was given
//   size     bytes
//   python   "3.12"
//   magic    the number that Python's documents speak of, as in `kiln status --json`: 3531
//   header   {size, kind: timestamp | checked-hash | unchecked-hash,
//             mtime (seconds since 1970, as Python keeps it: modulo 2**32), source_size, source_hash (16
//             digits)}
//   source   {path, state: fresh | mtime | size | hash | missing | unreadable | not-asked | unknown}; mtime,
//   size
//            and hash are what makes it stale
//   code     {size, whole, filename, objects: [{name, qualname, first_line, depth}]}; null unless whole, from
//            filename on
//
// What is not UTF-8 is escaped as common/json_text.h says.
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <ctime>
#include <filesystem>

#include "client/command.h"
#include "client/interpreter_search.h"
#include "client/pyc_report.h"
#include "common/arguments.h"
#include "common/code_list.h"
#include "common/json_text.h"
#include "common/overlay.h"
#include "common/path_error.h"
#include "common/paths.h"
#include "common/print_error.h"
#include "common/printable.h"
#include "common/screen.h"
#include "common/shell_word.h"
#include "common/surrogate_escape.h"
#include "common/variables.h"

namespace kiln {
namespace {

namespace json = boost::json;

constexpr int kFormat = 2;  // of the JSON document

struct InspectArguments {
  std::vector<std::string> paths;
  bool dis = false;
  bool json = false;
};

// Nothing in the current directory may stand for a module; up to 3.6 dis does not go into nested code.
constexpr const char* kDisassemble = R"(
import sys
sys.path = [entry for entry in sys.path if entry]
import dis, marshal, signal
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
def show(code):
    dis.dis(code)
    for nested in code.co_consts:
        if sys.version_info < (3, 7) and hasattr(nested, 'co_code'):
            print('\nDisassembly of %r:' % (nested,))
            show(nested)
try:
    with open(sys.argv[1], 'rb') as file:
        file.seek(int(sys.argv[2]))
        show(marshal.loads(file.read()))
except Exception as problem:
    sys.stdout.flush()
    sys.stderr.write('%serror: %s: %s: %s\n\nhint: %s\n' % (
        sys.argv[5], sys.argv[3], type(problem).__name__, problem, sys.argv[4]))
    sys.exit(1)
)";

std::string utc(std::uint32_t seconds, const char* format) {
  const std::time_t time = seconds;
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  char text[64];
  return {text, std::strftime(text, sizeof text, format, &parts)};
}

std::string hash_text(std::uint64_t hash) {
  char text[17];
  std::snprintf(text, sizeof text, "%016" PRIx64, hash);
  return text;
}

std::string_view kind_word(PycKind kind) {
  if (kind == PycKind::timestamp) return "timestamp";
  return kind == PycKind::checked_hash ? "checked-hash" : "unchecked-hash";
}

bool has_source_size(const PycReport& report) {
  return report.header.kind == PycKind::timestamp && report.format.header != HeaderLayout::mtime;
}

// Bytes as the file system has them of a text in the code.
std::string raw_text(const PycReport& report, std::string_view text) {
  return report.format.version.major == 2 ? std::string(text) : unescape_surrogates(text);
}

json::object header_json(const PycReport& report) {
  const auto& header = report.header;
  json::object object{{"size", pyc_header_size(header.magic)},
                      {"kind", kind_word(header.kind)},
                      {"mtime", nullptr},
                      {"source_size", nullptr},
                      {"source_hash", nullptr}};
  if (header.kind == PycKind::timestamp) object["mtime"] = header.mtime_s;
  if (has_source_size(report)) object["source_size"] = header.source_size;
  if (header.kind != PycKind::timestamp) object["source_hash"] = hash_text(header.source_hash);
  return object;
}

json::object code_json(const PycReport& report, const Result<std::vector<CodeObject>>& code) {
  const auto text = [&](std::string_view name) { return escape_surrogates(raw_text(report, name)); };
  json::object object{
      {"size", report.body.size()}, {"whole", code.has_value()}, {"filename", nullptr}, {"objects", nullptr}};
  if (!code) return object;
  object["filename"] = text(code->front().filename);
  json::array& objects = object["objects"].emplace_array();
  for (const auto& one : *code) {
    json::object& row = objects
                            .emplace_back(json::object{{"name", text(one.name)},
                                                       {"qualname", nullptr},
                                                       {"first_line", one.first_line},
                                                       {"depth", one.depth}})
                            .as_object();
    if (!one.qualname.empty()) row["qualname"] = text(one.qualname);
  }
  return object;
}

json::object to_json(const PycReport& report, const Result<std::vector<CodeObject>>& code) {
  json::object source{{"path", nullptr}, {"state", word(report.state)}};
  if (!report.source.empty()) source["path"] = escape_surrogates(report.source);
  return {{"version", kFormat},
          {"file", escape_surrogates(report.path)},
          {"size", report.size},
          {"python", version_text({report.format.version})},
          {"magic", report.header.magic & 0xffff},
          {"header", header_json(report)},
          {"source", std::move(source)},
          {"code", code_json(report, code)}};
}

std::string kind_line(const PycReport& report) {
  const auto& header = report.header;
  if (header.kind == PycKind::unchecked_hash) {
    return "unchecked hash " + hash_text(header.source_hash) + ": Python does not look at the source";
  }
  if (header.kind == PycKind::checked_hash) return "checked hash " + hash_text(header.source_hash);
  auto line = "timestamp: a source of " + utc(header.mtime_s, "%Y-%m-%d %H:%M:%S UTC");
  if (has_source_size(report)) line += ", " + std::to_string(header.source_size) + " bytes";
  return line;
}

std::string source_line(const PycReport& report) {
  const auto path = printable(report.source);
  switch (report.state) {
    case SourceState::fresh:
      return path + ": fresh";
    case SourceState::stale_mtime:
    case SourceState::stale_size:
    case SourceState::stale_hash:
      return path + ": stale, for its " + std::string(word(report.state)) + " is another";
    case SourceState::missing:
      return path + ": missing";
    case SourceState::unreadable:
      return path + ": cannot be read";
    case SourceState::not_asked:
      return path + ": not asked";
    case SourceState::unknown:
      break;
  }
  return "unknown: the file's name does not tell";
}

std::string code_text(const PycReport& report, const std::vector<CodeObject>& code) {
  std::string text =
      "code    whole, compiled as " + printable(raw_text(report, code.front().filename)) + "\n   line\n";
  for (const auto& one : code) {
    const auto name = one.qualname.empty() ? one.name : one.qualname;
    char line[32];
    std::snprintf(line, sizeof line, "%7d  ", one.first_line);
    text += line + std::string(2 * static_cast<std::size_t>(one.depth), ' ') +
            printable(raw_text(report, name)) + "\n";
  }
  return text;
}

std::string screen_text(const PycReport& report, const Result<std::vector<CodeObject>>& code) {
  return "file    " + printable(report.path) + ", " + std::to_string(report.size) + " bytes\n" +  //
         "python  " + version_text({report.format.version}) + ", magic number " +
         std::to_string(report.header.magic & 0xffff) + "\n" +  //
         "header  " + std::to_string(pyc_header_size(report.header.magic)) + " bytes, " + kind_line(report) +
         "\n" + "source  " + source_line(report) + "\n" +
         (code ? code_text(report, *code) : "code    damaged\n");
}

Error damage(const PycReport& report) {
  return {Reason::bad_pyc, report.path + ": what follows the header is no whole code object",
          "rm " + shell_word(report.path)};
}

// What does tell of FILE, which is no bytecode.
std::string other_command(const std::string& file) {
  std::error_code unknown;
  if (std::filesystem::is_directory(file, unknown)) return "kiln list " + shell_word(file);
  return file.ends_with(".py") ? "kiln explain " + shell_word(file) : "";
}

// Goes from file to file. On either stream there is an empty line between one and the next.
class Inspection {
 public:
  explicit Inspection(const InspectArguments& wanted) : wanted_(wanted) {}

  // What cannot be shown keeps none of the others from being shown.
  int all() {
    int worst = kExitDone;
    for (const std::string& path : wanted_.paths) worst = std::max(worst, one(path));
    return worst;
  }

 private:
  int one(const std::string& path) {
    const auto cache = cache_dir();
    const auto report = report_pyc(path, text_of("PYTHONPYCACHEPREFIX"), cache ? overlay_dir(*cache) : "");
    if (!report) {
      Error error = report.error();
      if (error.hint.empty()) error.hint = other_command(path);
      return fail(error, kExitFix);
    }
    const auto code = list_code_objects(report->body, report->header.magic);
    print(*report, code);
    if (!code) return fail(damage(*report), kExitFix);
    if (!wanted_.dis) return kExitDone;
    return wanted_.paths.size() > 1 ? disassemble_apart(*report) : disassemble(*report);
  }

  void print(const PycReport& report, const Result<std::vector<CodeObject>>& code) {
    if (wanted_.json) {
      std::printf("%s\n", json_text(to_json(report, code)).c_str());
      return;
    }
    show((has_shown_ ? "\n" : "") + screen_text(report, code));
    has_shown_ = true;
  }

  int fail(Error error, int exit_code) {
    std::fflush(stdout);  // what was shown before comes before it, where both streams are one
    if (error.hint.empty()) error.hint = "kiln inspect --help";
    if (has_failed_) std::fputs("\n", stderr);
    has_failed_ = true;
    print_error(error);
    return exit_code;
  }

  // Returns only if it fails: the interpreter takes this process's place.
  int disassemble(const PycReport& report) {
    auto python = find_interpreter({report.format.version});
    if (!python) {
      Error missing = python.error();
      if (missing.hint.empty()) missing.hint = "kiln inspect " + shell_word(report.path);
      return fail(missing, kExitUnable);
    }
    std::puts("");
    if (std::fflush(stdout) != 0) return kExitUnable;  // main() says so
    const auto offset = std::to_string(pyc_header_size(report.header.magic));
    const auto what = printable(report.path) + ": the code is damaged, or is not of Python " +
                      version_text({report.format.version});
    const auto hint = "rm " + shell_word(report.path);
    ::execl(python->c_str(), python->c_str(), "-ESs", "-c", kDisassemble, report.path.c_str(), offset.c_str(),
            what.c_str(), hint.c_str(), has_failed_ ? "\n" : "", nullptr);
    return fail(path_error("cannot execute", *python), kExitUnable);
  }

  // In a process that may become another.
  int disassemble_apart(const PycReport& report) {
    std::fflush(nullptr);
    const pid_t child = ::fork();
    if (child < 0) return fail(errno_error("cannot start a process"), kExitUnable);
    if (child == 0) {
      const int code = disassemble(report);
      std::fflush(nullptr);
      ::_exit(code);
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : kExitUnable;
    has_failed_ = has_failed_ || code != kExitDone;
    return code;
  }

  const InspectArguments& wanted_;
  bool has_shown_ = false;
  bool has_failed_ = false;
};

}  // namespace

int inspect_command(std::span<char*> arguments) {
  CLI::App app("Shows what bytecode files of any Python hold, and whether they are fresh.", "kiln inspect");
  InspectArguments wanted;
  app.add_option("FILE", wanted.paths, ".pyc files")->type_name("")->required();
  auto* dis = app.add_flag("--dis", wanted.dis, "disassemble them, by interpreters of their versions");
  app.add_flag("--json", wanted.json,
               "for each file a JSON document in a line (keys version, file, size, python, magic, header, "
               "source, code)")
      ->excludes(dis);
  if (const auto code = parse_arguments(app, arguments)) return *code;
  return Inspection(wanted).all();
}

}  // namespace kiln

// `kiln doctor`: what needs mending, and by which command.
//
// It looks, and leaves everything as it is: no daemon is started, no directory made, nothing damaged removed.
// A check is a row of the table below.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cstdio>
#include <functional>
#include <future>
#include <vector>

#include "client/colour.h"
#include "client/command.h"
#include "client/current_path.h"
#include "client/daemon_findings.h"
#include "client/finding.h"
#include "client/output.h"
#include "client/place_findings.h"
#include "client/program_findings.h"
#include "common/arguments.h"
#include "common/json_text.h"
#include "common/paths.h"
#include "common/print_error.h"
#include "common/screen.h"

namespace kiln {
namespace {

namespace json = boost::json;

constexpr int kFormat = 1;  // of the JSON document

struct Patient {
  std::string here;  // the current directory
  std::string runtime_dir;
  std::string cache_dir;
  Findings of_runtime_dir;
  Findings of_cache_dir;
  std::shared_future<Examined> by_daemon;  // who is asked meanwhile
  std::shared_future<Examined> of_cache;

  const Examined& examined() const { return by_daemon.get(); }
};

Findings of_runtime_dir(const std::string& dir) {
  return directory_findings(dir, "KILN_RUNTIME_DIR");
}

Findings of_cache_dir(const std::string& dir) {
  return directory_findings(dir, "KILN_CACHE_DIR");
}

bool is_bad(const Finding& finding) {
  return finding.severity == Severity::bad;
}

// What lies in a directory that is to be mended is no finding of its own: it would come with another hint.
template <class Find>
Findings unless_bad(const Findings& of_directory, const char* name, Find find) {
  if (std::ranges::none_of(of_directory, is_bad)) return find();
  return {{Severity::skip, "the " + std::string(name) + " directory is to be mended first"}};
}

template <class Find>
Findings in_runtime_dir(const Patient& of, Find find) {
  return unless_bad(of.of_runtime_dir, "runtime", find);
}

template <class Find>
Findings in_cache_dir(const Patient& of, Find find) {
  return unless_bad(of.of_cache_dir, "cache", find);
}

struct Check {
  const char* name;
  Findings (*find)(const Patient&);
};

constexpr Check kChecks[] = {
    {"installation", [](const Patient&) { return installation_findings(); }},
    {"path", [](const Patient&) { return path_findings(); }},
    {"python links", [](const Patient&) { return link_findings(); }},
    {"interpreter", [](const Patient&) { return interpreter_findings(); }},
    {"variables", [](const Patient&) { return variable_findings(); }},
    {"configuration", [](const Patient& of) { return configuration_findings(of.here, of.examined()); }},
    {"runtime directory", [](const Patient& of) { return of.of_runtime_dir; }},
    {"cache directory", [](const Patient& of) { return of.of_cache_dir; }},
    {"disk", [](const Patient& of) { return in_cache_dir(of, [&] { return disk_findings(of.cache_dir); }); }},
    {"file system",
     [](const Patient& of) { return in_cache_dir(of, [&] { return file_system_findings(of.cache_dir); }); }},
    {"socket",
     [](const Patient& of) {
       return in_runtime_dir(of, [&] { return socket_findings(socket_path(of.runtime_dir)); });
     }},
    {"daemon",
     [](const Patient& of) {
       return in_runtime_dir(of, [&] { return daemon_findings(of.cache_dir, of.examined()); });
     }},
    {"systemd", [](const Patient&) { return unit_findings(); }},
    {"index",
     [](const Patient& of) {
       return in_cache_dir(of, [&] { return index_findings(of.cache_dir, of.of_cache.get()); });
     }},
    {"store",
     [](const Patient& of) {
       return in_cache_dir(of, [&] { return store_findings(of.cache_dir, of.of_cache.get()); });
     }},
    {"images", [](const Patient& of) { return image_findings(of.examined()); }},
    {"watches", [](const Patient& of) { return watch_findings(of.examined()); }},
};

struct Line {
  const char* check;
  Finding finding;
};

Result<Patient> admit() {
  auto here = TRY(absolute_path_of("."));
  const auto runtime = TRY(runtime_dir());
  const auto cache = TRY(cache_dir());
  const auto by_daemon = std::async(std::launch::async, examine_by_daemon).share();
  const auto of_cache =
      std::async(std::launch::async, [by_daemon] { return examine_cache_by(by_daemon.get()); }).share();
  return Patient{std::move(here),     runtime,   cache,   of_runtime_dir(runtime),
                 of_cache_dir(cache), by_daemon, of_cache};
}

// All at once: most of them wait for somebody else, a program, a disk or the daemon.
std::vector<Line> examine(const Patient& patient) {
  std::vector<std::future<Findings>> found;
  for (const Check& check : kChecks)
    found.push_back(std::async(std::launch::async, check.find, std::cref(patient)));
  std::vector<Line> lines;
  for (std::size_t at = 0; at < found.size(); ++at) {
    for (Finding& finding : found[at].get()) lines.push_back({kChecks[at].name, std::move(finding)});
  }
  return lines;
}

std::size_t count_bad(const std::vector<Line>& lines) {
  return static_cast<std::size_t>(
      std::ranges::count_if(lines, [](const Line& line) { return is_bad(line.finding); }));
}

std::string text_of(const Line& line, bool coloured) {
  constexpr std::size_t kSeverityColumn = 6;
  constexpr std::size_t kCheckColumn = 19;
  const auto& [severity, what, hint] = line.finding;
  const std::string_view severe = word(severity);
  const std::string check = line.check;
  std::string text = in_colour(severe, colour_of(severe), coloured);
  text += std::string(kSeverityColumn - severe.size(), ' ') + check;
  text += std::string(kCheckColumn - std::min(kCheckColumn - 2, check.size()), ' ') + what + "\n";
  return hint.empty() ? text : text + "      hint: " + hint + "\n";
}

void print_lines(const std::vector<Line>& lines) {
  const bool coloured = wants_colour();
  std::string text;
  for (const Line& line : lines) text += text_of(line, coloured);
  const std::size_t bad = count_bad(lines);
  text += bad == 0   ? "\nNothing needs mending.\n"
          : bad == 1 ? "\nOne thing needs mending.\n"
                     : "\n" + std::to_string(bad) + " things need mending.\n";
  show(text);
}

json::object to_json(const std::vector<Line>& lines) {
  json::array findings;
  for (const Line& line : lines) {
    findings.push_back({{"check", line.check},
                        {"severity", word(line.finding.severity)},
                        {"what", line.finding.what},
                        {"hint", line.finding.hint}});
  }
  return {{"version", kFormat}, {"bad", count_bad(lines)}, {"findings", std::move(findings)}};
}

}  // namespace

int doctor_command(std::span<char*> arguments) {
  CLI::App app(
      "Examines everything that Kiln needs: ok, warn (it works, with less than it could), bad (to be "
      "mended), "
      "or skip (it could not be looked at: the line says why). Nothing is changed, and no daemon started",
      "kiln doctor");
  bool as_json = false;
  app.add_flag("--json", as_json,
               "one JSON document (keys version, bad: how many are, and findings, each with check, severity, "
               "what, and hint, the command that mends it)");
  app.footer("Exit code 1: something is bad.");
  if (const auto code = parse_arguments(app, arguments)) return *code;
  const auto patient = admit();
  if (!patient) {
    print_error(patient.error());
    return kExitFix;
  }
  const auto lines = examine(*patient);
  if (as_json) {
    std::printf("%s\n", json_text(to_json(lines)).c_str());
  } else {
    print_lines(lines);
  }
  return count_bad(lines) == 0 ? kExitDone : kExitFix;
}

}  // namespace kiln

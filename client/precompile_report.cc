#include "client/precompile_report.h"

#include <boost/json/object.hpp>
#include <cstdio>
#include <iterator>

#include "client/current_path.h"
#include "client/error_words.h"
#include "client/known_path.h"
#include "client/source_position.h"
#include "common/json_text.h"
#include "common/print_error.h"
#include "common/printable.h"

namespace kiln {
namespace {

namespace json = boost::json;

constexpr int kFormat = 1;  // of the JSON document

void write_error(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
}

json::object to_json(const proto::PrecompileEvent::Error& error) {
  return {{"path", error.path()}, {"line", error.line()},       {"column", error.column()},
          {"type", error.type()}, {"message", error.message()}, {"tag", error.tag()}};
}

json::object to_json(const proto::PrecompileEvent::Stale& stale) {
  return {{"path", stale.path()}, {"pyc", stale.pyc()}, {"why", stale.why()}};
}

// Of a target that is not there.
std::string meant_by(const proto::PrecompileEvent::Error& error) {
  if (error.type() != "FileNotFoundError") return {};
  const auto path = absolute_path_of(error.path());
  return path ? meant_instead_of(*path) : std::string();
}

std::string counted(const char* what, std::uint64_t count) {
  return std::string(what) + " " + std::to_string(count);
}

}  // namespace

std::string error_line(const proto::PrecompileEvent::Error& error) {
  std::string line = printable(error.path()) + source_position(error.line(), error.column());
  line += ": " + error_words(error.type(), error.message());
  if (!error.tag().empty()) line += " [" + error.tag() + "]";
  return line;
}

std::string summary_line(const proto::PrecompileEvent::Summary& summary) {
  std::string line = counted("compiled", summary.compiled());
  if (summary.restored() > 0) line += ", " + counted("restored", summary.restored());
  line += ", " + counted("fresh", summary.fresh());
  if (summary.stale() > 0) line += ", " + counted("stale", summary.stale());
  line += ", " + counted("errors", summary.errors());
  if (summary.overlaid() > 0) line += ", " + counted("in Kiln's overlay", summary.overlaid());
  char time[32];
  std::snprintf(time, sizeof time, " in %.2f s", static_cast<double>(summary.elapsed_us()) / 1e6);
  return line + time;
}

std::string left_out_line(const proto::PrecompileEvent::Summary& summary) {
  if (summary.left_out().empty()) return {};
  std::string line = "left out " + std::to_string(summary.left_out_count()) +
                     (summary.left_out_count() == 1 ? " directory" : " directories") + " named ";
  for (int i = 0; i < summary.left_out_size(); ++i) line += (i > 0 ? ", " : "") + summary.left_out(i);
  return line;
}

PrecompileReport::PrecompileReport(Form form, bool check)
    : form_(form), check_(check), progress_("compiling") {}

void PrecompileReport::add(const proto::PrecompileEvent& event) {
  if (form_ == Form::json) {
    if (event.has_error()) errors_.push_back(to_json(event.error()));
    if (event.has_warning()) warnings_.push_back(json::string(event.warning().text()));
    if (event.has_stale()) stale_.push_back(to_json(event.stale()));
    return;
  }
  if (event.has_error()) {
    print(error_line(event.error()) + meant_by(event.error()) + "\n");
    hints_.add(event.error());
  }
  if (form_ == Form::errors_only) return;
  if (event.has_warning()) print(event.warning().text());
  if (event.has_stale())
    std::printf("%s: %s\n", printable(event.stale().pyc()).c_str(), event.stale().why().c_str());
  if (event.has_progress()) {
    progress_.update(event.progress().done(), event.progress().total(), Progress::Clock::now());
  }
}

void PrecompileReport::finish(const proto::PrecompileEvent::Summary& summary) {
  progress_.clear();
  write_error(hints_.text());
  if (!summary.not_kept().empty()) print_warning({Reason::system, summary.not_kept(), "kiln doctor"});
  if (!summary.failure().empty() || form_ == Form::errors_only) return;
  if (form_ == Form::lines) {
    if (const auto line = left_out_line(summary); !line.empty()) write_error(line + "\n");
    std::puts(summary_line(summary).c_str());
    return;
  }
  json::array left_out(summary.left_out().begin(), summary.left_out().end());
  json::object document{{"version", kFormat},
                        {"compiled", summary.compiled()},
                        {"restored", summary.restored()},
                        {"fresh", summary.fresh()},
                        {"overlaid", summary.overlaid()},
                        {"elapsed_s", static_cast<double>(summary.elapsed_us()) / 1e6}};
  document["errors"] = std::move(errors_);
  document["warnings"] = std::move(warnings_);
  if (check_) document["stale"] = std::move(stale_);
  document["left_out"] = std::move(left_out);
  std::puts(json_text(document).c_str());
}

void PrecompileReport::print(const std::string& text) {
  progress_.clear();
  write_error(text);
}

}  // namespace kiln

#include "client/list_report.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <utility>

#include "client/colour.h"
#include "client/error_words.h"
#include "client/source_position.h"
#include "common/json_text.h"
#include "common/printable.h"
#include "common/quantity.h"
#include "common/screen.h"

namespace kiln {
namespace {

constexpr std::size_t kWrittenAtOnce = 64UL * 1024;
constexpr std::size_t kStateColumn = 8;
constexpr std::int64_t kSecond_ns = 1'000'000'000;
constexpr std::size_t kLeastPath = 24;  // columns that are always its own

void append_member(std::string& text, std::string_view key, std::string_view value) {
  text.append(",\"").append(key).append("\":");
  append_json_string(text, value);
}

void append_member(std::string& text, std::string_view key, std::int64_t value) {
  text.append(",\"").append(key).append("\":").append(std::to_string(value));
}

void append_member(std::string& text, std::string_view key, bool value) {
  text.append(",\"").append(key).append("\":").append(value ? "true" : "false");
}

void append_error(std::string& text, const ListEntry& entry) {
  text += R"(,"error":{"type":)";
  append_json_string(text, entry.error_type());
  append_member(text, "message", std::string_view(entry.error_message()));
  append_member(text, "line", std::int64_t{entry.line()});
  append_member(text, "column", std::int64_t{entry.column()});
  text += '}';
}

void append_object(std::string& text, const ListEntry& entry) {
  text += R"({"source":)";
  append_json_string(text, entry.source());
  append_member(text, "pyc", std::string_view(entry.pyc()));
  append_member(text, "python", std::string_view(entry.python()));
  append_member(text, "tag", std::string_view(entry.tag()));
  append_member(text, "optimize", std::int64_t{entry.optimize()});
  append_member(text, "state", std::string_view(entry.state()));
  append_member(text, "overlaid", entry.overlaid());
  append_member(text, "size", static_cast<std::int64_t>(entry.size()));
  append_member(text, "modified_ns", entry.modified_ns());
  append_member(text, "made_us", static_cast<std::int64_t>(entry.made_us()));
  append_member(text, "restored", entry.restored());
  if (!entry.error_type().empty()) append_error(text, entry);
  if (!entry.warnings().empty()) append_member(text, "warnings", std::string_view(entry.warnings()));
  text += '}';
}

std::string details(const ListEntry& entry) {
  std::string text = "  " + entry.tag();
  if (entry.optimize() > 0) text += " opt-" + std::to_string(entry.optimize());
  if (entry.overlaid()) text += " overlay";
  if (entry.error_type().empty()) return text;
  const std::string position = source_position(entry.line(), entry.column());
  if (!position.empty()) text += "  " + position.substr(1) + ":";
  return text + (position.empty() ? "  " : " ") + error_words(entry.error_type(), entry.error_message());
}

std::string time_text(std::int64_t time_ns) {
  const std::time_t time_s = time_ns / kSecond_ns;
  char text[32];
  if (time_ns == 0 || std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", std::localtime(&time_s)) == 0)
    return {};
  return text;
}

std::string cost_text(std::uint64_t cost_us) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f ms", static_cast<double>(cost_us) / 1000);
  return cost_us == 0 ? "" : text;
}

// Empty: it is not known.
std::string measured(const ListEntry& entry, ListMeasure measure) {
  switch (measure) {
    case ListMeasure::size:
      return entry.size() == 0 ? "" : bytes_text(entry.size());
    case ListMeasure::time:
      return time_text(entry.modified_ns());
    case ListMeasure::cost:
      return cost_text(entry.made_us());
    case ListMeasure::none:
      break;
  }
  return {};
}

std::string measure_column(const ListEntry& entry, ListMeasure measure) {
  if (measure == ListMeasure::none) return {};
  const std::size_t width = measure == ListMeasure::time ? 16 : 9;
  std::string text = measured(entry, measure);
  if (text.empty()) text = "-";
  text.insert(0, width - std::min(width, text.size()), ' ');
  return text + "  ";
}

}  // namespace

std::string list_line(const ListEntry& entry, const ListLayout& layout) {
  std::string state = in_colour(entry.state(), colour_of(entry.state()), layout.coloured);
  state.append(kStateColumn - std::min(kStateColumn, entry.state().size()), ' ');
  const std::string measure = measure_column(entry, layout.measure);
  std::string source = printable(entry.source());
  std::string rest = details(entry);
  if (layout.columns != 0) {
    const std::size_t before = kStateColumn + measure.size();
    const std::size_t room = layout.columns - std::min<std::size_t>(layout.columns, before);
    const std::size_t taken = display_width(rest);
    source = shortened(source, std::max(kLeastPath, room - std::min(room, taken)));
    rest = cut_short(rest, room - std::min(room, display_width(source)));  // first comes where the error is
  }
  return state + measure + source + rest;
}

ListReport::ListReport(Form form, const ListLayout& layout, Write write)
    : form_(form), layout_(layout), write_(std::move(write)) {
  if (form_ == Form::json) text_ = R"({"version":1,"entries":[)";
}

void ListReport::add(const ListEntry& entry) {
  const bool is_first = std::exchange(empty_, false);
  if (form_ == Form::json) {
    text_ += is_first ? "\n" : ",\n";
    append_object(text_, entry);
  } else {
    text_ += list_line(entry, layout_) + "\n";
  }
  if (text_.size() < kWrittenAtOnce) return;
  write_(text_);
  text_.clear();
}

void ListReport::finish(bool own_index) {
  if (form_ == Form::json) text_ += own_index ? "],\"own_index\":true}\n" : "]}\n";
  write_(text_);
  text_.clear();
}

}  // namespace kiln

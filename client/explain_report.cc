#include "client/explain_report.h"

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "client/character_columns.h"
#include "client/error_words.h"
#include "common/error_type.h"
#include "common/printable.h"
#include "common/shell_word.h"
#include "common/surrogate_escape.h"

namespace kiln {
namespace {

namespace json = boost::json;
using Entry = proto::ExplainReply::Entry;
using Program = proto::ExplainReply::Program;

constexpr int kMaxPrograms = 8;  // named in one sentence
constexpr std::string_view kCodeIndent = "    ";
constexpr unsigned kLeastColumns = 20;  // with less, a line of code is shown as it is

struct Wording {
  std::string_view word;
  std::string_view sentence;  // about the bytecode
};

// Words of daemon/freshness.h.
constexpr std::array kWhyStale{
    Wording{"missing", "is gone"},
    Wording{"unreadable", "cannot be read"},
    Wording{"bad-header", "does not begin as Python's bytecode files do"},
    Wording{"magic", "has the magic number of another version of Python"},
    Wording{"mtime", "is of a source with another time"},
    Wording{"size", "is of a source with another size"},
    Wording{"hash", "is of a source with another hash"},
    Wording{"body", "is damaged: what follows its header is no whole code object"},
    Wording{"changed",
            "is older than the source, whose time and size do not show it: Python would run old code"},
    Wording{"doubtful",
            "may be older than the source, whose inode has changed since, or at the same moment: the code is "
            "looked at by `kiln precompile`"},
};

// By kind of bytecode: why it is fresh, and what would change that.
struct Rule {
  std::string_view kind;
  std::string_view holds;
  std::string_view until;
};

constexpr std::array kRules{
    Rule{"timestamp", "has the time and size of the source", "the source's time or size changes"},
    Rule{"checked-hash", "has the hash of the source", "the source's text changes"},
    Rule{"unchecked-hash", "has the hash of the source, which Python itself does not compare",
         "kiln precompile sees that the source's text has changed"},
};

std::string_view why_stale(const std::string& word) {
  const auto found = std::ranges::find(kWhyStale, word, &Wording::word);
  return found != kWhyStale.end() ? found->sentence : "is not that of the source";
}

Rule rule_of(const Entry& entry) {
  const auto found = std::ranges::find(kRules, entry.kind(), &Rule::kind);
  return found != kRules.end() ? *found : Rule{"", "is that of the source", "the source changes"};
}

// python3.11
std::string short_name(const std::string& python, const std::string& version) {
  const std::size_t patch = version.rfind('.');
  if (version.find('.') < patch && patch != std::string::npos) return "python" + version.substr(0, patch);
  return printable(python.substr(python.rfind('/') + 1));
}

std::string counted(std::int64_t count, const char* what) {
  return std::to_string(count) + " " + what + (count == 1 ? " ago" : "s ago");
}

// Clocks are set back at times.
std::string ago(std::int64_t seconds) {
  if (seconds < 1) return "just now";
  if (seconds < 60) return counted(seconds, "second");
  if (seconds < 60 * 60) return counted(seconds / 60, "minute");
  if (seconds < 24 * 60 * 60) return counted(seconds / (60 * 60), "hour");
  return counted(seconds / (24 * 60 * 60), "day");
}

std::string when(const Program& program, std::int64_t now_s) {
  return short_name(program.python(), program.version()) + ", " + ago(now_s - program.last_run_s());
}

std::string as_seen_from(const std::string& cwd, const std::string& path) {
  const std::string below = cwd + "/";
  return printable(path.starts_with(below) ? path.substr(below.size()) : path);
}

std::string title(const proto::ExplainReply& reply, const Entry& entry) {
  const std::string& whose = entry.python().empty() ? entry.tag() : entry.python();
  std::string text = printable(reply.source()) + ": " + entry.state() + " for " + printable(whose);
  if (!entry.version().empty()) text += " (Python " + entry.version() + ")";
  if (entry.optimize() > 0) text += entry.optimize() == 1 ? " with -O" : " with -OO";
  return text + "\n";
}

// Each as it is shown: none steers the terminal.
std::vector<std::string> characters_of(std::string_view code) {
  std::vector<std::string> characters;
  while (!code.empty()) {
    const std::size_t size = utf8_sequence_size(code);
    const bool odd = size == 0 || static_cast<unsigned char>(code[0]) < 0x20 || code[0] == 0x7f;
    const bool is_shown = code[0] == '\t' || !odd;
    characters.emplace_back(is_shown ? code.substr(0, std::max<std::size_t>(size, 1))
                                     : std::string_view("?"));
    code.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return characters;
}

// Of characters of two columns, each of which has an empty one behind it, half is none.
void drop_halves(std::vector<std::string>& line, std::size_t at) {
  if (at > 0 && at < line.size() && line[at].empty()) line[at - 1] = line[at] = " ";
}

// Leaves of a LINE that is wider than WIDTH what is around its column CARET, with dots for the rest. A tab
// is one space then: where it would lead to has moved.
void narrow(std::vector<std::string>& line, std::size_t& caret, std::size_t width) {
  constexpr std::size_t kTab = 8;  // columns at most
  const auto tabs = static_cast<std::size_t>(std::ranges::count(line, "\t"));
  if (line.size() + tabs * (kTab - 1) <= width) return;
  std::ranges::replace(line, std::string("\t"), std::string(" "));
  if (line.size() <= width) return;
  const std::string dots = "...";
  const std::size_t last = line.size() - width;  // first that is shown of its end
  const std::size_t begin = std::min(caret > width / 2 ? caret - width / 2 : 0, last);
  const bool has_end = begin == last;
  caret = std::min(caret, line.size()) - begin;
  if (begin > 0) drop_halves(line, begin + dots.size());
  if (!has_end) drop_halves(line, begin + width - dots.size());
  line.resize(begin + width);
  line.erase(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(begin));
  if (begin > 0) std::fill_n(line.begin(), dots.size(), ".");
  if (!has_end) std::fill_n(line.end() - static_cast<std::ptrdiff_t>(dots.size()), dots.size(), ".");
}

// CHARACTERS by columns: an empty one behind each that takes two.
std::vector<std::string> columns_of(const std::vector<std::string>& characters) {
  std::vector<std::string> columns;
  for (const auto& character : characters) {
    columns.push_back(character);
    if (character_columns(character) == 2) columns.emplace_back();
  }
  return columns;
}

// Before which of its columns the character of COLUMN, counted from 1, begins. Nothing: there is none, or
// terminals do not agree on it.
std::optional<std::size_t> caret_of(const std::vector<std::string>& characters, int column) {
  if (column <= 0) return std::nullopt;
  std::size_t caret = 0;
  for (std::size_t at = 0; at + 1 < static_cast<std::size_t>(column); ++at) {
    const auto columns =
        at < characters.size() && characters[at] != "\t" ? character_columns(characters[at]) : 1;
    if (!columns) return std::nullopt;
    caret += *columns;
  }
  return caret;
}

// CODE as one line that does not steer the terminal, and is no wider than COLUMNS (0: any), and below it a
// caret under COLUMN, counted in characters from 1. Tabs stay: the caret's line has the same ones.
std::string with_caret(std::string_view code, int column, unsigned columns) {
  const auto characters = characters_of(code);
  if (characters.empty()) return {};
  std::vector<std::string> shown = columns_of(characters);
  const auto place = caret_of(characters, column);
  std::size_t caret = place.value_or(0);
  if (columns > kLeastColumns)
    narrow(shown, caret, columns - kCodeIndent.size() - 1);  // behind it, too, may be the caret
  std::string line;
  std::string below;
  for (std::size_t at = 0; at < shown.size(); ++at) {
    line += shown[at];
    if (at < caret) below += shown[at] == "\t" ? '\t' : ' ';
  }
  const std::string indent(kCodeIndent);
  return indent + line + "\n" + (place ? indent + below + "^\n" : "");
}

// What the last time cost. Empty: it was Python's, or long ago.
std::string cost_text(const Entry& entry) {
  if (entry.made_us() == 0) return {};
  char time[32];
  std::snprintf(time, sizeof time, "%.1f ms.\n", static_cast<double>(entry.made_us()) / 1000);
  if (entry.state() == "error") return std::string("  Finding that out took ") + time;
  return (entry.restored() ? "  It was restored from the store, in " : "  Compiling it took ") +
         std::string(time);
}

std::string tag_text(const Entry& entry) {
  if (entry.tag().empty()) return {};
  return "  Its tag is " + entry.tag() + ", its magic number " + std::to_string(entry.magic()) + ".\n";
}

std::string fresh_text(const Entry& entry) {
  const Rule rule = rule_of(entry);
  std::string text = "  Its bytecode, " + printable(entry.pyc()) + ", " + std::string(rule.holds) + ".\n";
  text += tag_text(entry);
  text += "  It is compiled anew when " + std::string(rule.until);
  if (!entry.python().empty() && !entry.interpreter_gone())
    text += ", or when " + printable(entry.python()) + " becomes another version of Python";
  return text + ".\n";
}

// Python itself goes by what stands in the header, and does not always see that bytecode is old.
// Which compiles just ENTRY anew.
std::string precompile_command(const proto::ExplainReply& reply, const Entry& entry,
                               const ExplainReader& reader) {
  std::error_code gone;
  std::string command = "kiln precompile";
  const bool is_usual = std::filesystem::canonical(entry.python(), gone) == reader.usual_python;
  const bool is_named = !entry.python().empty() && !is_usual && !entry.interpreter_gone();
  if (is_named) command += " --python " + shell_word(entry.python());
  if (entry.optimize() != 0) command += " -o " + std::to_string(entry.optimize());
  return command + " " + shell_word(reply.source());
}

std::string remedy(const Entry& entry) {
  constexpr std::string_view kOnlyKilnSees[] = {"changed", "doubtful", "body"};
  if (entry.taken() && entry.kind() == "unchecked-hash")
    return "Python takes it all the same, for it is not to be checked; what compiles it anew is";
  if (std::ranges::count(kOnlyKilnSees, entry.why()) != 0)
    return "The next kiln run that imports it compiles it, and so does";
  return "The next import compiles it, and so does";
}

// What is no regular file is replaced neither by Kiln nor, if it is a directory, by Python; nor is what is in
// the place of the directory.
std::string in_the_way_text(const Entry& entry) {
  const bool is_above = entry.way() != entry.pyc();
  const std::string place = is_above ? ", at " + printable(entry.way()) + "," : "";
  return "  Where its bytecode, " + printable(entry.pyc()) + ", belongs, " + entry.in_the_way() + place +
         " is in the way, over which Kiln writes nothing.\n  What takes that away: " +
         move_aside(entry.way()) + "\n";
}

std::string stale_text(const proto::ExplainReply& reply, const Entry& entry, const ExplainReader& reader) {
  if (!entry.in_the_way().empty()) return in_the_way_text(entry);
  return "  Its bytecode, " + printable(entry.pyc()) + ", " + std::string(why_stale(entry.why())) + ".\n  " +
         remedy(entry) + ": " + precompile_command(reply, entry, reader) + "\n";
}

// What keeps a file from being compiled, or its bytecode from being written, may pass without a change of it.
std::string retry_text(const proto::ExplainReply& reply, const Entry& entry, const ExplainReader& reader) {
  if (!entry.in_the_way().empty()) return in_the_way_text(entry);
  if (!is_system_error(entry.error().type()))
    return "  It is tried again when the source's time or size changes.\n";
  return "  The next import tries it again, and so does: " + precompile_command(reply, entry, reader) + "\n";
}

// Of a source that does not compile: its imports fail, were it not for what was compiled before.
std::string taken_text(const Entry& entry) {
  if (!entry.taken()) return {};
  const std::string why = entry.kind() == "unchecked-hash" ? "is not to be checked" : "has its time and size";
  return "  Older bytecode of it, " + printable(entry.pyc()) + ", is there, and " + why +
         ": Python takes it all the same, and runs old code.\n";
}

std::string error_text(const proto::ExplainReply& reply, const Entry& entry, const ExplainReader& reader) {
  const auto& error = entry.error();
  std::string text = "  ";
  if (error.line() > 0) text += "Line " + std::to_string(error.line()) + ": ";
  text += error_words(error.type(), error.message()) + "\n";
  return text + with_caret(error.text(), error.column(), reader.columns) + taken_text(entry) +
         retry_text(reply, entry, reader);
}

std::string orphan_text(const Entry& entry) {
  const std::string gone =
      "  Its source is gone. The bytecode, " + printable(entry.pyc()) + ", is still there";
  if (entry.sourceless()) return gone + ", and Python imports it without its source.\n";
  const std::string unused = gone + "; Python does not use it without its source";
  // Of what it has not met Kiln removes nothing.
  if (entry.python().empty()) return unused + ". What removes it: rm " + shell_word(entry.pyc()) + "\n";
  return unused + ", and kiln clean --orphans removes it.\n";
}

std::string indented(const std::string& text) {
  std::string lines;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    lines += "    " + printable(text.substr(start, end - start)) + "\n";
    start = end + 1;
  }
  return lines;
}

std::string state_text(const proto::ExplainReply& reply, const Entry& entry, const ExplainReader& reader) {
  if (entry.state() == "fresh") return fresh_text(entry);
  if (entry.state() == "stale") return stale_text(reply, entry, reader);
  return entry.state() == "error" ? error_text(reply, entry, reader) : orphan_text(entry);
}

std::string entry_text(const proto::ExplainReply& reply, const Entry& entry, const ExplainReader& reader) {
  std::string text = title(reply, entry) + state_text(reply, entry, reader) + cost_text(entry);
  if (entry.other_version()) {
    text += "  " + printable(entry.python()) + " is another version by now, which does not use this file.\n";
  }
  if (entry.interpreter_gone()) {
    text += "  " + printable(entry.python()) + " is gone: only another interpreter could use this file.\n";
  }
  if (entry.python().empty()) {
    text += "  Kiln has not met it: Python, or something else, has made that.\n";
  }
  if (entry.overlaid()) {
    text += "  It lies in Kiln's overlay: Python keeps none of a main script, or cannot write it there.\n";
  }
  if (!entry.warnings().empty()) text += "  Compiling it said:\n" + indented(entry.warnings());
  return text;
}

std::string nothing_text(const proto::ExplainReply& reply) {
  std::string text = printable(reply.source()) + ": Kiln knows of no bytecode of it.\n";
  if (!reply.source_exists()) return text + "  The file is gone.\n";
  if (!reply.runs().empty() && reply.importers().empty()) {
    return text + "  It is a program's main file, of which Python keeps none.\n";
  }
  return text + "  The next import compiles it, and so does: kiln precompile " + shell_word(reply.source()) +
         "\n";
}

std::string runs_text(const proto::ExplainReply& reply, std::int64_t now_s) {
  if (reply.runs().empty()) return {};
  std::string text;
  for (const auto& program : reply.runs()) {
    text += (text.empty() ? "Run as a program: " : "; ") + when(program, now_s);
  }
  return text + "\n";
}

std::string importers_text(const proto::ExplainReply& reply, std::int64_t now_s, const std::string& cwd) {
  std::string text = "Imported by: ";
  const int shown = std::min(reply.importers_size(), kMaxPrograms);
  for (int at = 0; at < shown; ++at) {
    const auto& program = reply.importers(at);
    text += (at > 0 ? ", " : "") + as_seen_from(cwd, program.entry()) + " (" + when(program, now_s) + ")";
  }
  const std::uint64_t more = reply.importers_count() - static_cast<std::uint64_t>(shown);
  if (more > 0) text += " and " + std::to_string(more) + " more";
  return text + (shown == 0 ? "no program that `kiln run` served\n" : "\n");
}

std::string watched_text(const proto::ExplainReply::Watched& watched) {
  const std::string path = printable(watched.path());
  if (watched.how() == "no" && !watched.reason().empty())
    return "Watched: no: " + printable(watched.reason()) + ".\n";
  if (watched.how() == "no")
    return "Watched: no. To have changes compiled by themselves: kiln watch " + shell_word(watched.path()) +
           "\n";
  const std::string by_itself = "a change is compiled by itself";
  if (watched.how() == "directory" && !watched.reason().empty())
    return "Watched: not " + path +
           ", though something was imported from it: " + printable(watched.reason()) + ".\n";
  if (watched.how() == "directory")
    return "Watched: " + path + ", for what was imported; " + by_itself + ".\n";
  std::string text = "Watched: below " + path;
  if (watched.state() != "watching") {
    text += ", which is " + watched.state();
  } else if (watched.reason().empty()) {
    return text + "; " + by_itself + ".\n";
  } else {
    text += ", but not there";
  }
  if (!watched.reason().empty()) text += ": " + printable(watched.reason());
  return text + ".\n" + (watched.hint().empty() ? "" : "  hint: " + printable(watched.hint()) + "\n");
}

json::value text_or_null(const std::string& text) {
  return text.empty() ? json::value(nullptr) : json::value(text);
}

json::value to_json(const proto::ExplainReply::Error& error) {
  return json::object{{"type", error.type()},
                      {"message", error.message()},
                      {"line", error.line()},
                      {"column", error.column()},
                      {"text", error.text()}};
}

json::object to_json(const Entry& entry) {
  return {{"pyc", entry.pyc()},
          {"python", entry.python()},
          {"version", entry.version()},
          {"tag", entry.tag()},
          {"optimize", entry.optimize()},
          {"state", entry.state()},
          {"why", text_or_null(entry.why())},
          {"kind", text_or_null(entry.kind())},
          {"overlaid", entry.overlaid()},
          {"other_version", entry.other_version()},
          {"sourceless", entry.sourceless()},
          {"magic", entry.magic()},
          {"taken", entry.taken()},
          {"in_the_way", text_or_null(entry.in_the_way())},
          {"interpreter_gone", entry.interpreter_gone()},
          {"made_us", entry.made_us() != 0 ? json::value(entry.made_us()) : json::value(nullptr)},
          {"restored", entry.restored()},
          {"error", entry.has_error() ? to_json(entry.error()) : json::value(nullptr)},
          {"warnings", text_or_null(entry.warnings())}};
}

json::object to_json(const Program& program) {
  return {{"entry", program.entry()},
          {"python", program.python()},
          {"version", program.version()},
          {"last_run_s", program.last_run_s()}};
}

template <class Messages>
json::array to_array(const Messages& messages) {
  json::array array;
  for (const auto& message : messages) array.push_back(to_json(message));
  return array;
}

}  // namespace

std::string explanation_text(const proto::ExplainReply& reply, const ExplainReader& reader) {
  std::string text;
  if (!reply.missing().empty())
    text += printable(reply.missing()) + ": there is no such file. Of its source there is to say:\n";
  for (const auto& entry : reply.entries()) text += entry_text(reply, entry, reader);
  if (reply.entries().empty()) text += nothing_text(reply);
  return text + runs_text(reply, reader.now_s) + importers_text(reply, reader.now_s, reader.cwd) +
         watched_text(reply.watched());
}

json::object explanation_json(const proto::ExplainReply& reply) {
  const auto& watched = reply.watched();
  json::object document{{"version", 1},
                        {"source", reply.source()},
                        {"exists", reply.source_exists()},
                        {"entries", to_array(reply.entries())},
                        {"imported_by", to_array(reply.importers())},
                        {"imported_by_count", reply.importers_count()},
                        {"run_as_program", to_array(reply.runs())},
                        {"watched", json::object{{"how", watched.how()},
                                                 {"path", watched.path()},
                                                 {"state", text_or_null(watched.state())},
                                                 {"reason", text_or_null(watched.reason())},
                                                 {"hint", text_or_null(watched.hint())}}}};
  if (!reply.missing().empty()) document["missing"] = reply.missing();
  return document;
}

}  // namespace kiln
